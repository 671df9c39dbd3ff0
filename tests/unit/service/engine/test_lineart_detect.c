#include "engine/lineart_detect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A figure of circles: outlines `pen` pixels thick in `ink`, filled with `fill` (NULL = paper), on `paper` with grain.
 */
struct drawing {
    int32_t width, height;
    double pen;
    const uint8_t *ink, *fill, *paper;
    int grain;
};

static const uint8_t white[] = {255, 255, 255}, black[] = {20, 20, 24}, red[] = {220, 40, 40}, skin[] = {248, 208, 176},
                     gray[] = {150, 150, 150}, scan[] = {226, 222, 212}, sky[] = {120, 180, 230};

static uint8_t *draw(const struct drawing *d)
{
    static const double circles[][3] = {{0.3, 0.4, 0.2}, {0.55, 0.6, 0.25}, {0.75, 0.35, 0.12}, {0.3, 0.35, 0.05}};
    uint8_t *rgb = malloc((size_t)d->width * (size_t)d->height * 3);
    uint32_t seed = 1;
    assert_non_null(rgb);
    for (int32_t y = 0; y < d->height; y++)
        for (int32_t x = 0; x < d->width; x++) {
            const uint8_t *color = d->paper;
            double cover = 0;
            for (size_t i = 0; i < 4; i++) {
                double r = hypot(x - circles[i][0] * d->width, y - circles[i][1] * d->height);
                double edge = d->pen / 2 + 0.5 - fabs(r - circles[i][2] * d->height);
                if (d->fill && r < circles[i][2] * d->height)
                    color = d->fill;
                cover = fmax(cover, fmin(1, fmax(0, edge)));
            }
            for (int c = 0; c < 3; c++) {
                seed = seed * 1664525 + 1013904223;
                int noise = d->grain ? (int)(seed >> 24) % (2 * d->grain + 1) - d->grain : 0;
                double v = color[c] * (1 - cover) + d->ink[c] * cover + noise;
                rgb[((size_t)y * (size_t)d->width + (size_t)x) * 3 + (size_t)c] = (uint8_t)fmin(255, fmax(0, v));
            }
        }
    return rgb;
}

static enum lineart_kind kind(const struct drawing *d)
{
    uint8_t *rgb = draw(d);
    enum lineart_kind k = lineart_detect(rgb, d->width, d->height);
    free(rgb);
    return k;
}

static void lines_on_paper_are_line_art_at_every_size(void **state)
{
    static const int32_t sizes[][2] = {{64, 48}, {96, 64}, {320, 192}, {720, 480}, {1280, 720}, {1920, 1080}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        double pen = sizes[i][1] / 400.0 + 1;
        struct drawing d = {sizes[i][0], sizes[i][1], pen, black, NULL, white, 0};
        assert_int_equal(kind(&d), LINEART_LINES);
        d.paper = scan;
        d.grain = 9;
        assert_int_equal(kind(&d), LINEART_LINES);
    }
}

static void coloured_pencil_lines_are_line_art(void **state)
{
    struct drawing d = {640, 360, 2, red, NULL, white, 0};
    (void)state;
    assert_int_equal(kind(&d), LINEART_LINES);
}

static void solid_black_hair_is_line_art(void **state)
{
    struct drawing d = {640, 360, 2, black, black, white, 0};
    uint8_t *rgb = draw(&d);
    (void)state;
    for (int32_t y = 100; y < 360; y++) /* only the top of the figures stays black */
        memset(rgb + (size_t)y * 640 * 3, 255, 640 * 3);
    assert_int_equal(lineart_detect(rgb, 640, 360), LINEART_LINES);
    free(rgb);
}

static void filled_figures_are_colour(void **state)
{
    static const uint8_t *const fills[] = {skin, gray, red, sky};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct drawing d = {640, 360, 2, black, fills[i], white, 0};
        assert_int_equal(kind(&d), LINEART_COLOR);
    }
}

static void painted_backgrounds_and_night_are_colour(void **state)
{
    struct drawing d = {640, 360, 2, black, NULL, sky, 0};
    (void)state;
    assert_int_equal(kind(&d), LINEART_COLOR);
    d.paper = black;
    d.ink = white;
    assert_int_equal(kind(&d), LINEART_COLOR);
    d.paper = gray;
    d.grain = 100;
    assert_int_equal(kind(&d), LINEART_COLOR);
}

static void a_blank_frame_says_nothing(void **state)
{
    struct drawing d = {320, 180, -9, black, NULL, white, 0};
    (void)state;
    assert_int_equal(kind(&d), LINEART_BLANK);
    assert_int_equal(lineart_detect(white, 1, 1), LINEART_BLANK);
}

static void frames_of_a_shot_vote(void **state)
{
    struct lineart_votes v = {0};
    (void)state;
    assert_int_equal(lineart_verdict(&v), LINEART_LINES);
    lineart_vote(&v, LINEART_BLANK);
    assert_int_equal(lineart_verdict(&v), LINEART_LINES);
    lineart_vote(&v, LINEART_COLOR);
    assert_int_equal(lineart_verdict(&v), LINEART_COLOR);
    lineart_vote(&v, LINEART_LINES);
    lineart_vote(&v, LINEART_LINES);
    assert_int_equal(lineart_verdict(&v), LINEART_LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_on_paper_are_line_art_at_every_size),
        cmocka_unit_test(coloured_pencil_lines_are_line_art),
        cmocka_unit_test(solid_black_hair_is_line_art),
        cmocka_unit_test(filled_figures_are_colour),
        cmocka_unit_test(painted_backgrounds_and_night_are_colour),
        cmocka_unit_test(a_blank_frame_says_nothing),
        cmocka_unit_test(frames_of_a_shot_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
