#include "api/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static void what_one_api_counted_counts_at_another(void **state)
{
    struct limit *here = limit_new(), *there = limit_new();
    struct queue_rate told[4];
    struct limit_state s;
    int64_t now = 7000000;

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_true(limit_take(here, "anna", 60, now, &s));
    for (int i = 0; i < 10; i++)
        assert_true(limit_take(there, "anna", 60, now, &s));
    assert_int_equal(limit_collect(here, now, told, 4), 1);
    assert_string_equal(told[0].tenant, "anna");
    assert_int_equal(told[0].used_us, 40000000);
    told[0].ahead_us = 50000000; /* as Redis adds it up */
    limit_adopt(here, now, told, 1, true);
    assert_int_equal(limit_collect(there, now, told, 4), 1);
    assert_int_equal(told[0].used_us, 10000000);
    assert_true(limit_take(there, "anna", 60, now, &s)); /* while the answer is under way */
    told[0].ahead_us = 50000000;
    limit_adopt(there, now, told, 1, true);
    assert_true(limit_take(here, "anna", 60, now, &s));
    assert_int_equal(s.remaining, 9);
    assert_true(limit_take(there, "anna", 60, now, &s));
    assert_int_equal(s.remaining, 8);
    assert_int_equal(limit_collect(there, now, told, 4), 1);
    assert_int_equal(told[0].used_us, 2000000);
    limit_free(here);
    limit_free(there);
}

static void what_could_not_be_told_is_told_later_as_far_as_it_still_matters(void **state)
{
    struct limit *l = limit_new();
    struct queue_rate told[4];
    struct limit_state s;

    (void)state;
    for (int i = 0; i < 60; i++)
        assert_true(limit_take(l, "anna", 60, 0, &s));
    assert_int_equal(limit_collect(l, 0, told, 4), 1);
    limit_adopt(l, 0, told, 1, false);
    assert_int_equal(limit_collect(l, 50000000, told, 4), 1);
    assert_int_equal(told[0].used_us, 10000000);
    assert_int_equal(limit_collect(l, 61000000, told, 4), 0);
    limit_free(l);
}

static void all_keys_have_their_turn(void **state)
{
    struct limit *l = limit_new();
    struct queue_rate told[16];
    struct limit_state s;
    int seen[100] = {0}, n;
    char name[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "k%d", i);
        assert_true(limit_take(l, name, 60, 0, &s));
    }
    for (int round = 0; round < 64; round++) {
        int count = limit_collect(l, 0, told, 16);
        for (int i = 0; i < count; i++) {
            assert_int_equal(sscanf(told[i].tenant, "k%d", &n), 1);
            seen[n] = 1;
        }
    }
    for (int i = 0; i < 100; i++)
        assert_true(seen[i]);
    limit_free(l);
}

static void streams_are_counted(void **state)
{
    struct limit *l = limit_new();

    (void)state;
    assert_true(limit_hold(l, "anna", 2));
    assert_true(limit_hold(l, "anna", 2));
    assert_false(limit_hold(l, "anna", 2));
    assert_true(limit_hold(l, "bert", 2));
    limit_let_go(l, "anna");
    assert_true(limit_hold(l, "anna", 2));
    assert_true(limit_hold(l, "anna", 0));
    limit_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minutes_worth_may_come_at_once_and_then_one_by_one),
        cmocka_unit_test(refused_requests_do_not_count),
        cmocka_unit_test(great_rates_are_no_trouble),
        cmocka_unit_test(what_one_api_counted_counts_at_another),
        cmocka_unit_test(what_could_not_be_told_is_told_later_as_far_as_it_still_matters),
        cmocka_unit_test(all_keys_have_their_turn),
        cmocka_unit_test(streams_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
