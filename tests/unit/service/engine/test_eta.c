#include "engine/eta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Plays a run: every segment takes `other_ms` and then `steps` steps of step_ms each, until `until` segments are done.
 */
static int64_t play(struct eta *t, int32_t steps, int32_t until, int64_t step_ms, int64_t other_ms)
{
    int64_t now_ms = 1000;
    for (int32_t n = 0; n < until; n++) {
        now_ms += other_ms;
        eta_step(t, n, 0, now_ms);
        for (int32_t i = 1; i <= steps; i++)
            eta_step(t, n, i, now_ms += step_ms);
        eta_segment_done(t, n, now_ms);
    }
    return now_ms;
}

static void nothing_is_promised_before_the_first_step(void **state)
{
    struct eta t;
    int64_t low, high;
    (void)state;
    eta_init(&t, 3, 10, 0, 0, 0);
    eta_step(&t, 0, 0, 5);
    eta_estimate(&t, 6, &low, &high);
    assert_int_equal(low, -1);
    assert_int_equal(high, -1);
}

static void a_steady_run_is_foretold_within_its_range(void **state)
{
    struct eta t;
    int64_t low, high;
    (void)state;
    eta_init(&t, 12, 20, 0, 0, 1000);
    int64_t now_ms = play(&t, 20, 5, 700, 3000);
    eta_estimate(&t, now_ms, &low, &high);
    int64_t truth = 7 * (20 * 700 + 3000);
    assert_true(low <= truth && truth <= high);
    assert_true(high - low < truth / 2);
}

static void the_first_step_gives_a_wide_range(void **state)
{
    struct eta t;
    int64_t low, high;
    (void)state;
    eta_init(&t, 10, 10, 0, 0, 0);
    eta_step(&t, 0, 0, 100);
    eta_step(&t, 0, 1, 1100);
    eta_estimate(&t, 1100, &low, &high);
    int64_t truth = 99 * 1000 + 10 * 2000;
    assert_true(low <= truth && truth <= high);
}

static void nothing_is_left_at_the_end_and_never_less(void **state)
{
    struct eta t;
    int64_t low, high;
    (void)state;
    eta_init(&t, 2, 4, 0, 0, 1000);
    int64_t now_ms = play(&t, 4, 2, 100, 50);
    eta_estimate(&t, now_ms, &low, &high);
    assert_int_equal(low, 0);
    assert_int_equal(high, 0);
    eta_init(&t, 2, 4, 0, 0, 1000);
    play(&t, 4, 1, 100, 50);
    eta_step(&t, 1, 1, 2000);
    eta_estimate(&t, 1000000, &low, &high);
    assert_true(low >= 0 && high >= low);
}

static void a_resumed_run_counts_only_what_is_left(void **state)
{
    struct eta t;
    int64_t low, high;
    (void)state;
    eta_init(&t, 100, 10, 99, 0, 0);
    eta_step(&t, 99, 0, 0);
    eta_step(&t, 99, 5, 5000);
    eta_estimate(&t, 5000, &low, &high);
    assert_true(low <= 5000 && high >= 5000 && high < 20000);
}

static void the_end_is_guessed_and_then_measured(void **state)
{
    struct eta t;
    int64_t low, high;
    (void)state;
    eta_init(&t, 2, 4, 0, 6000, 1000);
    int64_t now_ms = play(&t, 4, 2, 100, 50);
    eta_estimate(&t, now_ms, &low, &high);
    assert_true(low > 0 && low <= 6000 && high >= 6000);
    eta_end(&t, 10, 40);
    eta_estimate(&t, now_ms + 4000, &low, &high);
    assert_true(low <= 12000 && high >= 12000 && high - low < 12000);
    eta_end(&t, 40, 40);
    eta_estimate(&t, now_ms + 16000, &low, &high);
    assert_int_equal(high, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_promised_before_the_first_step),
        cmocka_unit_test(a_steady_run_is_foretold_within_its_range),
        cmocka_unit_test(the_first_step_gives_a_wide_range),
        cmocka_unit_test(nothing_is_left_at_the_end_and_never_less),
        cmocka_unit_test(the_end_is_guessed_and_then_measured),
        cmocka_unit_test(a_resumed_run_counts_only_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
