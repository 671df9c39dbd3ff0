/* Regions through drawings that are drawn here: motion, occlusion, splits, crossings; and the matching below it. */
#include "paint/tracks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { W = 320, H = 180 };

struct stage {
    struct tracker tracker;
    struct regions regions;
    uint8_t rgb[W * H * 3];
    struct vote votes[256];
    int32_t ids[256];
};

static void stage_open(struct stage *s)
{
    struct err e = {0};
    memset(s, 0, sizeof *s);
    assert_int_equal(regions_init(&s->regions, W, H, &e), 0);
    assert_int_equal(tracker_init(&s->tracker, W, H, &paint_weights_fitted, &e), 0);
}

static void stage_close(struct stage *s)
{
    tracker_fini(&s->tracker);
    regions_fini(&s->regions);
}

static void clear(struct stage *s)
{
    memset(s->rgb, 255, sizeof s->rgb);
}

/* A box with an outline; its inside is paper again, whatever was there. */
static void box(struct stage *s, int32_t x, int32_t y, int32_t w, int32_t h)
{
    for (int32_t v = y; v < y + h; v++)
        for (int32_t u = x; u < x + w; u++)
            if (u >= 0 && v >= 0 && u < W && v < H)
                memset(s->rgb + (v * W + u) * 3, u < x + 2 || v < y + 2 || u >= x + w - 2 || v >= y + h - 2 ? 0 : 255,
                       3);
}

static void step(struct stage *s)
{
    struct regions_conf c = regions_conf_default(W, H);
    struct paint_image image = {s->rgb, W, H, 3};
    struct err e = {0};
    c.gap_px = 0;
    assert_int_equal(regions_find(&s->regions, &image, &c, true, &e), 0);
    assert_true(s->regions.count < 256);
    for (int32_t k = 1; k <= s->regions.count; k++) /* large things and small things have two colours */
        s->votes[k] = (struct vote){.color = {s->regions.at[k].area > 3000, 2, 3}, .share = {255}, .evidence = 64};
    assert_int_equal(tracker_step(&s->tracker, &s->regions, s->votes, s->ids, &e), 0);
}

static int32_t track_at(const struct stage *s, int32_t x, int32_t y)
{
    return s->ids[s->regions.label[y * W + x]];
}

static void moving_regions_keep_their_tracks(void **state)
{
    static struct stage s;
    int32_t a = 0, b = 0;
    (void)state;
    stage_open(&s);
    for (int32_t t = 0; t < 8; t++) {
        clear(&s);
        box(&s, 20 + 12 * t, 40, 40, 40);
        box(&s, 24 + 12 * t, 80, 32, 60);
        step(&s);
        int32_t now_a = track_at(&s, 40 + 12 * t, 60), now_b = track_at(&s, 40 + 12 * t, 110);
        assert_true(now_a && now_b && now_a != now_b);
        if (t)
            assert_true(now_a == a && now_b == b);
        a = now_a;
        b = now_b;
    }
    assert_int_equal(s.tracker.count, 3); /* and the ground */
    stage_close(&s);
}

static void what_was_hidden_comes_back_as_itself(void **state)
{
    static struct stage s;
    int32_t before = 0;
    (void)state;
    stage_open(&s);
    for (int32_t t = 0; t < 8; t++) {
        clear(&s);
        box(&s, 140, 70, 30, 30);
        box(&s, -60 + 40 * t, 50, 70, 80); /* passes in front, and covers it for two drawings */
        step(&s);
        if (t == 1)
            before = track_at(&s, 155, 85);
    }
    assert_int_equal(track_at(&s, 155, 85), before);
    stage_close(&s);
}

static void a_region_that_splits_is_tied_to_what_it_was(void **state)
{
    static struct stage s;
    (void)state;
    stage_open(&s);
    clear(&s);
    box(&s, 100, 40, 100, 80);
    step(&s);
    int32_t whole = track_at(&s, 150, 80);
    clear(&s);
    box(&s, 100, 40, 100, 80);
    box(&s, 146, 40, 4, 80); /* an arm, drawn as a line through the middle */
    step(&s);
    int32_t left = track_at(&s, 120, 80), right = track_at(&s, 180, 80);
    assert_true(left != right);
    int32_t fresh = left == whole ? right : left;
    bool tied = false;
    for (int i = 0; i < TRACK_TIES; i++)
        tied |= s.tracker.tracks[fresh].ties[i].track == whole && s.tracker.tracks[fresh].ties[i].time > 0;
    assert_true(left == whole || right == whole);
    assert_true(tied);
    stage_close(&s);
}

static void ties_make_room_for_larger_ones(void **state)
{
    struct track t = {0};
    (void)state;
    for (int32_t i = 1; i <= TRACK_TIES + 3; i++)
        track_tie(&t, i, 0, 0.1F * (float)i, 0);
    track_tie(&t, TRACK_TIES + 3, 0, 1, 0);
    bool first = false, last = false;
    for (int i = 0; i < TRACK_TIES; i++) {
        first |= t.ties[i].track == 1;
        last |= t.ties[i].track == TRACK_TIES + 3 && t.ties[i].time > 1.5F;
    }
    assert_false(first);
    assert_true(last);
}

static void overlaps_are_counted_and_sorted(void **state)
{
    static const int32_t a[12] = {1, 1, 1, 2, 2, 2, 1, 1, 0, 2, 2, 2}, b[12] = {3, 3, 1, 1, 1, 1, 3, 0, 1, 1, 2, 2};
    struct match m = {0};
    (void)state;
    assert_int_equal(match_overlap(&m, a, b, 6, 2), 0);
    static const int32_t expected[4][3] = {{1, 1, 1}, {1, 3, 3}, {2, 1, 4}, {2, 2, 2}};
    assert_int_equal(m.overlaps, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(m.overlap.slots[i].a, expected[i][0]);
        assert_int_equal(m.overlap.slots[i].b, expected[i][1]);
        assert_int_equal(m.overlap.slots[i].n, expected[i][2]);
    }
    match_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moving_regions_keep_their_tracks),
        cmocka_unit_test(what_was_hidden_comes_back_as_itself),
        cmocka_unit_test(a_region_that_splits_is_tied_to_what_it_was),
        cmocka_unit_test(ties_make_room_for_larger_ones),
        cmocka_unit_test(overlaps_are_counted_and_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
