/* sandbox.h - a process that can compute and write its answer, and nothing else.
 *
 * What holds inside: no_new_privs; a seccomp filter that kills the process at any call outside a short list (no open,
 * no socket, no new process or thread, no executable memory); RLIMIT_AS, CPU, FSIZE (0), CORE (0), NOFILE; no
 * descriptors but the given ones; death with the parent. It needs no privilege, no folder and no name of a user, so it
 * holds for root, for ordinary users, in containers and in chroots.
 * Under AddressSanitizer and ThreadSanitizer the address space cannot be limited (their shadow memory is larger than
 * any limit); sandbox_limits_memory() says so, and only single allocations are bounded there.
 * Threads: sandbox_start forks and then runs ordinary code in the child, so only single-threaded processes may call it.
 */
#ifndef LONGANIM_MEDIA_SANDBOX_H
#define LONGANIM_MEDIA_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox_limits {
    int64_t memory_bytes; /* address space, the program itself included */
    int64_t cpu_seconds;
};

/* The compiled filter; made once, before the first sandbox, and shared by all. */
struct sandbox_filter;
int sandbox_filter_new(struct sandbox_filter **out, struct err *e);
void sandbox_filter_free(struct sandbox_filter *f);

/* Puts this process into the sandbox for good. Descriptors from `first_closed_fd` up are closed, and 0 to 2 as well
 * (not under a sanitizer, which reports on 2). On failure the process must end: part of it may be in force. */
int sandbox_enter(const struct sandbox_filter *f, const struct sandbox_limits *l, int first_closed_fd, struct err *e);

/* A child that runs `fn` in a sandbox. Its descriptor 3 takes the answer, `fds` are its 4, 5, …; what fn returns is
 * the exit status (0..63). */
struct sandbox_child {
    pid_t pid;
    int answer_fd; /* read the answer here until end of file */
};
#define SANDBOX_ANSWER_FD 3
#define SANDBOX_FIRST_FD 4
#define SANDBOX_FDS_MAX 6
typedef int (*sandbox_fn)(void *user);
int sandbox_start(struct sandbox_child *out, const struct sandbox_filter *f, const struct sandbox_limits *l,
                  const int *fds, int fd_count, sandbox_fn fn, void *user, struct err *e);

/* What the end of a sandboxed process means: 0 = it ended by itself, -1 = media_unreadable, media_decode_timeout,
 * media_decode_memory, or internal when the sandbox could not be set up. */
int sandbox_verdict(int wait_status, struct err *e);

/* Does memory_bytes hold in this build? */
bool sandbox_limits_memory(void);

#endif
