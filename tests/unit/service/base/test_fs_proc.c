#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char scratch[] = "/tmp/test_fs.XXXXXX";

static int make_scratch(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}

static int drop_scratch(void **state)
{
    struct err e;
    (void)state;
    return fs_remove_tree(scratch, &e);
}

static void path_in(char out[FS_PATH_MAX], const char *name)
{
    assert_int_equal(fs_join(out, scratch, name, NULL), 0);
}

static void an_atomic_write_replaces_the_file_and_leaves_no_temporary(void **state)
{
    char path[FS_PATH_MAX], copy[FS_PATH_MAX], dir[FS_PATH_MAX];
    struct buf b;
    struct err e;
    (void)state;
    path_in(dir, "a/b/c");
    assert_int_equal(fs_mkdirs(dir, &e), 0);
    assert_int_equal(fs_mkdirs(dir, &e), 0);
    path_in(path, "a/b/c/file");
    assert_int_equal(fs_write_atomic(path, "one", 3, &e), 0);
    assert_int_equal(fs_write_atomic(path, "second", 6, &e), 0);
    path_in(copy, "a/b/c/copy");
    assert_int_equal(fs_copy(path, copy, &e), 0);
    buf_init(&b, 6);
    assert_int_equal(fs_read(copy, &b, &e), 0);
    assert_string_equal(b.data, "second");
    buf_free(&b);
    buf_init(&b, 5);
    assert_int_equal(fs_read(copy, &b, &e), -1);
    buf_free(&b);
    path_in(copy, "a/b/c/copy/below");
    assert_int_equal(fs_mkdirs(copy, &e), -1);
    assert_int_equal(e.code, ERR_internal);
}

static void removing_a_tree_does_not_follow_links(void **state)
{
    char outside[FS_PATH_MAX], tree[FS_PATH_MAX], link_path[FS_PATH_MAX], file[FS_PATH_MAX];
    struct err e;
    (void)state;
    path_in(outside, "outside");
    path_in(tree, "tree/deep");
    assert_int_equal(fs_mkdirs(outside, &e), 0);
    assert_int_equal(fs_mkdirs(tree, &e), 0);
    path_in(file, "outside/kept");
    assert_int_equal(fs_write_atomic(file, "x", 1, &e), 0);
    path_in(link_path, "tree/deep/link");
    assert_int_equal(symlink(outside, link_path), 0);
    path_in(tree, "tree");
    assert_int_equal(fs_remove_tree(tree, &e), 0);
    assert_int_equal(access(tree, F_OK), -1);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(fs_remove_tree(tree, &e), 0);
}

static void a_full_disk_is_storage_full(void **state)
{
    struct err e = {0};
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    char path[FS_PATH_MAX];
    path_in(path, "source");
    assert_int_equal(fs_write_atomic(path, "x", 1, &e), 0);
    assert_int_equal(fs_copy(path, "/dev/full", &e), -1);
    assert_int_equal(e.code, ERR_storage_full);
}

static void a_child_has_the_environment_and_only_the_listed_descriptors(void **state)
{
    int ends[2], leaked = open("/dev/null", O_RDONLY), status = -1;
    char text[200] = "";
    pid_t pid = -1;
    struct err e;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    setenv("TEST_INHERITED", "old", 1);
    char *const argv[] = {"sh", "-c", "echo $TEST_INHERITED $TEST_ADDED $(ls /proc/self/fd | wc -l) >&5; exit 3", NULL};
    char *const env[] = {"TEST_ADDED=yes", "TEST_INHERITED=new", NULL};
    const struct proc_fd fds[] = {{ends[1], 5}};
    assert_int_equal(proc_spawn(&pid, "/bin/sh", argv, env, fds, 1, SIGKILL, &e), 0);
    close(ends[1]);
    assert_true(fs_read_all(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    close(leaked);
    assert_string_equal(text, "new yes 5\n"); /* 0, 1, 2, 5 and the one of ls itself */
    assert_int_equal(proc_wait(pid, 5000, &status), 1);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(proc_wait(pid, 0, &status), -1);
}

static void a_program_that_cannot_start_is_an_error_of_the_parent(void **state)
{
    char *const argv[] = {"none", NULL};
    pid_t pid = -7;
    struct err e;
    (void)state;
    assert_int_equal(proc_spawn(&pid, "/nonexistent/program", argv, NULL, NULL, 0, SIGKILL, &e), -1);
    assert_int_equal(pid, -7);
    assert_non_null(strstr(e.detail, "No such file"));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void descriptors_may_swap_their_numbers(void **state)
{
    int a[2], b[2];
    char text[10] = "";
    pid_t pid;
    (void)state;
    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    dup2(a[1], 8);
    dup2(b[1], 9);
    char *const argv[] = {"sh", "-c", "echo nine >&9; echo eight >&8", NULL};
    const struct proc_fd fds[] = {{8, 9}, {9, 8}};
    assert_int_equal(proc_spawn(&pid, "/bin/sh", argv, NULL, fds, 2, SIGKILL, NULL), 0);
    close(a[1]);
    close(b[1]);
    close(8);
    close(9);
    assert_int_equal(fs_read_all(a[0], text, sizeof text - 1), 5);
    assert_string_equal(text, "nine\n");
    close(a[0]);
    close(b[0]);
    assert_int_equal(proc_wait(pid, 5000, NULL), 1);
}

static void a_child_that_ignores_term_is_killed_after_the_grace(void **state)
{
    char *const argv[] = {"sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", NULL};
    pid_t pid;
    (void)state;
    assert_int_equal(proc_spawn(&pid, "/bin/sh", argv, NULL, NULL, 0, SIGKILL, NULL), 0);
    clock_sleep_ms(100);
    int64_t before = clock_mono_ms();
    int status = proc_stop(pid, 100);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_in_range(clock_mono_ms() - before, 90, 3000);
}

static void a_child_dies_with_its_parent(void **state)
{
    int ends[2];
    pid_t parent, child = 0;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    if ((parent = fork()) == 0) {
        char *const argv[] = {"sleep", "60", NULL};
        pid_t started = 0;
        proc_spawn(&started, "/bin/sleep", argv, NULL, NULL, 0, SIGKILL, NULL);
        _exit(write(ends[1], &started, sizeof started) == sizeof started ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(fs_read_all(ends[0], &child, sizeof child), sizeof child);
    close(ends[0]);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    for (int i = 0; i < 200; i++) {
        char path[64], stat_line[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
        FILE *file = fopen(path, "r");
        if (!file)
            return;
        bool zombie = fgets(stat_line, sizeof stat_line, file) && strstr(stat_line, ") Z ");
        fclose(file);
        if (zombie)
            return;
        clock_sleep_ms(10);
    }
    fail_msg("child %d lives on", (int)child);
}

static void signals_are_read_from_the_descriptor(void **state)
{
    int fd = -1;
    char info[128];
    (void)state;
    assert_int_equal(proc_signals(&fd, NULL), 0);
    assert_int_equal(read(fd, info, sizeof info), -1);
    assert_int_equal(errno, EAGAIN);
    kill(getpid(), SIGTERM);
    assert_int_equal(read(fd, info, sizeof info), 128);
    assert_int_equal(*(uint32_t *)(void *)info, SIGTERM);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_atomic_write_replaces_the_file_and_leaves_no_temporary),
        cmocka_unit_test(removing_a_tree_does_not_follow_links),
        cmocka_unit_test(a_full_disk_is_storage_full),
        cmocka_unit_test(a_child_has_the_environment_and_only_the_listed_descriptors),
        cmocka_unit_test(a_program_that_cannot_start_is_an_error_of_the_parent),
        cmocka_unit_test(descriptors_may_swap_their_numbers),
        cmocka_unit_test(a_child_that_ignores_term_is_killed_after_the_grace),
        cmocka_unit_test(a_child_dies_with_its_parent),
        cmocka_unit_test(signals_are_read_from_the_descriptor),
    };
    return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
