#include "paint/quality.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { W = 64, H = 48, PIXELS = W * H };

static const uint8_t skin[3] = {240, 200, 180}, shirt[3] = {40, 90, 200};

/* Two areas with a line between. */
static void truth_frame(uint8_t *rgb, uint8_t *lines)
{
    for (int i = 0; i < PIXELS; i++) {
        bool line = i % W == 31 || i % W == 32;
        memcpy(rgb + 3 * i, line ? (const uint8_t[3]){0, 0, 0} : i % W < 32 ? skin : shirt, 3);
        memset(lines + 3 * i, line ? 0 : 255, 3);
    }
}

struct frames {
    uint8_t truth[PIXELS * 3], lines[PIXELS * 3], result[PIXELS * 3];
};

static struct frames *frames_new(void)
{
    struct frames *f = malloc(sizeof *f);
    assert_non_null(f);
    truth_frame(f->truth, f->lines);
    memcpy(f->result, f->truth, sizeof f->result);
    return f;
}

static struct quality_row add(struct quality *m, const struct frames *f, bool with_lines)
{
    struct err e = {0};
    struct paint_image truth = {f->truth, W, H, 3}, result = {f->result, W, H, 3}, lines = {f->lines, W, H, 3};
    const struct quality_row *rows;
    assert_int_equal(quality_add(m, &result, &truth, with_lines ? &lines : NULL, &e), 0);
    return quality_rows(m, &rows) ? rows[quality_rows(m, &rows) - 1] : (struct quality_row){0};
}

static struct quality *quality_open(void)
{
    struct quality *m;
    struct err e;
    assert_int_equal(quality_new(&m, W, H, NULL, &e), 0);
    return m;
}

static void identical_frames_are_perfect(void **state)
{
    struct frames *f = frames_new();
    (void)state;
    for (int with_lines = 0; with_lines < 2; with_lines++) {
        struct quality *m = quality_open();
        struct quality_row r = add(m, f, with_lines);
        assert_true(r.psnr == 100 && fabs(r.ssim - 1) < 1e-6);
        assert_int_equal(r.regions, 2);
        assert_true(r.region_accuracy == 1 && r.region_area_accuracy == 1 && r.palette_error == 0 && r.palette_ok == 1);
        assert_true(r.off_palette == 0 && r.leak == 0 && isnan(r.flicker) && r.drift == 0);
        assert_false(r.hold);
        quality_free(m);
    }
    free(f);
}

static void psnr_of_a_known_error(void **state)
{
    struct frames *f = frames_new();
    (void)state;
    for (int i = 0; i < PIXELS * 3; i++)
        f->result[i] = (uint8_t)(f->truth[i] > 128 ? f->truth[i] - 10 : f->truth[i] + 10);
    assert_true(fabs(quality_psnr(f->result, f->truth, PIXELS) - 20 * log10(25.5)) < 1e-9);
    free(f);
}

/* The value that an independent implementation gives (valid area, each channel) for this pattern. */
static void ssim_of_a_known_pattern(void **state)
{
    uint8_t a[40 * 30 * 3], b[40 * 30 * 3];
    double ssim;
    (void)state;
    for (int i = 0; i < 40 * 30; i++)
        for (int c = 0; c < 3; c++) {
            int x = i % 40, y = i / 40;
            a[3 * i + c] = (uint8_t)((x * 7 + y * 13 + c * 50) % 256);
            b[3 * i + c] = (uint8_t)((x * 7 + y * 13 + c * 50 + (x * y) % 31) % 256);
        }
    assert_int_equal(quality_ssim(a, b, 40, 30, &ssim), 0);
    assert_true(fabs(ssim - 0.6403617) < 1e-5);
    assert_int_equal(quality_ssim(a, b, 10, 30, &ssim), 0);
    assert_true(isnan(ssim));
}

static void a_wrong_region_costs_accuracy_and_palette_error(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    (void)state;
    for (int i = 0; i < PIXELS; i++)
        if (i % W > 32)
            memcpy(f->result + 3 * i, skin, 3);
    struct quality_row r = add(m, f, true);
    assert_true(r.region_accuracy == 0.5 && fabs(r.region_area_accuracy - 0.5) < 0.01 && r.palette_ok == 0.5);
    assert_true(r.palette_error > 10 && r.off_palette == 0);
    quality_free(m);
    free(f);
}

static void colours_of_no_sheet_are_counted(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    (void)state;
    for (int i = 0; i < PIXELS; i++)
        if (i % W < 31 && i / W < 24)
            memcpy(f->result + 3 * i, (const uint8_t[3]){0, 255, 0}, 3);
    struct quality_row r = add(m, f, true);
    assert_true(fabs(r.off_palette - 0.25) < 0.03);
    assert_true(r.leak == 0);
    quality_free(m);
    free(f);
}

static void paint_of_the_neighbour_is_a_leak(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    int leaked = 0;
    (void)state;
    for (int i = 0; i < PIXELS; i++)
        if (i % W >= 26 && i % W < 30) {
            memcpy(f->result + 3 * i, shirt, 3);
            leaked++;
        }
    struct quality_row r = add(m, f, true);
    assert_true(fabs(r.leak - (double)leaked / ((W - 4) * H)) < 0.005);
    assert_true(r.region_accuracy == 1);
    quality_free(m);
    free(f);
}

static void any_change_on_a_hold_is_flicker(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    (void)state;
    add(m, f, true);
    struct quality_row r = add(m, f, true);
    assert_true(r.hold && r.flicker == 0);
    f->result[0] ^= 1;
    r = add(m, f, true);
    assert_true(r.hold && r.flicker == 1.0 / PIXELS);
    f->lines[3] = 100; /* another drawing */
    f->result[3] ^= 1;
    r = add(m, f, true);
    assert_true(!r.hold && isnan(r.flicker));
    quality_free(m);
    free(f);
}

static void a_slow_change_of_colour_is_drift(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    struct quality_row mean;
    double per_100;
    (void)state;
    for (int t = 0; t < 20; t++) {
        for (int i = 0; i < PIXELS; i++)
            if (i % W > 32)
                f->result[3 * i + 2] = (uint8_t)(200 - t);
        f->lines[0] = (uint8_t)(255 - t);
        add(m, f, true);
    }
    quality_mean(m, &mean, &per_100);
    assert_true(per_100 > 5 && per_100 < 60);
    const struct quality_row *rows;
    quality_rows(m, &rows);
    assert_true(rows[0].drift == 0 && rows[19].drift > rows[10].drift && rows[10].drift > 0);
    quality_free(m);
    free(f);
}

static void reports_have_a_row_per_frame_and_nulls_for_what_is_not_measured(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    struct buf b;
    struct err e;
    int rows = 0;
    (void)state;
    for (int i = 0; i < 3; i++) {
        f->lines[0] = (uint8_t)(250 + i);
        add(m, f, true);
    }
    buf_init(&b, 1 << 20);
    assert_int_equal(quality_csv(m, &b, &e), 0);
    for (const char *at = b.data; (at = strchr(at, '\n')); at++)
        rows++;
    assert_int_equal(rows, 4);
    assert_int_equal(strncmp(b.data, "frame,hold,regions,psnr,ssim,", 29), 0);
    buf_reset(&b);
    assert_int_equal(quality_json(m, &b, &e), 0);
    assert_non_null(strstr(b.data, "\"flicker\":null"));
    assert_non_null(strstr(b.data, "\"psnr\":100.0"));
    buf_reset(&b);
    assert_int_equal(quality_svg(m, &b, &e), 0);
    assert_int_equal(strncmp(b.data, "<svg ", 5), 0);
    assert_non_null(strstr(b.data, "not measured"));
    buf_free(&b);
    quality_free(m);
    free(f);
}

/* A frame without flat colours has no regions, whatever the frame before it had. */
static void frames_without_flat_colours_are_compared_by_pixels(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    uint32_t noise = 7;
    (void)state;
    for (int t = 0; t < 3; t++) {
        truth_frame(f->truth, f->lines);
        for (int i = 0; t != 1 && i < PIXELS * 3; i++)
            f->truth[i] = (uint8_t)((noise = noise * 1664525 + 1013904223) >> 24);
        memcpy(f->result, f->truth, sizeof f->result);
        struct quality_row r = add(m, f, false);
        assert_true(r.psnr == 100 && r.ssim > 0.999);
        assert_int_equal(r.regions, t == 1 ? 2 : 0);
    }
    quality_free(m);
    free(f);
}

static void frames_of_another_size_are_refused(void **state)
{
    struct frames *f = frames_new();
    struct quality *m = quality_open();
    struct err e = {0};
    (void)state;
    struct paint_image truth = {f->truth, W, H, 3}, other = {f->result, W / 2, H, 3};
    assert_int_equal(quality_add(m, &other, &truth, NULL, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
    quality_free(m);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identical_frames_are_perfect),
        cmocka_unit_test(psnr_of_a_known_error),
        cmocka_unit_test(ssim_of_a_known_pattern),
        cmocka_unit_test(a_wrong_region_costs_accuracy_and_palette_error),
        cmocka_unit_test(colours_of_no_sheet_are_counted),
        cmocka_unit_test(paint_of_the_neighbour_is_a_leak),
        cmocka_unit_test(any_change_on_a_hold_is_flicker),
        cmocka_unit_test(a_slow_change_of_colour_is_drift),
        cmocka_unit_test(reports_have_a_row_per_frame_and_nulls_for_what_is_not_measured),
        cmocka_unit_test(frames_without_flat_colours_are_compared_by_pixels),
        cmocka_unit_test(frames_of_another_size_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
