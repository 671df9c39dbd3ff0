#include "media/media_int.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct media_timeline times_of(int32_t tb_num, int32_t tb_den)
{
    return (struct media_timeline){.tb_num = tb_num, .tb_den = tb_den};
}

static void a_steady_rate_is_exact(void **state)
{
    struct media_timeline t = times_of(1, 24000);
    struct media_info info = {0};
    (void)state;
    for (int i = 81; i-- > 0;) /* any order */
        media__list_add(&t.pts, i * 1001, NULL);
    t.last_duration = 1001;
    assert_int_equal(media__timeline_finish(&t, false, 0, 1, &info, NULL), 0);
    assert_int_equal(info.fps_num, 24000);
    assert_int_equal(info.fps_den, 1001);
    assert_int_equal(info.frames, 81);
    assert_false(info.variable_rate);
    assert_int_equal(info.duration_us, 3378375);
    media__list_free(&t.pts);
}

static void rounded_times_become_exact_again(void **state)
{
    struct media_timeline t = times_of(1, 1000);
    struct media_info info = {0};
    (void)state;
    for (int i = 0; i < 200; i++)
        media__list_add(&t.pts, 500 + lround(i * 1001.0 / 24), NULL);
    assert_int_equal(media__timeline_finish(&t, true, 24000, 1001, &info, NULL), 0);
    assert_int_equal(t.tb_num, 1);
    assert_int_equal(t.tb_den, 24000);
    for (int i = 0; i < 200; i++)
        assert_int_equal(t.pts.items[i], 12000 + 1001 * i);
    assert_int_equal(t.last_duration, 1001);
    assert_int_equal(info.start_us, 500000);
    assert_false(info.variable_rate);
    media__list_free(&t.pts);
}

static void a_measured_rate_is_tidied(void **state)
{
    static const int32_t measured[][2] = {{2997, 125}, {23976, 1000}, {10007, 417}};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct media_timeline t = times_of(1, 1000);
        struct media_info info = {0};
        for (int i = 0; i < 100; i++)
            media__list_add(&t.pts, lround(k == 2 ? i * 1000.0 / 24 : i * 1001.0 / 24), NULL);
        assert_int_equal(media__timeline_finish(&t, true, measured[k][0], measured[k][1], &info, NULL), 0);
        assert_int_equal(info.fps_num, k == 2 ? 24 : 24000);
        assert_int_equal(info.fps_den, k == 2 ? 1 : 1001);
        media__list_free(&t.pts);
    }
}

static void a_variable_rate_keeps_its_times(void **state)
{
    static const int64_t pts[] = {0, 42, 83, 208, 250, 1250};
    struct media_timeline t = times_of(1, 1000);
    struct media_info info = {0};
    (void)state;
    for (size_t i = 0; i < 6; i++)
        media__list_add(&t.pts, pts[i], NULL);
    assert_int_equal(media__timeline_finish(&t, true, 24, 1, &info, NULL), 0);
    assert_true(info.variable_rate);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(t.pts.items[i], pts[i]);
    media__list_free(&t.pts);
}

static void two_frames_at_one_time_are_refused(void **state)
{
    struct media_timeline t = times_of(1, 24);
    struct media_info info = {0};
    struct err e = {0};
    (void)state;
    media__list_add(&t.pts, 3, NULL);
    media__list_add(&t.pts, 4, NULL);
    media__list_add(&t.pts, 3, NULL);
    assert_int_equal(media__timeline_finish(&t, false, 24, 1, &info, &e), -1);
    assert_int_equal(e.code, ERR_media_unreadable);
    media__list_free(&t.pts);
}

static void far_off_times_are_refused(void **state)
{
    struct media_timeline t = times_of(1, 1000000);
    struct media_info info = {0};
    struct err e = {0};
    (void)state;
    media__list_add(&t.pts, INT64_MIN + 1, NULL);
    media__list_add(&t.pts, INT64_MAX, NULL);
    assert_int_equal(media__timeline_finish(&t, true, 24, 1, &info, &e), -1);
    assert_int_equal(e.code, ERR_media_unreadable);
    media__list_free(&t.pts);
}

/* Turning by the opposite way puts every pixel back; 90 degrees to the right moves the top left to the top right. */
static void orientations_are_what_exif_says(void **state)
{
    static const enum media_orientation back[] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
    uint8_t src[5 * 3 * 3], there[5 * 3 * 3], again[5 * 3 * 3];
    (void)state;
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (uint8_t)(i * 3);
    for (int o = 1; o <= 8; o++) {
        bool swaps = media__swaps_sides((enum media_orientation)o);
        media__orient(src, 5, 3, 3, (enum media_orientation)o, there);
        media__orient(there, swaps ? 3 : 5, swaps ? 5 : 3, 3, back[o], again);
        assert_memory_equal(again, src, sizeof src);
    }
    media__orient(src, 5, 3, 3, MEDIA_TURNED_RIGHT, there);
    assert_memory_equal(there + 2 * 3, src, 3);
    media__orient(src, 5, 3, 3, MEDIA_MIRRORED, there);
    assert_memory_equal(there + 4 * 3, src, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_rate_is_exact),
        cmocka_unit_test(rounded_times_become_exact_again),
        cmocka_unit_test(a_measured_rate_is_tidied),
        cmocka_unit_test(a_variable_rate_keeps_its_times),
        cmocka_unit_test(two_frames_at_one_time_are_refused),
        cmocka_unit_test(far_off_times_are_refused),
        cmocka_unit_test(orientations_are_what_exif_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
