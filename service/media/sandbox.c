#include "media/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { EXIT_NO_SANDBOX = 64, LIFTED_FD = 32 };

struct sandbox_filter {
    struct sock_fprog program; /* what the kernel takes */
};

/* Calls that single-threaded decoding from an open descriptor makes. Allocation, the answer, time, randomness, the
 * end. pread and no open: files come in as descriptors. */
static const int calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(pread64),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(close),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getrandom),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(sysinfo), /* qsort asks how much memory there is */
#if SANITIZED
    SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getrlimit),
    SCMP_SYS(prlimit64),
    SCMP_SYS(clock_nanosleep),
#endif
};

/* Rules with a condition on an argument: memory that is never executable, fstat but not stat. */
static int add_conditional_rules(scmp_filter_ctx context)
{
    int rc = 0;
    rc |= seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)PROT_EXEC, 0));
    rc |= seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)PROT_EXEC, 0));
    rc |= seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                           SCMP_A3(SCMP_CMP_EQ, (scmp_datum_t)AT_EMPTY_PATH));
    /* abort(): only to ourselves would be better, but the process id differs from child to child; the kernel's own
     * permission check and the death of every process in the sandbox at other calls leave little to aim at. */
    return rc;
}

static int export_program(scmp_filter_ctx context, struct sock_fprog *out)
{
    int fd = memfd_create("filter", MFD_CLOEXEC), result = -1;
    struct stat s;
    if (fd < 0 || seccomp_export_bpf(context, fd) != 0 || fstat(fd, &s) != 0)
        goto out;
    struct sock_filter *code = malloc((size_t)s.st_size);
    if (code && pread(fd, code, (size_t)s.st_size, 0) == s.st_size) {
        out->filter = code;
        out->len = (unsigned short)((size_t)s.st_size / sizeof *code);
        result = 0;
    } else {
        free(code);
    }
out:
    if (fd >= 0)
        close(fd);
    return result;
}

int sandbox_filter_new(struct sandbox_filter **out, struct err *e)
{
    int rc = 0, result = -1;
    struct sandbox_filter *filter = calloc(1, sizeof *filter);
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter || !context)
        goto out;
    rc = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        rc |= seccomp_rule_add(context, SCMP_ACT_ALLOW, calls[i], 0);
    rc |= add_conditional_rules(context);
    if (rc == 0 && export_program(context, &filter->program) == 0) {
        *out = filter;
        filter = NULL;
        result = 0;
    }
out:
    if (result != 0)
        err_set(e, ERR_internal, "the seccomp filter cannot be built");
    if (context)
        seccomp_release(context);
    free(filter);
    return result;
}

void sandbox_filter_free(struct sandbox_filter *f)
{
    if (f)
        free(f->program.filter);
    free(f);
}

bool sandbox_limits_memory(void)
{
    return !SANITIZED;
}

static int limit(int resource, int64_t soft, int64_t hard)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0)
        return -1;
    /* An ordinary user may not raise a limit that is lower already. */
    rlim_t ceiling = now.rlim_max < (rlim_t)hard ? now.rlim_max : (rlim_t)hard;
    struct rlimit wanted = {.rlim_cur = (rlim_t)soft < ceiling ? (rlim_t)soft : ceiling, .rlim_max = ceiling};
    return setrlimit(resource, &wanted);
}

static void close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) == 0)
        return;
    struct rlimit now;
    int last = getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < 65536 ? (int)now.rlim_cur : 65536;
    for (int fd = first; fd < last; fd++)
        close(fd);
}

int sandbox_enter(const struct sandbox_filter *f, const struct sandbox_limits *l, int first_closed_fd, struct err *e)
{
    close_from(first_closed_fd);
    for (int fd = 0; fd <= 2; fd++)
        if (!SANITIZED)
            close(fd);
    int rc = 0;
    if (sandbox_limits_memory())
        rc |= limit(RLIMIT_AS, l->memory_bytes, l->memory_bytes);
    /* At the soft limit the kernel sends SIGXCPU, whose default action ends the process. */
    rc |= limit(RLIMIT_CPU, l->cpu_seconds, l->cpu_seconds + 1);
    rc |= limit(RLIMIT_FSIZE, 0, 0);
    rc |= limit(RLIMIT_CORE, 0, 0);
    rc |= limit(RLIMIT_NOFILE, 0, 0);
    if (rc != 0)
        return err_set(e, ERR_internal, "the limits of the sandbox cannot be set: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f->program) != 0)
        return err_set(e, ERR_internal, "seccomp is not available: %s", strerror(errno));
    return 0;
}

/* Brings the answer to 3 and fds to 4 upward, whatever numbers they have now. */
static int place(int answer_fd, const int *fds, int fd_count)
{
    int lifted[SANDBOX_FDS_MAX + 1];
    for (int i = 0; i <= fd_count; i++)
        if ((lifted[i] = fcntl(i == 0 ? answer_fd : fds[i - 1], F_DUPFD, LIFTED_FD)) < 0)
            return -1;
    for (int i = 0; i <= fd_count; i++)
        if (dup2(lifted[i], SANDBOX_ANSWER_FD + i) < 0)
            return -1;
    return 0;
}

static void reset_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGXCPU, SIGXFSZ, SIGSYS};
    sigset_t none;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int sandbox_start(struct sandbox_child *out, const struct sandbox_filter *f, const struct sandbox_limits *l,
                  const int *fds, int fd_count, sandbox_fn fn, void *user, struct err *e)
{
    int answer[2];
    if (fd_count > SANDBOX_FDS_MAX)
        return err_set(e, ERR_internal, "too many descriptors for a sandbox");
    if (pipe2(answer, O_CLOEXEC) != 0)
        return err_set(e, ERR_internal, "pipe: %s", strerror(errno));
    /* _Fork runs no handlers of libraries, which would be the larger part of the cost (and see probe/slim.h); malloc's
     * state is whole all the same, because there is one thread. */
    pid_t parent = getpid(), pid = SANITIZED ? fork() : _Fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        reset_signals();
        if (getppid() != parent || place(answer[1], fds, fd_count) != 0 ||
            sandbox_enter(f, l, SANDBOX_FIRST_FD + fd_count, NULL) != 0)
            _exit(EXIT_NO_SANDBOX);
        _exit(fn(user));
    }
    int fork_errno = errno;
    close(answer[1]);
    if (pid < 0) {
        close(answer[0]);
        return err_set(e, ERR_overloaded, "no process for the sandbox: %s", strerror(fork_errno));
    }
    out->pid = pid;
    out->answer_fd = answer[0];
    return 0;
}

int sandbox_verdict(int wait_status, struct err *e)
{
    if (WIFEXITED(wait_status)) {
        if (WEXITSTATUS(wait_status) < EXIT_NO_SANDBOX)
            return 0;
        return err_set(e, ERR_internal, "the sandbox cannot be set up on this machine");
    }
    int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    switch (number) {
    case SIGXCPU:
        return err_set(e, ERR_media_decode_timeout, "decoding took more processor time than is allowed");
    case SIGKILL: /* not ours (callers that kill know why), and not the file's doing: its memory has a limit of its own
                   */
        return err_set(e, ERR_overloaded, "the decoder was killed; the machine may be out of memory");
    case SIGSYS:
        return err_set(e, ERR_media_unreadable, "decoding tried something that is not allowed and was stopped");
    default:
        return err_set(e, ERR_media_unreadable, "decoding failed on this file (signal %d)", number);
    }
}
