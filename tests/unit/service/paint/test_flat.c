#include "paint/flat.h"

#include "paint/color.h"
#include "tests/support/art.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WIDTH = 480, HEIGHT = 270 };

/* A painted frame of a synthetic shot, and how much of it each part has. */
static uint8_t *painted(uint64_t seed, struct art **art, int64_t *pixels)
{
    struct art_conf c;
    struct art_frame f;
    art_conf_init(&c, seed, WIDTH, HEIGHT, 1);
    *art = art_new(&c);
    uint8_t *rgb = malloc(WIDTH * HEIGHT * 3);
    assert_non_null(*art);
    assert_non_null(rgb);
    assert_int_equal(art_frame_init(&f, *art), 0);
    art_draw(*art, 0, &f);
    art_truth(*art, &f, true, rgb);
    memset(pixels, 0, ART_PARTS_MAX * sizeof *pixels);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        pixels[f.part[i]] += f.ink[i] == 0;
    art_frame_fini(&f);
    return rgb;
}

static const struct palette_color *nearest(const struct palette *p, const uint8_t rgb[3], double *distance)
{
    const struct palette_color *best = NULL;
    *distance = INFINITY;
    for (int32_t i = 0; i < p->count; i++) {
        double d = color_ciede2000(color_cielab(p->colors[i].rgb), color_cielab(rgb));
        if (d < *distance) {
            *distance = d;
            best = &p->colors[i];
        }
    }
    return best;
}

static void clean_references_give_their_exact_colours_and_no_others(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct art *art;
        struct flat_map m;
        int64_t pixels[ART_PARTS_MAX];
        uint8_t *rgb = painted(seed, &art, pixels);
        struct paint_image image = {rgb, WIDTH, HEIGHT, 3};
        assert_int_equal(flat_find(&m, &image, false, NULL), 0);
        assert_true(flat_enough(&m) && !m.noisy);
        for (int32_t k = 0; k < art_parts(art); k++) {
            double d;
            if (pixels[k] < 60)
                continue;
            nearest(&m.palette, art_color(art, k), &d);
            assert_true(d == 0);
        }
        for (int32_t i = 0; i < m.palette.count; i++) {
            bool real = m.palette.colors[i].ink && m.palette.colors[i].area < 0.001;
            for (int32_t k = 0; k < art_parts(art); k++)
                real |= memcmp(art_color(art, k), m.palette.colors[i].rgb, 3) == 0;
            assert_true(real); /* no step of anti-aliasing became a paint */
        }
        flat_fini(&m);
        art_free(art);
        free(rgb);
    }
}

/* Waves of compression: as in JPEG, strongest beside edges. */
static void compression_noise_is_averaged_away(void **state)
{
    struct art *art;
    struct flat_map m;
    int64_t pixels[ART_PARTS_MAX];
    uint8_t *rgb = painted(3, &art, pixels);
    uint64_t random = 9;
    (void)state;
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
        double v = rgb[i] + 2.5 * sin(i / 3 % WIDTH * 1.7) + art_uniform(&random, -3, 3);
        rgb[i] = (uint8_t)lrint(fmin(fmax(v, 0), 255));
    }
    struct paint_image image = {rgb, WIDTH, HEIGHT, 3};
    assert_int_equal(flat_find(&m, &image, false, NULL), 0);
    assert_true(m.noisy && flat_enough(&m));
    for (int32_t k = 0; k < art_parts(art); k++) {
        double d;
        if (pixels[k] < 1500)
            continue;
        nearest(&m.palette, art_color(art, k), &d);
        assert_true(d < 1.5);
    }
    assert_true(m.palette.count < 60);
    flat_fini(&m);
    art_free(art);
    free(rgb);
}

static bool is_flat(const struct paint_image *image)
{
    struct flat_map m;
    struct err e;
    assert_int_equal(flat_find(&m, image, false, &e), 0);
    bool flat = flat_enough(&m);
    flat_fini(&m);
    return flat;
}

static void photographs_and_gradients_have_no_flat_colours(void **state)
{
    uint8_t *rgb = malloc(WIDTH * HEIGHT * 3);
    uint64_t random = 4;
    (void)state;
    struct paint_image image = {rgb, WIDTH, HEIGHT, 3};
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        rgb[i] = (uint8_t)(128 + 100 * sin(i / 3 % WIDTH * 0.02 + i % 3) * cos(i / 3 / WIDTH * 0.03) +
                           art_uniform(&random, -8, 8));
    assert_false(is_flat(&image));
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)((i % WIDTH * 255 / WIDTH + c * 40 + i / WIDTH / 2) % 256);
    assert_false(is_flat(&image));
    free(rgb);
}

static void lines_are_ink_and_dots_of_their_colour_are_paint(void **state)
{
    uint8_t *rgb = malloc(WIDTH * HEIGHT * 3);
    struct flat_map m;
    (void)state;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            static const uint8_t skin[3] = {240, 200, 180}, shirt[3] = {30, 90, 200}, black[3] = {0, 0, 0};
            bool line = abs(y - 135) < 2 || (x > 100 && x < 104);
            bool pupil = (x - 300) * (x - 300) + (y - 60) * (y - 60) < 9;
            memcpy(rgb + 3 * (y * WIDTH + x), line || pupil ? black : y < 135 ? skin : shirt, 3);
        }
    struct paint_image image = {rgb, WIDTH, HEIGHT, 3};
    assert_int_equal(flat_find(&m, &image, false, NULL), 0);
    assert_int_equal(m.palette.count, 3);
    const struct palette_color *ink = &m.palette.colors[2];
    assert_true(ink->ink && ink->area > 0 && ink->area * WIDTH * HEIGHT < 40);
    assert_int_equal(m.index[60 * WIDTH + 300], 2);
    assert_int_equal(m.index[135 * WIDTH + 200], FLAT_NONE);
    flat_fini(&m);
    free(rgb);
}

static void the_background_is_told_from_paint_of_the_same_colour(void **state)
{
    uint8_t *rgba = malloc(WIDTH * HEIGHT * 4);
    struct flat_map m;
    (void)state;
    for (int clear = 0; clear < 2; clear++) {
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                bool body = x > 100 && x < 300 && y > 50 && y<200, eye = x> 150 && x < 170 && y > 80 && y < 100;
                const uint8_t white[4] = {255, 255, 255, 255}, none[4] = {0, 0, 0, 0}, red[4] = {200, 40, 40, 255};
                memcpy(rgba + 4 * (y * WIDTH + x), eye ? white : body ? red : clear ? none : white, 4);
            }
        struct paint_image image = {rgba, WIDTH, HEIGHT, 4};
        assert_int_equal(flat_find(&m, &image, true, NULL), 0);
        assert_int_equal(m.palette.count, 3);
        assert_true(m.palette.colors[m.index[0]].background);
        assert_false(m.palette.colors[m.index[90 * WIDTH + 160]].background);
        assert_int_equal(m.palette.colors[m.index[90 * WIDTH + 160]].rgb[0], 255);
        flat_fini(&m);
    }
    free(rgba);
}

static void tiny_and_very_large_pictures_are_read(void **state)
{
    struct flat_map m;
    uint8_t one[3] = {1, 2, 3};
    struct paint_image small = {one, 1, 1, 3};
    (void)state;
    assert_int_equal(flat_find(&m, &small, false, NULL), 0);
    flat_fini(&m);
    uint8_t *rgb = malloc(6000 * 4000 * 3);
    assert_non_null(rgb);
    for (int i = 0; i < 6000 * 4000; i++)
        memcpy(rgb + 3 * (size_t)i,
               i % 6000 < 2000 ? (const uint8_t[3]){9, 99, 199} : (const uint8_t[3]){250, 240, 230}, 3);
    struct paint_image large = {rgb, 6000, 4000, 3};
    assert_int_equal(flat_find(&m, &large, false, NULL), 0);
    assert_int_equal(m.palette.count, 2);
    assert_true(fabs(m.palette.colors[0].area - 2.0 / 3) < 0.01);
    assert_int_equal(m.palette.colors[1].rgb[2], 199);
    flat_fini(&m);
    free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_references_give_their_exact_colours_and_no_others),
        cmocka_unit_test(compression_noise_is_averaged_away),
        cmocka_unit_test(photographs_and_gradients_have_no_flat_colours),
        cmocka_unit_test(lines_are_ink_and_dots_of_their_colour_are_paint),
        cmocka_unit_test(the_background_is_told_from_paint_of_the_same_colour),
        cmocka_unit_test(tiny_and_very_large_pictures_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
