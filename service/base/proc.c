#include "base/proc.h"

#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { FIRST_FREE_FD = 10, FDS_MAX = 10 };

/* environ plus env, later names winning; pointers are borrowed, the array is malloc'ed. */
static char **merge_environment(char *const env[])
{
    size_t count = 0, extra = 0, used = 0;
    while (environ[count])
        count++;
    while (env && env[extra])
        extra++;
    char **merged = calloc(count + extra + 1, sizeof *merged);
    if (!merged)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool replaced = false;
        for (size_t j = 0; j < extra && !replaced; j++)
            replaced = strncmp(environ[i], env[j], name) == 0;
        if (!replaced)
            merged[used++] = environ[i];
    }
    for (size_t j = 0; j < extra; j++)
        merged[used++] = env[j];
    return merged;
}

static void close_on_exec_from(int first)
{
    struct rlimit limit;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) == 0)
        return;
#endif
    int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (int fd = first; fd < last; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Moves the wanted descriptors to their numbers. All are first lifted out of the way, so that the order and overlaps
 * of the two sets of numbers do not matter. */
static int place_descriptors(const struct proc_fd *fds, int count)
{
    int lifted[FDS_MAX];
    bool wanted[FIRST_FREE_FD] = {true, true, true};
    for (int i = 0; i < count; i++)
        if ((lifted[i] = fcntl(fds[i].parent_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD)) < 0)
            return -1;
    for (int i = 0; i < count; i++) {
        if (dup2(lifted[i], fds[i].child_fd) < 0)
            return -1;
        wanted[fds[i].child_fd] = true;
    }
    for (int fd = 3; fd < FIRST_FREE_FD; fd++)
        if (!wanted[fd])
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    close_on_exec_from(FIRST_FREE_FD);
    return 0;
}

struct child_plan {
    const char *path;
    char *const *argv;
    char **environment;
    const struct proc_fd *fds;
    int fd_count, death_signal, report_fd;
    pid_t parent;
};

/* Between fork and exec: async-signal-safe calls only. */
static void run_child(const struct child_plan *p)
{
    sigset_t none;
    int cause;
    int report = fcntl(p->report_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    prctl(PR_SET_PDEATHSIG, p->death_signal);
    if (getppid() != p->parent)
        _exit(127);
    setpgid(0, 0); /* Ctrl-C at a terminal reaches us alone; we decide in which order children end */
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (report >= 0 && place_descriptors(p->fds, p->fd_count) == 0)
        execve(p->path, p->argv, p->environment);
    cause = errno;
    if (report >= 0 && write(report, &cause, sizeof cause) < 0)
        _exit(126);
    _exit(127);
}

int proc_spawn(pid_t *out, const char *path, char *const argv[], char *const env[], const struct proc_fd *fds,
               int fd_count, int death_signal, struct err *e)
{
    struct child_plan plan = {path, argv, NULL, fds, fd_count, death_signal, -1, getpid()};
    int report[2] = {-1, -1}, cause = 0, result = -1;
    sigset_t all, before;
    bool bad = fd_count > FDS_MAX;
    for (int i = 0; i < fd_count && !bad; i++)
        bad = fds[i].child_fd < 0 || fds[i].child_fd >= FIRST_FREE_FD;
    if (bad)
        return err_set(e, ERR_internal, "bad descriptors for %s", path);
    plan.environment = merge_environment(env);
    if (!plan.environment || pipe2(report, O_CLOEXEC) != 0) {
        err_set(e, ERR_internal, "cannot start %s: %s", path, strerror(errno));
        goto out;
    }
    plan.report_fd = report[1];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        run_child(&plan);
    int fork_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    report[1] = -1;
    if (pid < 0) {
        err_set(e, ERR_internal, "cannot start %s: %s", path, strerror(fork_errno));
        goto out;
    }
    if (fs_read_all(report[0], &cause, sizeof cause) == (ssize_t)sizeof cause) {
        waitpid(pid, NULL, 0);
        err_set(e, ERR_internal, "cannot start %s: %s", path, strerror(cause));
        goto out;
    }
    *out = pid;
    result = 0;
out:
    free(plan.environment);
    for (int i = 0; i < 2; i++)
        if (report[i] >= 0)
            close(report[i]);
    return result;
}

/* Waits until pid can be reaped; a pidfd where the kernel has them, else by asking often. */
static void await_end(pid_t pid, int64_t until_ms)
{
    int64_t left = until_ms - clock_mono_ms();
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        clock_sleep_ms(left < 5 ? left : 5);
        return;
    }
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left);
    close(fd);
}

int proc_wait(pid_t pid, int64_t timeout_ms, int *out_status)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    for (;;) {
        int status = 0;
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) {
            if (out_status)
                *out_status = status;
            return 1;
        }
        if (got < 0 && errno != EINTR)
            return -1;
        if (clock_mono_ms() >= until_ms)
            return 0;
        await_end(pid, until_ms);
    }
}

int proc_stop(pid_t pid, int64_t grace_ms)
{
    int status = -1;
    kill(pid, SIGTERM);
    if (proc_wait(pid, grace_ms, &status) != 0)
        return status;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int proc_signals(int *out_fd, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return err_set(e, ERR_internal, "cannot block signals");
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return err_set(e, ERR_internal, "signalfd: %s", strerror(errno));
    *out_fd = fd;
    return 0;
}
