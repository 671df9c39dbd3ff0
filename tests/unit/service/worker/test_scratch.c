#include "worker/scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void folders_of_the_dead_are_removed_and_others_stay(void **state)
{
    char parent[] = "/tmp/test-scratch-XXXXXX", other[FS_PATH_MAX], foreign[FS_PATH_MAX];
    struct scratch ours, theirs;
    struct stat st;
    int ready[2];
    (void)state;
    assert_non_null(mkdtemp(parent));
    assert_int_equal(scratch_make(&ours, parent, NULL), 0);
    snprintf(foreign, sizeof foreign, "%s/not-ours", parent);
    assert_int_equal(mkdir(foreign, 0700), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (scratch_make(&theirs, parent, NULL) != 0 || write(ready[1], &theirs, sizeof theirs) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &theirs, sizeof theirs), sizeof theirs);
    snprintf(other, sizeof other, "%s", theirs.path);
    assert_int_equal(scratch_sweep(&ours), 0);
    assert_int_equal(stat(other, &st), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(scratch_sweep(&ours), 1);
    assert_int_not_equal(stat(other, &st), 0);
    assert_int_equal(stat(ours.path, &st), 0);
    assert_int_equal(stat(foreign, &st), 0);
    scratch_remove(&ours);
    assert_int_not_equal(stat(ours.path, &st), 0);
    assert_int_equal(fs_remove_tree(parent, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders_of_the_dead_are_removed_and_others_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
