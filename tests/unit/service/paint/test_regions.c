#include "paint/regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* A white page to draw on. */
struct page {
    int32_t width, height;
    uint8_t *rgb;
};

static struct page page_new(int32_t width, int32_t height, uint8_t value)
{
    struct page p = {width, height, malloc((size_t)width * (size_t)height * 3)};
    assert_non_null(p.rgb);
    memset(p.rgb, value, (size_t)width * (size_t)height * 3);
    return p;
}

static void box(const struct page *p, int32_t x0, int32_t y0, int32_t x1, int32_t y1, uint8_t value)
{
    for (int32_t y = y0; y < y1; y++)
        memset(p->rgb + ((size_t)y * (size_t)p->width + (size_t)x0) * 3, value, (size_t)(x1 - x0) * 3);
}

/* An outline of 2 pixels. */
static void frame(const struct page *p, int32_t x0, int32_t y0, int32_t x1, int32_t y1)
{
    box(p, x0, y0, x1, y1, 0);
    box(p, x0 + 2, y0 + 2, x1 - 2, y1 - 2, 255);
}

static void find(struct regions *r, const struct page *p, int32_t gap_px)
{
    struct err e = {0};
    struct regions_conf c = regions_conf_default(p->width, p->height);
    struct paint_image image = {p->rgb, p->width, p->height, 3};
    c.gap_px = gap_px;
    if (!r->label)
        assert_int_equal(regions_init(r, p->width, p->height, &e), 0);
    assert_int_equal(regions_find(r, &image, &c, true, &e), 0);
}

static int32_t label_at(const struct regions *r, int32_t x, int32_t y)
{
    return r->label[(int64_t)y * r->width + x];
}

static void closed_areas_are_regions_with_their_shapes(void **state)
{
    struct regions r = {0};
    struct page p = page_new(100, 80, 255);
    (void)state;
    frame(&p, 10, 10, 40, 40);
    frame(&p, 60, 20, 90, 70);
    find(&r, &p, 0);
    assert_int_equal(r.count, 3);
    int32_t left = label_at(&r, 20, 20), right = label_at(&r, 70, 40);
    assert_int_equal(label_at(&r, 0, 0), 1);
    assert_true(left != right && left > 1 && right > 1);
    assert_int_equal(r.at[left].area, 26 * 26);
    assert_true(r.at[left].cx == 24.5F && r.at[left].cy == 24.5F);
    assert_true(r.at[1].border && !r.at[left].border);
    assert_true(r.at[right].myy > 2 * r.at[right].mxx);
    regions_fini(&r);
    free(p.rgb);
}

static void every_pixel_of_a_line_belongs_to_a_region_beside_it(void **state)
{
    struct regions r = {0};
    struct page p = page_new(64, 64, 255);
    (void)state;
    frame(&p, 20, 20, 44, 44);
    find(&r, &p, 0);
    for (int32_t i = 0; i < 64 * 64; i++)
        assert_true(r.label[i] == 1 || r.label[i] == 2);
    assert_int_equal(label_at(&r, 20, 30), 1); /* the outer pixel of the line */
    assert_int_equal(label_at(&r, 21, 30), 2); /* the inner one */
    assert_int_equal(r.contact_count, 1);
    assert_int_equal(r.contacts[0].open, 0);
    regions_fini(&r);
    free(p.rgb);
}

static void a_diagonal_line_of_single_pixels_does_not_leak(void **state)
{
    struct regions r = {0};
    struct page p = page_new(50, 50, 255);
    (void)state;
    for (int32_t i = 0; i < 50; i++)
        box(&p, i, i, i + 1, i + 1, 0);
    find(&r, &p, 0);
    assert_int_equal(r.count, 2);
    assert_int_not_equal(label_at(&r, 40, 5), label_at(&r, 5, 40));
    regions_fini(&r);
    free(p.rgb);
}

static void gaps_up_to_the_radius_are_closed_and_larger_ones_leak(void **state)
{
    (void)state;
    for (int32_t gap = 1; gap <= 9; gap++) {
        struct regions r = {0};
        struct page p = page_new(200, 200, 255);
        frame(&p, 50, 50, 150, 150);
        box(&p, 100, 50, 100 + gap, 52, 255);
        find(&r, &p, 6);
        int closed = label_at(&r, 100, 100) != label_at(&r, 10, 10);
        assert_int_equal(closed, gap <= 6);
        if (closed)
            assert_true(r.contacts[0].open > 0);
        regions_fini(&r);
        free(p.rgb);
    }
}

static void a_narrow_strand_behind_a_gap_is_a_region_of_its_own(void **state)
{
    struct regions r = {0};
    struct page p = page_new(300, 120, 255);
    (void)state;
    frame(&p, 50, 50, 250, 60); /* 6 pixels wide inside */
    box(&p, 150, 50, 152, 52, 255);
    find(&r, &p, 8);
    assert_int_not_equal(label_at(&r, 100, 55), label_at(&r, 100, 20));
    assert_int_equal(label_at(&r, 100, 55), label_at(&r, 200, 55));
    regions_fini(&r);
    free(p.rgb);
}

static void faint_lines_and_coloured_lines_and_lines_on_transparency_separate(void **state)
{
    static const uint8_t inks[][4] = {{150, 150, 150, 255}, {255, 0, 0, 255}, {0, 0, 255, 255}, {0, 0, 0, 200}};
    (void)state;
    for (size_t k = 0; k < sizeof inks / sizeof inks[0]; k++) {
        struct regions r = {0};
        struct err e;
        uint8_t *rgba = malloc(60 * 40 * 4);
        for (int i = 0; i < 60 * 40; i++) {
            const uint8_t paper[4] = {255, 255, 255, k == 3 ? 0 : 255};
            memcpy(rgba + 4 * i, i % 60 == 30 ? inks[k] : paper, 4);
        }
        struct paint_image image = {rgba, 60, 40, 4};
        struct regions_conf c = regions_conf_default(60, 40);
        assert_int_equal(regions_init(&r, 60, 40, &e), 0);
        assert_int_equal(regions_find(&r, &image, &c, true, &e), 0);
        assert_int_equal(r.count, 2);
        regions_fini(&r);
        free(rgba);
    }
}

static void tinted_paper_is_paper(void **state)
{
    struct regions r = {0};
    struct page p = page_new(80, 60, 255);
    (void)state;
    for (int32_t i = 0; i < 80 * 60; i++)
        memcpy(p.rgb + 3 * i, i % 80 == 40 ? (const uint8_t[3]){60, 50, 40} : (const uint8_t[3]){246, 236, 190}, 3);
    find(&r, &p, 0);
    assert_int_equal(r.count, 2);
    regions_fini(&r);
    free(p.rgb);
}

static void blank_and_full_pages_have_one_region_and_none(void **state)
{
    struct regions r = {0}, s = {0};
    struct page white = page_new(300, 200, 255), black = page_new(300, 200, 0);
    (void)state;
    find(&r, &white, 8);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.at[1].area, 300 * 200);
    find(&s, &black, 8);
    assert_int_equal(s.count, 0);
    assert_int_equal(s.contact_count, 0);
    regions_fini(&r);
    regions_fini(&s);
    free(white.rgb);
    free(black.rgb);
}

static void pages_of_one_pixel_across_work(void **state)
{
    static const int32_t sizes[][2] = {{1, 1}, {1, 500}, {500, 1}, {2, 2}, {64, 1}, {65, 3}, {1, 65536}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct regions r = {0};
        struct page p = page_new(sizes[i][0], sizes[i][1], 255);
        find(&r, &p, 8);
        assert_int_equal(r.count, 1);
        if (p.width * p.height > 100) {
            memset(p.rgb + 150, 0, 3);
            find(&r, &p, 8);
            assert_int_equal(r.count, p.width == 1 || p.height == 1 ? 2 : 1);
        }
        regions_fini(&r);
        free(p.rgb);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void a_hundred_thousand_tiny_regions_stay_bounded(void **state)
{
    struct regions r = {0};
    struct page p = page_new(1920, 1080, 255);
    (void)state;
    for (int32_t y = 0; y < 1080; y += 4)
        box(&p, 0, y, 1920, y + 1, 0);
    for (int32_t x = 0; x < 1920; x += 5)
        for (int32_t y = 0; y < 1080; y++)
            box(&p, x, y, x + 1, y + 1, 0);
    double start = seconds();
    find(&r, &p, 0);
    assert_int_equal(r.count, PAINT_REGIONS_MAX); /* of 103,680 */
    for (int64_t i = 0; i < 1920 * 1080; i++)
        assert_true(r.label[i] > 0 && r.label[i] <= r.count);
    assert_true(seconds() - start < 5);
    regions_fini(&r);
    free(p.rgb);
}

/* Growth from a spiral's ends must not look at the whole page for every pixel of its length. */
static void a_long_spiral_takes_linear_time(void **state)
{
    struct regions r = {0};
    struct page p = page_new(1000, 1000, 255);
    (void)state;
    for (int32_t i = 0; i < 124; i++) {
        int32_t a = i * 4, b = 999 - i * 4;
        if (b - a < 8)
            break;
        frame(&p, a, a, b + 1, b + 1);
    }
    for (int32_t i = 0; i < 123; i++) /* doors that make one corridor of it */
        box(&p, i % 2 ? i * 4 + 2 : 997 - i * 4, i * 4 + 3, (i % 2 ? i * 4 + 2 : 997 - i * 4) + 1, i * 4 + 6, 255);
    double start = seconds();
    find(&r, &p, 8);
    assert_true(seconds() - start < 3);
    regions_fini(&r);
    free(p.rgb);
}

static void the_same_page_gives_the_same_labels(void **state)
{
    struct regions r = {0}, fresh = {0};
    struct page p = page_new(320, 240, 255), other = page_new(320, 240, 255);
    (void)state;
    for (int32_t i = 0; i < 20; i++)
        frame(&p, (i * 53) % 280, (i * 31) % 200, (i * 53) % 280 + 30, (i * 31) % 200 + 25);
    frame(&other, 10, 10, 300, 200);
    find(&r, &other, 4);
    find(&r, &p, 4); /* buffers used before */
    find(&fresh, &p, 4);
    assert_int_equal(r.count, fresh.count);
    assert_memory_equal(r.label, fresh.label, 320 * 240 * sizeof(int32_t));
    assert_memory_equal(r.contacts, fresh.contacts, (size_t)r.contact_count * sizeof *r.contacts);
    regions_fini(&r);
    regions_fini(&fresh);
    free(p.rgb);
    free(other.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_areas_are_regions_with_their_shapes),
        cmocka_unit_test(every_pixel_of_a_line_belongs_to_a_region_beside_it),
        cmocka_unit_test(a_diagonal_line_of_single_pixels_does_not_leak),
        cmocka_unit_test(gaps_up_to_the_radius_are_closed_and_larger_ones_leak),
        cmocka_unit_test(a_narrow_strand_behind_a_gap_is_a_region_of_its_own),
        cmocka_unit_test(faint_lines_and_coloured_lines_and_lines_on_transparency_separate),
        cmocka_unit_test(tinted_paper_is_paper),
        cmocka_unit_test(blank_and_full_pages_have_one_region_and_none),
        cmocka_unit_test(pages_of_one_pixel_across_work),
        cmocka_unit_test(a_hundred_thousand_tiny_regions_stay_bounded),
        cmocka_unit_test(a_long_spiral_takes_linear_time),
        cmocka_unit_test(the_same_page_gives_the_same_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
