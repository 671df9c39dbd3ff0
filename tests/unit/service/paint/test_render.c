/* Lines over paint, to the value. */
#include "paint/paint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SIZE = 48, PIXELS = SIZE * SIZE };

static const uint8_t left_paint[3] = {200, 40, 40}, right_paint[3] = {40, 60, 200};

/* A page with a vertical line of 3 pixels, the middle one full, the others half, in the given colour. */
struct drawing {
    uint8_t lines[PIXELS * 4], reference[PIXELS * 3];
    struct paint_conf conf;
};

static void draw(struct drawing *d, const uint8_t line[3], bool alpha)
{
    for (int i = 0; i < PIXELS; i++) {
        int x = i % SIZE;
        int cover = x == 24 ? 255 : x == 23 || x == 25 ? 128 : 0;
        for (int c = 0; c < 3; c++)
            d->lines[4 * i + c] = alpha ? line[c] : (uint8_t)((line[c] * cover + 255 * (255 - cover) + 127) / 255);
        d->lines[4 * i + 3] = (uint8_t)(alpha ? cover : 255);
        memcpy(d->reference + 3 * i, x < 24 ? left_paint : right_paint, 3);
    }
    paint_conf_init(&d->conf, SIZE, SIZE);
}

static struct paint_planes paint_it(const struct drawing *d, struct paint_planes planes)
{
    struct paint *p = NULL;
    struct err e = {0};
    struct paint_image lines = {d->lines, SIZE, SIZE, 4}, reference = {d->reference, SIZE, SIZE, 3};
    assert_int_equal(paint_open(&p, &d->conf, &reference, 1, NULL, &e), 0);
    assert_int_equal(paint_observe(p, &lines, &reference, &e), 0);
    assert_int_equal(paint_decide(p, &e), 0);
    struct paint_scratch *s = paint_scratch_new(p);
    assert_int_equal(paint_render(p, s, 0, &lines, &reference, &planes, &e), 0);
    paint_scratch_free(s);
    paint_close(p);
    return planes;
}

static void is(const uint8_t *pixel, int r, int g, int b)
{
    if (abs(pixel[0] - r) > 1 || abs(pixel[1] - g) > 1 || abs(pixel[2] - b) > 1)
        fail_msg("%d %d %d is not %d %d %d", pixel[0], pixel[1], pixel[2], r, g, b);
}

static void full_strength_lines_keep_their_colour_and_soft_edges_mix_with_the_paint_beside(void **state)
{
    static const uint8_t inks[][3] = {{0, 0, 0}, {90, 40, 20}, {60, 60, 60}, {0, 0, 120}};
    uint8_t *result = malloc(PIXELS * 3);
    (void)state;
    for (size_t k = 0; k < sizeof inks / sizeof inks[0]; k++)
        for (int alpha = 0; alpha < 2; alpha++) {
            struct drawing d;
            draw(&d, inks[k], alpha);
            paint_it(&d, (struct paint_planes){.result = result, .result_channels = 3});
            const uint8_t *row = result + 3 * 10 * SIZE, *ink = inks[k];
            assert_memory_equal(row, left_paint, 3);
            assert_memory_equal(row + 3 * 47, right_paint, 3);
            assert_memory_equal(row + 3 * 24, ink, 3);
            is(row + 3 * 23, (ink[0] + left_paint[0]) / 2, (ink[1] + left_paint[1]) / 2, (ink[2] + left_paint[2]) / 2);
            is(row + 3 * 25, (ink[0] + right_paint[0]) / 2, (ink[1] + right_paint[1]) / 2,
               (ink[2] + right_paint[2]) / 2);
        }
    free(result);
}

static void lines_are_drawn_in_a_given_colour(void **state)
{
    struct drawing d;
    uint8_t *result = malloc(PIXELS * 3);
    (void)state;
    draw(&d, (const uint8_t[3]){0, 0, 0}, false);
    d.conf.recolor_lines = true;
    memcpy(d.conf.line_rgb, (const uint8_t[3]){10, 200, 30}, 3);
    paint_it(&d, (struct paint_planes){.result = result, .result_channels = 3});
    is(result + 3 * (10 * SIZE + 24), 10, 200, 30);
    is(result + 3 * (10 * SIZE + 23), (10 + 200) / 2, (200 + 40) / 2, (30 + 40) / 2);
    free(result);
}

static void trace_lines_vanish_into_the_paint_and_others_stay(void **state)
{
    static const struct {
        uint8_t ink[3];
        unsigned trace;
        bool gone;
    } cases[] = {{{255, 0, 0}, PAINT_TRACE_RED, true},
                 {{0, 0, 255}, PAINT_TRACE_BLUE, true},
                 {{0, 160, 0}, PAINT_TRACE_GREEN, true},
                 {{255, 0, 0}, PAINT_TRACE_BLUE, false},
                 {{0, 0, 0}, PAINT_TRACE_RED | PAINT_TRACE_GREEN | PAINT_TRACE_BLUE, false}};
    uint8_t *result = malloc(PIXELS * 3);
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct drawing d;
        draw(&d, cases[k].ink, false);
        d.conf.trace_lines = cases[k].trace;
        paint_it(&d, (struct paint_planes){.result = result, .result_channels = 3});
        for (int x = 0; x < SIZE; x++) {
            const uint8_t *pixel = result + 3 * (20 * SIZE + x);
            bool paint = memcmp(pixel, left_paint, 3) == 0 || memcmp(pixel, right_paint, 3) == 0;
            assert_int_equal(paint, cases[k].gone || x < 23 || x > 25);
        }
    }
    free(result);
}

static void transparent_backgrounds_have_straight_alpha(void **state)
{
    struct drawing d;
    uint8_t *result = malloc(PIXELS * 4);
    (void)state;
    draw(&d, (const uint8_t[3]){20, 10, 0}, true);
    /* The right half is what the picture's edge is made of; the left one is a figure that does not reach it. */
    for (int i = 0; i < PIXELS; i++) {
        bool figure = i % SIZE > 8 && i % SIZE < 24 && i / SIZE > 8 && i / SIZE < 40;
        memcpy(d.reference + 3 * i, figure ? left_paint : right_paint, 3);
    }
    d.conf.transparent = true;
    paint_it(&d, (struct paint_planes){.result = result, .result_channels = 4});
    const uint8_t *row = result + 4 * 20 * SIZE;
    assert_int_equal(row[4 * 40 + 3], 0); /* background */
    assert_int_equal(row[4 * 24 + 3], 255);
    is(row + 4 * 24, 20, 10, 0);
    assert_true(abs(row[4 * 25 + 3] - 128) <= 1); /* half a line over nothing: its own colour, half there */
    is(row + 4 * 25, 20, 10, 0);
    free(result);
}

static void planes_add_up_to_the_result(void **state)
{
    struct drawing d;
    uint8_t *result = malloc(PIXELS * 3), *line = malloc(PIXELS * 4), *paint = malloc(PIXELS * 4),
            *confidence = malloc(PIXELS);
    uint16_t *ids = malloc(PIXELS * 2);
    (void)state;
    draw(&d, (const uint8_t[3]){0, 0, 0}, false);
    paint_it(&d, (struct paint_planes){result, 3, line, paint, ids, confidence});
    for (int i = 0; i < PIXELS; i++) {
        int a = line[4 * i + 3], x = i % SIZE;
        for (int c = 0; c < 3; c++)
            assert_true(abs(result[3 * i + c] - (line[4 * i + c] * a + paint[4 * i + c] * (255 - a)) / 255) <= 1);
        assert_int_equal(paint[4 * i + 3], 255); /* paint lies under the lines, too */
        assert_int_equal(ids[i] == 0, x >= 23 && x <= 25);
        assert_true(confidence[i] > 128);
    }
    assert_int_not_equal(ids[0], ids[47]);
    free(result);
    free(line);
    free(paint);
    free(confidence);
    free(ids);
}

/* ---- smooth mode ---- */
static void photographic_references_keep_soft_shading_inside_the_lines(void **state)
{
    struct drawing d;
    uint8_t *result = malloc(PIXELS * 3), *shaded = malloc(PIXELS * 3);
    struct paint *p;
    struct err e;
    (void)state;
    draw(&d, (const uint8_t[3]){0, 0, 0}, false);
    for (int i = 0; i < PIXELS; i++) /* left darkens downward, right is another colour and lightens */
        for (int c = 0; c < 3; c++) {
            int y = i / SIZE;
            shaded[3 * i + c] = (uint8_t)(i % SIZE < 24 ? 200 - 2 * y - 30 * c : 60 + 2 * y + 20 * c);
        }
    struct paint_image lines = {d.lines, SIZE, SIZE, 4}, proposal = {shaded, SIZE, SIZE, 3};
    assert_int_equal(paint_open(&p, &d.conf, &proposal, 1, NULL, &e), 0);
    assert_int_equal(paint_mode_used(p), PAINT_SMOOTH);
    for (int i = 0; i < 2; i++)
        assert_int_equal(paint_observe(p, &lines, &proposal, &e), 0);
    assert_int_equal(paint_decide(p, &e), 0);
    struct paint_scratch *s = paint_scratch_new(p);
    struct paint_planes planes = {.result = result, .result_channels = 3};
    assert_int_equal(paint_render(p, s, 0, &lines, NULL, &planes, &e), -1);      /* it needs the proposal */
    assert_int_equal(paint_render(p, s, 1, &lines, &proposal, &planes, &e), -1); /* and the first frame of the hold */
    assert_int_equal(paint_render(p, s, 0, &lines, &proposal, &planes, &e), 0);
    for (int y = 4; y < 44; y++)
        for (int x = 2; x < 46; x++) {
            if (x > 21 && x < 27)
                continue;
            int i = y * SIZE + x;
            for (int c = 0; c < 3; c++)
                assert_true(abs(result[3 * i + c] - shaded[3 * i + c]) <= 4); /* soft, so not to the value */
        }
    uint8_t *again = malloc(PIXELS * 3);
    planes.result = again;
    memset(shaded, 9, PIXELS * 3); /* a hold does not follow the network */
    assert_int_equal(paint_render(p, s, 1, &lines, &proposal, &planes, &e), 0);
    assert_memory_equal(again, result, PIXELS * 3);
    paint_scratch_free(s);
    paint_close(p);
    free(again);
    free(result);
    free(shaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_strength_lines_keep_their_colour_and_soft_edges_mix_with_the_paint_beside),
        cmocka_unit_test(lines_are_drawn_in_a_given_colour),
        cmocka_unit_test(trace_lines_vanish_into_the_paint_and_others_stay),
        cmocka_unit_test(transparent_backgrounds_have_straight_alpha),
        cmocka_unit_test(planes_add_up_to_the_result),
        cmocka_unit_test(photographic_references_keep_soft_shading_inside_the_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
