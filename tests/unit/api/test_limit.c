#include "api/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void a_minutes_worth_may_come_at_once_and_then_one_by_one(void **state)
{
    struct limit *l = limit_new();
    struct limit_state s;
    int64_t now = 5000000;

    (void)state;
    for (int i = 0; i < 60; i++) {
        assert_true(limit_take(l, "anna", 60, now, &s));
        assert_int_equal(s.remaining, 59 - i);
    }
    assert_false(limit_take(l, "anna", 60, now, &s));
    assert_int_equal(s.remaining, 0);
    assert_int_equal(s.retry_after_s, 1);
    assert_int_equal(s.reset_s, 60);
    assert_int_equal(s.quota, 60);
    assert_true(limit_take(l, "bert", 60, now, &s));
    now += 999999;
    assert_false(limit_take(l, "anna", 60, now, &s));
    now += 1;
    assert_true(limit_take(l, "anna", 60, now, &s));
    assert_false(limit_take(l, "anna", 60, now, &s));
    now += 60000000;
    assert_true(limit_take(l, "anna", 60, now, &s));
    assert_int_equal(s.remaining, 59);
    limit_free(l);
}

static void refused_requests_do_not_count(void **state)
{
    struct limit *l = limit_new();
    struct limit_state s;

    (void)state;
    assert_true(limit_take(l, "a", 1, 0, &s));
    for (int i = 0; i < 1000; i++)
        assert_false(limit_take(l, "a", 1, i, &s));
    assert_int_equal(s.retry_after_s, 60);
    assert_true(limit_take(l, "a", 1, 60000000, &s));
    limit_free(l);
}

static void great_rates_are_no_trouble(void **state)
{
    struct limit *l = limit_new();
    struct limit_state s;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(limit_take(l, "a", 1000000000, i, &s));
    limit_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minutes_worth_may_come_at_once_and_then_one_by_one),
        cmocka_unit_test(refused_requests_do_not_count),
        cmocka_unit_test(great_rates_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
