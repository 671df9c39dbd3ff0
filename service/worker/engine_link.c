#include "worker/engine_link.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/proc.h"
#include "worker/engine_child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void engine_link_init(struct engine_link *l, struct lease *lease, char **arguments, int argument_count)
{
    *l = (struct engine_link){.lease = lease, .arguments = arguments, .argument_count = argument_count};
    wire_init(&l->wire, -1);
}

int engine_link_start(struct engine_link *l, bool low_memory, struct err *e)
{
    int pair[2];
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    engine_link_kill(l);
    if (fs_program_dir(folder, e) != 0 || fs_join(path, folder, "longanim-worker", e) != 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(e, ERR_internal, "socketpair: %s", strerror(errno));
    char **argv = calloc((size_t)l->argument_count + 4, sizeof *argv);
    if (!argv)
        abort();
    int n = 0;
    argv[n++] = l->arguments[0];
    argv[n++] = "--engine";
    if (low_memory)
        argv[n++] = "--low-memory";
    for (int i = 1; i < l->argument_count; i++)
        argv[n++] = l->arguments[i];
    struct proc_fd fd = {.parent_fd = pair[1], .child_fd = ENGINE_CHILD_FD};
    pid_t pid = 0;
    int failed = proc_spawn(&pid, path, argv, NULL, &fd, 1, SIGKILL, e);
    free(argv);
    close(pair[1]);
    if (failed) {
        close(pair[0]);
        return -1;
    }
    wire_init(&l->wire, pair[0]);
    l->pid = pid;
    l->ready = false;
    l->low_memory = low_memory;
    lease_engine(l->lease, pid);
    log_event(LOG_INFO, "engine.started", "pid", "i", (int64_t)pid, "low_memory", "b", (int)low_memory, NULL);
    return 0;
}

/* Ends whatever is left of the child and says in `e` how it ended. */
static int bury(struct engine_link *l, struct err *e)
{
    int status = 0;
    pid_t pid = l->pid;
    lease_engine(l->lease, 0);
    kill(pid, SIGKILL); /* not reaped yet, so the number is still its own */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    l->pid = 0;
    l->ready = false;
    wire_close(&l->wire);
    log_event(LOG_WARN, "engine.ended", "pid", "i", (int64_t)pid, "signal", "i",
              (int64_t)(WIFSIGNALED(status) ? WTERMSIG(status) : 0), "status", "i",
              (int64_t)(WIFEXITED(status) ? WEXITSTATUS(status) : -1), NULL);
    if (WIFSIGNALED(status))
        return err_set(e, ERR_worker_lost, "the engine was ended by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    return err_set(e, ERR_worker_lost, "the engine ended with status %d", WEXITSTATUS(status));
}

/* Did the child leave by itself? Waits a moment, so that the signal that ended it is seen and not ours. */
static int lost(struct engine_link *l, struct err *e)
{
    siginfo_t info;
    for (int i = 0; i < 50; i++) {
        memset(&info, 0, sizeof info);
        if (waitid(P_PID, (id_t)l->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == l->pid)
            break;
        usleep(10000);
    }
    return bury(l, e);
}

static void greet(struct engine_link *l, const json_t *m)
{
    l->ready = true;
    free(l->models);
    l->models = json_text(json_object_get(m, "models"), false);
}

int engine_link_next(struct engine_link *l, int64_t timeout_ms, json_t **out, struct err *e)
{
    const char *ev = "";
    int got = wire_receive(&l->wire, timeout_ms, out, e);
    if (got < 0)
        return lost(l, e);
    if (got == 0 || json_opt_str(*out, "ev", &ev, NULL) != 0)
        return got;
    if (strcmp(ev, "ready") == 0)
        greet(l, *out);
    if (strcmp(ev, "error") == 0 && !l->ready) { /* it could open no model and leaves */
        struct err why = {0};
        wire_get_err(*out, &why);
        json_decref(*out);
        *out = NULL;
        lost(l, NULL);
        if (e)
            *e = why;
        return -1;
    }
    return 1;
}

int engine_link_send(struct engine_link *l, json_t *message, struct err *e)
{
    return wire_send(&l->wire, message, e);
}

void engine_link_kill(struct engine_link *l)
{
    if (l->pid > 0)
        bury(l, NULL);
}

void engine_link_fini(struct engine_link *l)
{
    engine_link_kill(l);
    free(l->models);
    l->models = NULL;
}
