/* test_pick.c - which frames a sample is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/pick.h"

static const int64_t lengths[] = {18, 40, 500};
enum { SHOTS = 3, FRAMES = 9, PICKS = 4000 };

static struct train_pick_conf conf(enum train_stage stage)
{
    return (struct train_pick_conf){
        .stage = stage, .seed = 5, .frames = FRAMES, .history_max = 100, .mirror = 0.5, .mirror_alone = 0.25};
}

static void every_frame_of_a_pick_exists(void **state)
{
    (void)state;
    for (int stage = TRAIN_VAE; stage <= TRAIN_REWARD; stage++) {
        struct train_pick_conf c = conf((enum train_stage)stage);
        c.reference_anywhere = 0.5;
        for (int i = 0; i < PICKS; i++) {
            struct train_pick p;
            train_pick(&p, &c, lengths, SHOTS, i, i % 3, 0);
            assert_true(p.shot >= 0 && p.shot < SHOTS);
            assert_true(p.first >= 0 && p.first + FRAMES <= lengths[p.shot]);
            assert_true(p.reference >= 0 && p.reference < lengths[p.shot]);
        }
    }
}

static void the_memory_stage_looks_back(void **state)
{
    (void)state;
    struct train_pick_conf c = conf(TRAIN_MEMORY);
    int64_t nearest = INT64_MAX, farthest = 0;
    for (int i = 0; i < PICKS; i++) {
        struct train_pick p;
        train_pick(&p, &c, lengths, SHOTS, i, 0, 0);
        assert_true(p.first >= FRAMES);
        assert_true(p.reference < p.first);
        assert_int_equal(p.history, p.first < 100 ? p.first : 100);
        assert_int_equal(train_pick_history_frame(&p, 0), 0);
        assert_int_equal(train_pick_history_frame(&p, p.history - 1), p.first - 1);
        nearest = p.first < nearest ? p.first : nearest;
        farthest = p.first > farthest ? p.first : farthest;
    }
    assert_int_equal(nearest, FRAMES);
    assert_true(farthest > 450);
    assert_int_equal(train_pick_min_frames(TRAIN_MEMORY, FRAMES), 2 * FRAMES);
}

static void references_are_likelier_near_the_first_frame(void **state)
{
    (void)state;
    struct train_pick_conf c = conf(TRAIN_SKETCH);
    int at[FRAMES] = {0};
    for (int i = 0; i < PICKS; i++) {
        struct train_pick p;
        train_pick(&p, &c, lengths, SHOTS, i, 0, 0);
        int64_t distance = p.reference - p.first;
        assert_true(distance >= 0 && distance < FRAMES);
        at[distance]++;
    }
    assert_true(at[0] > 3 * at[FRAMES - 1] && at[FRAMES - 1] > 0);
    for (int d = 2; d < FRAMES; d++)
        assert_true(at[d] < at[d - 2]);
}

static bool same(const struct train_pick *a, const struct train_pick *b)
{
    return a->shot == b->shot && a->first == b->first && a->reference == b->reference && a->history == b->history &&
           a->mirrored == b->mirrored && a->reference_mirrored == b->reference_mirrored;
}

static void a_pick_depends_on_its_place_alone(void **state)
{
    (void)state;
    struct train_pick_conf c = conf(TRAIN_SKETCH);
    struct train_pick a, b;
    int same_step = 0, same_item = 0, same_attempt = 0;
    for (int i = 0; i < 200; i++) {
        train_pick(&a, &c, lengths, SHOTS, i, 1, 0);
        train_pick(&b, &c, lengths, SHOTS, i, 1, 0);
        assert_true(same(&a, &b));
        train_pick(&b, &c, lengths, SHOTS, i + 1, 1, 0);
        same_step += a.first == b.first;
        train_pick(&b, &c, lengths, SHOTS, i, 2, 0);
        same_item += a.first == b.first;
        train_pick(&b, &c, lengths, SHOTS, i, 1, 1);
        same_attempt += a.first == b.first;
    }
    assert_true(same_step < 60 && same_item < 60 && same_attempt < 60);
}

static void mirroring_is_as_frequent_as_asked(void **state)
{
    (void)state;
    struct train_pick_conf c = conf(TRAIN_SKETCH);
    int mirrored = 0, alone = 0;
    for (int i = 0; i < PICKS; i++) {
        struct train_pick p;
        train_pick(&p, &c, lengths, SHOTS, i, 0, 0);
        mirrored += p.mirrored;
        alone += p.mirrored != p.reference_mirrored;
    }
    assert_in_range(mirrored, PICKS * 45 / 100, PICKS * 55 / 100);
    assert_in_range(alone, PICKS * 20 / 100, PICKS * 30 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_of_a_pick_exists),
        cmocka_unit_test(the_memory_stage_looks_back),
        cmocka_unit_test(references_are_likelier_near_the_first_frame),
        cmocka_unit_test(a_pick_depends_on_its_place_alone),
        cmocka_unit_test(mirroring_is_as_frequent_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
