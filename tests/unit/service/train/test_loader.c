/* test_loader.c - samples come in order and are what was picked, whoever reads them; a shot that goes bad is replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scratch.h"
#include "train/loader.h"

#include <fcntl.h>
#include <unistd.h>

enum { WIDTH = 4, HEIGHT = 2, PIXELS = WIDTH * HEIGHT, SHOTS = 3, SHOT_FRAMES = 12, FRAMES = 5, ITEMS = 2, STEPS = 30 };

struct scene {
    struct train_shots shots;
    struct loader_conf conf;
    int bad;
    char bad_name[16];
};

/* Every byte of a frame is 16 * shot + frame. */
static int frames_file(const char *folder, int shot, int bytes, int frames)
{
    char path[300];
    uint8_t pixels[PIXELS * 3];
    snprintf(path, sizeof path, "%s/%d-%d", folder, shot, bytes);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int f = 0; f < frames; f++) {
        memset(pixels, 16 * shot + f, sizeof pixels);
        assert_int_equal(write(fd, pixels, (size_t)bytes), bytes);
    }
    return fd;
}

static void on_bad(void *user, const char *shot, const struct err *why)
{
    struct scene *s = user;
    assert_true(why->detail[0] != 0);
    snprintf(s->bad_name, sizeof s->bad_name, "%s", shot);
    s->bad++;
}

/* `cut`: the shot that has fewer frames than it says; -1 = none, SHOTS = all. */
static void scene_make(struct scene *s, enum train_stage stage, int cut)
{
    char folder[256];
    *s = (struct scene){.shots = {.count = SHOTS, .width = WIDTH, .height = HEIGHT}};
    assert_int_equal(make_fast_scratch(folder, sizeof folder), 0);
    s->shots.items = calloc(SHOTS, sizeof *s->shots.items);
    for (int i = 0; i < SHOTS; i++) {
        char name[16];
        int frames = cut == i || cut == SHOTS ? 1 : SHOT_FRAMES;
        snprintf(name, sizeof name, "shot%d", i);
        s->shots.items[i] = (struct train_shot){.name = strdup(name),
                                                .frames = SHOT_FRAMES,
                                                .color_fd = frames_file(folder, i, PIXELS * 3, frames),
                                                .lines_fd = frames_file(folder, i, PIXELS, frames)};
    }
    s->conf = (struct loader_conf){.shots = &s->shots,
                                   .pick = {.stage = stage, .seed = 3, .frames = FRAMES, .history_max = 4},
                                   .items = ITEMS,
                                   .last_step = STEPS,
                                   .threads = 3,
                                   .ahead = 4,
                                   .user = s,
                                   .on_bad = on_bad};
}

static void check(const struct scene *s, const struct loader_sample *got, int64_t step, int32_t item)
{
    int64_t lengths[SHOTS] = {SHOT_FRAMES, SHOT_FRAMES, SHOT_FRAMES};
    struct train_pick p;
    train_pick(&p, &s->conf.pick, lengths, SHOTS, step, item, 0);
    for (int f = 0; f < FRAMES; f++) {
        assert_int_equal(got->color[f * PIXELS * 3], 16 * p.shot + p.first + f);
        assert_int_equal(got->color[(f + 1) * PIXELS * 3 - 1], 16 * p.shot + p.first + f);
        assert_int_equal(got->lines[f * PIXELS], 16 * p.shot + p.first + f);
    }
    assert_int_equal(got->reference[0], 16 * p.shot + p.reference);
    assert_int_equal(got->reference_lines[PIXELS - 1], 16 * p.shot + p.reference);
    assert_int_equal(got->history_frames, p.history);
    for (int f = 0; f < got->history_frames; f++)
        assert_int_equal(got->history[f * PIXELS * 3], 16 * p.shot + train_pick_history_frame(&p, f));
}

static void samples_come_in_order_and_are_what_was_picked(void **state)
{
    (void)state;
    static const enum train_stage stages[] = {TRAIN_SKETCH, TRAIN_MEMORY};
    for (size_t k = 0; k < 2; k++) {
        struct scene s;
        struct loader *l;
        scene_make(&s, stages[k], -1);
        s.conf.first_step = 7; /* as after a checkpoint */
        assert_int_equal(loader_new(&l, &s.conf, NULL), 0);
        for (int64_t step = 7; step < STEPS; step++)
            for (int32_t item = 0; item < ITEMS; item++) {
                struct loader_sample got;
                assert_int_equal(loader_get(l, step, item, &got, NULL), 0);
                check(&s, &got, step, item);
            }
        loader_free(l);
        assert_int_equal(s.bad, 0);
        train_shots_free(&s.shots);
    }
}

static void a_shot_that_cannot_be_read_is_told_once_and_replaced(void **state)
{
    (void)state;
    struct scene s;
    struct loader *l;
    scene_make(&s, TRAIN_SKETCH, 1);
    assert_int_equal(loader_new(&l, &s.conf, NULL), 0);
    for (int64_t step = 0; step < STEPS; step++)
        for (int32_t item = 0; item < ITEMS; item++) {
            struct loader_sample got;
            assert_int_equal(loader_get(l, step, item, &got, NULL), 0);
            assert_true(got.color[0] / 16 != 1);
        }
    loader_free(l);
    assert_int_equal(s.bad, 1);
    assert_string_equal(s.bad_name, "shot1");
    train_shots_free(&s.shots);
}

static void without_a_shot_that_can_be_read_there_is_no_sample(void **state)
{
    (void)state;
    struct scene s;
    struct loader *l;
    struct loader_sample got;
    struct err e = {0};
    scene_make(&s, TRAIN_SKETCH, SHOTS);
    assert_int_equal(loader_new(&l, &s.conf, NULL), 0);
    assert_int_equal(loader_get(l, 0, 0, &got, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
    loader_free(l);
    assert_int_equal(s.bad, SHOTS);
    train_shots_free(&s.shots);
}

static void a_loader_that_nobody_asks_ends_at_once(void **state)
{
    (void)state;
    struct scene s;
    struct loader *l;
    scene_make(&s, TRAIN_VAE, -1);
    s.conf.last_step = INT32_MAX;
    assert_int_equal(loader_new(&l, &s.conf, NULL), 0);
    loader_free(l);
    loader_free(NULL);
    train_shots_free(&s.shots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_come_in_order_and_are_what_was_picked),
        cmocka_unit_test(a_shot_that_cannot_be_read_is_told_once_and_replaced),
        cmocka_unit_test(without_a_shot_that_can_be_read_there_is_no_sample),
        cmocka_unit_test(a_loader_that_nobody_asks_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
