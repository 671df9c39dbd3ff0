#include "base/fault.h"
#include "queue/queue_int.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void a_fault_that_is_not_enabled_is_refused(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(fault_arm("", false, &e), 0);
    assert_int_equal(fault_arm("worker.claimed:die", false, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
    assert_non_null(strstr(e.detail, "LONGANIM_FAULT_ENABLE"));
    assert_false(fault__armed);
}

static void what_is_not_a_fault_is_refused(void **state)
{
    static const char *const bad[] = {
        "worker.claimd:die",    "worker.claimed",       "worker.claimed:",       "worker.claimed:burn",
        "worker.claimed:die:0", "worker.claimed:die:x", "worker.claimed:die:1x", ":die"};
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fault_arm(bad[i], true, &e), -1);
    assert_int_equal(fault_arm(bad[0], true, &e), -1);
    assert_non_null(strstr(e.detail, "worker.claimed"));
    assert_false(fault__armed);
}

/* What a child does that passes the point five times; each action in a process of its own. */
static int fate_of(const char *setting)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        int errors = 0;
        if (fault_arm(setting, true, &e) != 0)
            _exit(100);
        for (int i = 0; i < 5; i++)
            errors += fault("worker.claimed") ? 1 << i : 0;
        _exit(errors | (fault("worker.fetched") ? 64 : 0));
    }
    waitpid(pid, &status, WUNTRACED);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return status;
}

static void it_strikes_once_at_the_nth_passing_of_its_own_point(void **state)
{
    (void)state;
    int status = fate_of("worker.claimed:error:3");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 4);
    status = fate_of("worker.claimed:error");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    status = fate_of("worker.claimed:die:5");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = fate_of("worker.claimed:die:6");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = fate_of("worker.claimed:stall");
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

static void with_a_file_it_strikes_once_in_all(void **state)
{
    char file[] = "/tmp/test_fault.XXXXXX", setting[64];
    (void)state;
    close(mkstemp(file));
    unlink(file);
    snprintf(setting, sizeof setting, "worker.claimed:error:2@%s", file);
    int status = fate_of(setting);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    assert_int_equal(access(file, F_OK), 0);
    status = fate_of(setting);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    unlink(file);
}

struct found {
    int points, scripts;
};

static void count_point(void *user, const char *point, const char *doc)
{
    struct found *f = user;
    static const char *const names[] = {
#define NAME(name) #name,
        QUEUE_SCRIPTS(NAME)
#undef NAME
    };
    f->points++;
    assert_true(strlen(doc) > 5);
    if (strncmp(point, "redis.", 6) != 0)
        return;
    bool known = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        known |= strncmp(point + 6, names[i], strlen(names[i])) == 0 && point[6 + strlen(names[i])] == '.';
    assert_true(known);
    f->scripts++;
}

static void every_point_of_a_script_names_a_script(void **state)
{
    struct found f = {0};
    (void)state;
    fault_each(count_point, &f);
    assert_true(f.points >= 60 && f.scripts >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_that_is_not_enabled_is_refused),
        cmocka_unit_test(what_is_not_a_fault_is_refused),
        cmocka_unit_test(it_strikes_once_at_the_nth_passing_of_its_own_point),
        cmocka_unit_test(with_a_file_it_strikes_once_in_all),
        cmocka_unit_test(every_point_of_a_script_names_a_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
