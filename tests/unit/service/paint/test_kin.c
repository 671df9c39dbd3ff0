/* Which part of a reference is which part of a drawing, when the figure stands elsewhere or looks the other way. */
#include "paint/kin.h"
#include "paint/regions.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { W = 400, H = 240 };

/* Head, body, two arms, two legs, a bag: x, y, width, height; neighbours share a line. */
static const int32_t figure[][4] = {{40, 10, 24, 24}, {34, 34, 36, 50}, {20, 36, 14, 46}, {70, 36, 10, 24},
                                    {36, 84, 14, 46}, {52, 84, 22, 30}, {80, 50, 26, 26}};
enum { PARTS = sizeof figure / sizeof figure[0] };

struct page {
    uint8_t rgb[W * H * 3];
    struct regions regions;
    int32_t label[PARTS]; /* of each part */
};

static void middle(int32_t part, int32_t dx, int32_t dy, bool mirror, int32_t *x, int32_t *y)
{
    const int32_t *b = figure[part];
    *x = b[0] + b[2] / 2 + dx;
    *y = b[1] + b[3] / 2 + dy;
    if (mirror)
        *x = W - 1 - *x;
}

static void draw(struct page *p, int32_t dx, int32_t dy, bool mirror)
{
    struct regions_conf c = regions_conf_default(W, H);
    struct err e = {0};
    memset(p, 0, sizeof *p);
    memset(p->rgb, 255, sizeof p->rgb);
    c.gap_px = 0;
    for (int32_t i = 0; i < PARTS; i++)
        for (int32_t y = 0; y <= figure[i][3]; y++)
            for (int32_t x = 0; x <= figure[i][2]; x++) {
                if (x && y && x < figure[i][2] && y < figure[i][3])
                    continue;
                int32_t u = figure[i][0] + x + dx, v = figure[i][1] + y + dy;
                memset(p->rgb + ((size_t)v * W + (size_t)(mirror ? W - 1 - u : u)) * 3, 0, 3);
            }
    struct paint_image image = {p->rgb, W, H, 3};
    assert_int_equal(regions_init(&p->regions, W, H, &e), 0);
    assert_int_equal(regions_find(&p->regions, &image, &c, true, &e), 0);
    for (int32_t i = 0; i < PARTS; i++) {
        int32_t x, y;
        middle(i, dx, dy, mirror, &x, &y);
        p->label[i] = p->regions.label[y * W + x];
    }
}

static struct match_side side_of(const struct page *p)
{
    return (struct match_side){p->regions.count, p->regions.at, p->regions.contacts, p->regions.contact_count, NULL};
}

static void expect_parts(const struct page *a, const struct page *b)
{
    struct match m = {0};
    struct kin k = {0};
    struct err e = {0};
    struct match_side left = side_of(a), right = side_of(b);
    assert_int_equal(match_overlap(&m, a->regions.label, b->regions.label, W, H), 0);
    for (int round = 0; round < 2; round++) { /* the object is used again */
        assert_int_equal(kin_find(&k, &left, &right, m.overlap.slots, m.overlaps, W, H, &paint_weights_fitted, &e), 0);
        for (int32_t i = 0; i < PARTS; i++) {
            const struct kin_pair *pairs = k.pairs + (int64_t)a->label[i] * k.stride, *best = pairs;
            for (int32_t n = 1; n < k.counts[a->label[i]]; n++)
                if (pairs[n].score > best->score)
                    best = &pairs[n];
            assert_int_equal(best->b, b->label[i]);
        }
    }
    match_fini(&m);
    kin_fini(&k);
}

static void parts_are_found_where_the_figure_stands_elsewhere(void **state)
{
    static struct page a, b;
    (void)state;
    draw(&a, 30, 20, false);
    draw(&b, 120, 60, false);
    expect_parts(&a, &b);
    regions_fini(&a.regions);
    regions_fini(&b.regions);
}

static void parts_are_found_in_a_mirrored_reference(void **state)
{
    static struct page a, b;
    (void)state;
    draw(&a, 30, 20, false);
    draw(&b, 30, 20, true);
    expect_parts(&a, &b);
    expect_parts(&b, &a);
    regions_fini(&a.regions);
    regions_fini(&b.regions);
}

static void parts_are_found_in_a_figure_that_turned_and_walked(void **state)
{
    static struct page a, b;
    (void)state;
    draw(&a, 30, 20, false);
    draw(&b, 120, 44, true);
    expect_parts(&a, &b);
    regions_fini(&a.regions);
    regions_fini(&b.regions);
}

static void an_empty_side_matches_nothing(void **state)
{
    static struct page a;
    struct match_side none = {0}, side;
    struct kin k = {0};
    struct err e;
    (void)state;
    draw(&a, 0, 0, false);
    side = side_of(&a);
    assert_int_equal(kin_find(&k, &side, &none, NULL, 0, W, H, &paint_weights_fitted, &e), 0);
    assert_int_equal(k.counts[1], 0);
    assert_int_equal(kin_find(&k, &none, &side, NULL, 0, W, H, &paint_weights_fitted, &e), 0);
    kin_fini(&k);
    regions_fini(&a.regions);
}

/* The closed forms of shapes.c against plain sums. */
static void moments_are_those_of_the_pixels(void **state)
{
    static struct page a;
    (void)state;
    draw(&a, 130, 20, false);
    const struct regions *r = &a.regions;
    for (int32_t k = 1; k <= r->count; k++) {
        double n = 0, x0 = 0, y0 = 0, xx = 0, sx = 0, sy = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int32_t i = 0; i < W * H; i++) {
                if (r->label[i] != k || r->ink[i] > 64)
                    continue;
                double x = i % W, y = i / W, dx = x - x0, dy = y - y0;
                n += pass == 0;
                x0 += pass ? 0 : x;
                y0 += pass ? 0 : y;
                xx += pass ? dx * dx : 0;
                sx += pass ? dx * (dx * dx + dy * dy) : 0;
                sy += pass ? dy * (dx * dx + dy * dy) : 0;
                if (pass == 0 && n == r->at[k].area) {
                    x0 /= n;
                    y0 /= n;
                }
            }
        assert_int_equal((int32_t)n, r->at[k].area);
        assert_true(fabs(r->at[k].mxx - (xx / n + 1.0 / 12)) < 0.01 + 1e-4 * xx / n);
        assert_true(fabs(r->at[k].skew_x - sx / n) < 0.1 + 1e-4 * fabs(sx / n));
        assert_true(fabs(r->at[k].skew_y - sy / n) < 0.1 + 1e-4 * fabs(sy / n));
    }
    regions_fini(&a.regions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found_where_the_figure_stands_elsewhere),
        cmocka_unit_test(parts_are_found_in_a_mirrored_reference),
        cmocka_unit_test(parts_are_found_in_a_figure_that_turned_and_walked),
        cmocka_unit_test(an_empty_side_matches_nothing),
        cmocka_unit_test(moments_are_those_of_the_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
