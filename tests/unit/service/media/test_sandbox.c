#include "media/sandbox.h"

#include "base/clock.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct sandbox_filter *filter;

/* Runs fn in a sandbox; returns the verdict's code (ERR_none when it ended by itself) and its exit status. */
static enum err_code verdict_of(sandbox_fn fn, int64_t cpu_seconds, int *out_status)
{
    struct sandbox_limits l = {.memory_bytes = 256 << 20, .cpu_seconds = cpu_seconds};
    struct sandbox_child child;
    struct err e = {0};
    int status = 0, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(sandbox_start(&child, filter, &l, &fd, 1, fn, NULL, &e), 0);
    close(fd);
    assert_int_equal(proc_wait(child.pid, 20000, &status), 1);
    close(child.answer_fd);
    int died = sandbox_verdict(status, &e);
    *out_status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return died ? e.code : ERR_none;
}

static int allocate_a_little(void *user)
{
    (void)user;
    char *p = malloc(10 << 20);
    memset(p, 1, 10 << 20);
    return p[12345] == 1 ? 7 : 1;
}

static int open_a_file(void *user)
{
    (void)user;
    return open("/etc/passwd", O_RDONLY) >= 0;
}

static int open_a_socket(void *user)
{
    (void)user;
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int make_a_process(void *user)
{
    (void)user;
    return fork() == 0;
}

static int make_code(void *user)
{
    (void)user;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int send_a_signal(void *user)
{
    (void)user;
    return kill(getppid(), 0) == 0;
}

static int spin(void *user)
{
    (void)user;
    for (volatile unsigned long i = 0;; i++)
        ;
    return 0;
}

static int take_all_memory(void *user)
{
    (void)user;
    void *p = malloc((size_t)300 << 20);
    return p == NULL ? 9 : 1;
}

static int fall_over(void *user)
{
    (void)user;
    *(volatile int *)user = 1;
    return 0;
}

/* Only the answer (3) and the one given descriptor (4) are open. */
static int count_descriptors(void *user)
{
    char byte;
    int open_ones = 0;
    (void)user;
    for (int fd = 0; fd < 300; fd++)
        if (fd != 3 && (pread(fd, &byte, 1, 0) >= 0 || errno != EBADF))
            open_ones++;
    return open_ones;
}

static void ordinary_work_is_possible(void **state)
{
    int status;
    (void)state;
    assert_int_equal(verdict_of(allocate_a_little, 5, &status), ERR_none);
    assert_int_equal(status, 7);
}

static void forbidden_calls_end_the_process(void **state)
{
    static const sandbox_fn forbidden[] = {open_a_file, open_a_socket, make_a_process, make_code, send_a_signal};
    (void)state;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        int status;
        assert_int_equal(verdict_of(forbidden[i], 5, &status), ERR_media_unreadable);
        assert_int_equal(status, -SIGSYS);
    }
}

static void processor_time_is_bounded(void **state)
{
    int status;
    (void)state;
    assert_int_equal(verdict_of(spin, 1, &status), ERR_media_decode_timeout);
}

static void memory_is_bounded(void **state)
{
    int status;
    (void)state;
    if (!sandbox_limits_memory())
        skip();
    assert_int_equal(verdict_of(take_all_memory, 5, &status), ERR_none);
    assert_int_equal(status, 9);
}

static void a_crash_is_an_unreadable_file(void **state)
{
    int status;
    (void)state;
    if (!sandbox_limits_memory())
        skip(); /* the sanitizer would report it as its own find */
    assert_int_equal(verdict_of(fall_over, 5, &status), ERR_media_unreadable);
}

static void no_other_descriptor_is_open(void **state)
{
    int status, ends[2];
    (void)state;
    if (!sandbox_limits_memory())
        skip(); /* the sanitizer keeps its own */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(verdict_of(count_descriptors, 5, &status), ERR_none);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(status, 1);
}

static void it_dies_with_its_parent(void **state)
{
    int ends[2];
    char byte;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct sandbox_limits l = {.memory_bytes = 256 << 20, .cpu_seconds = 30};
        struct sandbox_child child;
        close(ends[0]);
        if (sandbox_start(&child, filter, &l, &ends[1], 1, spin, NULL, NULL) == 0 && write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    proc_wait(parent, 5000, NULL);
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(read(ends[0], &byte, 1), 0); /* the child held the other end until it died */
    assert_true(clock_mono_ms() - start_ms < 2000);
    close(ends[0]);
}

/* The same, as a user without rights, where the tests run as root. */
static void it_needs_no_privilege(void **state)
{
    (void)state;
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || !nobody)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        int status;
        if (setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0)
            _exit(2);
        bool good = verdict_of(allocate_a_little, 5, &status) == ERR_none && status == 7 &&
                    verdict_of(open_a_file, 5, &status) == ERR_media_unreadable;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(proc_wait(pid, 10000, &status), 1);
    assert_int_equal(status, 0);
}

static int setup(void **state)
{
    (void)state;
    return sandbox_filter_new(&filter, NULL);
}

static int teardown(void **state)
{
    (void)state;
    sandbox_filter_free(filter);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_work_is_possible),     cmocka_unit_test(forbidden_calls_end_the_process),
        cmocka_unit_test(processor_time_is_bounded),     cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_crash_is_an_unreadable_file), cmocka_unit_test(no_other_descriptor_is_open),
        cmocka_unit_test(it_dies_with_its_parent),       cmocka_unit_test(it_needs_no_privilege),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
