/* proc.h - child processes and signals. Children die with their parent (PR_SET_PDEATHSIG) and are always reaped. */
#ifndef LONGANIM_BASE_PROC_H
#define LONGANIM_BASE_PROC_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One file descriptor of the parent that the child gets under a chosen number. */
struct proc_fd {
    int parent_fd;
    int child_fd; /* 0..9 */
};

/* Starts `path` with argv (NULL-terminated), the inherited environment plus `env` ("NAME=value" strings, NULL-
 * terminated, may be NULL). Only 0, 1, 2 and the listed descriptors are open in the child, and it is a process group of
 * its own. Safe with threads: nothing but async-signal-safe calls happens between fork and exec. The child gets
 * `death_signal` when the calling thread ends (Linux ties it to the thread), so call from one that lives as long as the
 * process. */
int proc_spawn(pid_t *out, const char *path, char *const argv[], char *const env[], const struct proc_fd *fds,
               int fd_count, int death_signal, struct err *e);

/* Waits up to timeout_ms (0 = only look) for the child to end: 1 = ended (status set), 0 = still running, -1 = no such
 * child. */
int proc_wait(pid_t pid, int64_t timeout_ms, int *out_status);

/* SIGTERM, up to grace_ms, then SIGKILL; reaps. Returns the wait status; -1 = no such child. */
int proc_stop(pid_t pid, int64_t grace_ms);

/* Blocks SIGINT, SIGTERM and SIGHUP in this thread (call before any thread is made) and ignores SIGPIPE. The
 * signals are then read as events from the returned descriptor (signalfd, non-blocking). */
int proc_signals(int *out_fd, struct err *e);

#endif
