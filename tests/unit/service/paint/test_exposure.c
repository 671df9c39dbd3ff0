#include "paint/exposure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* One column "A"; shown[f] is a digit, '-' = nothing. */
static struct timesheet sheet_of(const char *shown)
{
    char text[8192], *at = text;
    struct timesheet t;
    struct err e = {0};
    at +=
        sprintf(at,
                "exchangeDigitalTimeSheet Save Data\n{\"timeTables\":[{\"duration\":%zu,\"timeTableHeaders\":[{"
                "\"fieldId\":0,\"names\":[\"A\"]}],\"fields\":[{\"fieldId\":0,\"tracks\":[{\"trackNo\":0,\"frames\":[",
                strlen(shown));
    for (size_t f = 0; shown[f]; f++)
        at += sprintf(at, "%s{\"frame\":%zu,\"data\":[{\"id\":0,\"values\":[\"%.*s\"]}]}", f ? "," : "", f,
                      shown[f] == '-' ? 16 : 1, shown[f] == '-' ? "SYMBOL_NULL_CELL" : &shown[f]);
    sprintf(at, "]}]}]}]}");
    if (timesheet_parse(&t, text, strlen(text), &e))
        fail_msg("%s", e.detail);
    return t;
}

static void a_shot_as_long_as_the_sheet_keeps_the_first_frame_of_each_drawing(void **state)
{
    static const bool keep[7] = {true, false, true, false, false, true, false};
    static const int32_t shown[7] = {0, 0, 1, 1, 0, 2, 2}, first[7] = {0, 0, 2, 2, 0, 5, 5};
    struct timesheet t = sheet_of("1122133");
    struct exposure x;
    struct err e;
    (void)state;
    assert_int_equal(exposure_init(&x, &t, 7, NULL, &e), 0);
    assert_int_equal(x.kind, EXPOSURE_FRAMES);
    assert_int_equal(x.kept, 3);
    assert_memory_equal(x.keep, keep, sizeof keep);
    assert_memory_equal(x.shown, shown, sizeof shown);
    assert_memory_equal(x.first, first, sizeof first);
    exposure_fini(&x);
    timesheet_fini(&t);
}

static void a_zip_of_drawings_is_shown_as_the_sheet_says(void **state)
{
    static const char *const names[3] = {"A/A0001.png", "A/A0002.png", "A/A0003.png"};
    static const int32_t shown[8] = {0, 0, 2, 2, 1, 1, -1, -1};
    struct timesheet t = sheet_of("113322--");
    struct exposure x;
    struct err e;
    (void)state;
    assert_int_equal(exposure_init(&x, &t, 3, names, &e), 0);
    assert_int_equal(x.kind, EXPOSURE_DRAWINGS);
    assert_string_equal(x.column, "A");
    assert_int_equal(x.kept, 3);
    assert_memory_equal(x.shown, shown, sizeof shown);
    exposure_fini(&x);
    timesheet_fini(&t);
}

static void a_sheet_that_fits_nothing_says_what_is_missing(void **state)
{
    static const char *const names[2] = {"A1.png", "A2.png"}, *const strange[2] = {"x.png", "y.png"};
    struct timesheet t = sheet_of("11224");
    struct exposure x;
    struct err e = {0};
    (void)state;
    assert_int_equal(exposure_init(&x, &t, 2, names, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
    assert_string_equal(e.field, "timesheet");
    assert_non_null(strstr(e.detail, "drawing 4"));
    assert_int_equal(exposure_init(&x, &t, 2, strange, &e), -1);
    assert_non_null(strstr(e.detail, "5 frames"));
    assert_int_equal(exposure_init(&x, &t, 4, NULL, &e), -1);
    assert_int_equal(exposure_init(&x, &t, 0, NULL, &e), -1);
    timesheet_fini(&t);
}

static void frames_that_are_not_the_drawing_are_found(void **state)
{
    enum { W = 320, H = 180, FRAMES = 4 };
    static uint8_t rgb[W * H * 3], prints[FRAMES * EXPOSURE_PRINT];
    struct timesheet t = sheet_of("1121");
    struct exposure x;
    struct err e = {0};
    (void)state;
    assert_int_equal(exposure_init(&x, &t, FRAMES, NULL, &e), 0);
    for (int f = 0; f < FRAMES; f++) {
        memset(rgb, 255, sizeof rgb);
        for (int y = 20; y < 160; y++)
            memset(rgb + (y * W + (f == 2 ? 200 : 100)) * 3, 0, 6);
        for (int i = 0; i < W * H * 3; i += 7) /* what compression leaves */
            rgb[i] = (uint8_t)(rgb[i] > 128 ? 250 - f : 3 + f);
        exposure_print(rgb, W, H, prints + f * EXPOSURE_PRINT);
    }
    assert_int_equal(exposure_check(&x, prints, &e), 0);
    memcpy(prints + 3 * EXPOSURE_PRINT, prints + 2 * EXPOSURE_PRINT, EXPOSURE_PRINT);
    assert_int_equal(exposure_check(&x, prints, &e), -1);
    assert_non_null(strstr(e.detail, "at frame 3"));
    exposure_fini(&x);
    timesheet_fini(&t);
}

static void held_frames_show_the_frame_before_them(void **state)
{
    static const bool held[6] = {false, true, false, true, true, false};
    static const int32_t shown[6] = {0, 0, 1, 1, 1, 2}, first[6] = {0, 0, 2, 2, 2, 5};
    struct exposure x;
    struct err e;
    (void)state;
    assert_int_equal(exposure_holds(&x, held, 6, &e), 0);
    assert_int_equal(x.kind, EXPOSURE_FRAMES);
    assert_int_equal(x.kept, 3);
    assert_memory_equal(x.shown, shown, sizeof shown);
    assert_memory_equal(x.first, first, sizeof first);
    for (int i = 0; i < 6; i++)
        assert_int_equal(x.keep[i], !held[i]);
    exposure_fini(&x);
}

static void drawings_that_are_never_shown_can_be_dropped(void **state)
{
    static const char *const names[4] = {"A1.png", "A2.png", "A3.png", "A4.png"};
    static const bool keep[4] = {false, true, false, true}, one[4] = {true, false, false, false};
    static const int32_t shown[5] = {-1, 1, 1, 0, -1};
    struct timesheet t = sheet_of("-442-");
    struct exposure x;
    struct err e;
    (void)state;
    assert_int_equal(exposure_init(&x, &t, 4, names, &e), 0);
    assert_int_equal(x.kept, 4);
    assert_int_equal(exposure_drop_hidden(&x, &e), 0);
    assert_int_equal(x.kept, 2);
    assert_memory_equal(x.keep, keep, sizeof keep);
    assert_memory_equal(x.shown, shown, sizeof shown);
    for (int f = 0; f < 5; f++)
        x.first[f] = -1;
    assert_int_equal(exposure_drop_hidden(&x, &e), 0);
    assert_memory_equal(x.keep, one, sizeof one);
    exposure_fini(&x);
    timesheet_fini(&t);
}

static void a_print_of_few_pixels_is_safe(void **state)
{
    uint8_t rgb[3] = {1, 2, 3}, print[EXPOSURE_PRINT];
    (void)state;
    exposure_print(rgb, 1, 1, print);
    assert_int_equal(print[0], 2);
    assert_int_equal(print[EXPOSURE_PRINT - 1], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shot_as_long_as_the_sheet_keeps_the_first_frame_of_each_drawing),
        cmocka_unit_test(a_zip_of_drawings_is_shown_as_the_sheet_says),
        cmocka_unit_test(a_sheet_that_fits_nothing_says_what_is_missing),
        cmocka_unit_test(frames_that_are_not_the_drawing_are_found),
        cmocka_unit_test(held_frames_show_the_frame_before_them),
        cmocka_unit_test(drawings_that_are_never_shown_can_be_dropped),
        cmocka_unit_test(a_print_of_few_pixels_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
