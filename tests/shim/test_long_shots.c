/* test_long_shots.c - shots of one segment to many, in segments of the released 81 frames: as many frames as were
 * asked for, colours that do not run away, and the same bytes wherever a run was broken off and by whom it is resumed.
 */
#include "variant.h"

#include <math.h>
#include <stdbool.h>

enum { SIDE = 16 };

/* A run of the smallest size. */
static void shot_init(struct caller *c, struct mdl_params *p, int64_t frames)
{
    caller_init(c, p, SIDE, SIDE, frames);
    p->width = p->height = SIDE;
    p->steps = 1;
    p->guidance_scale = 1;
}

/* What the profile gives for so many frames: all of them, or what the released program keeps of whole segments. */
static int64_t frames_out(int profile, int64_t frames)
{
    if (profile == MDL_PROFILE_COMPLETE)
        return frames;
    return frames < 81 ? 0 : 65 * ((frames - 81) / 65 + 1) + 7;
}

static void every_length_gives_its_number_of_frames(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 5, 80, 81, 82, 145, 146, 147, 500};
    static const int strategies[] = {MDL_STRATEGY_GLOBAL, MDL_STRATEGY_AUTOREGRESSIVE};
    static const int profiles[] = {MDL_PROFILE_COMPLETE, MDL_PROFILE_REFERENCE};
    struct variant v;
    variant_make(&v, SEGMENTS_OF_81);
    mdl_model *m = open_or_fail("longanimation", v.folder);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t s = 0; s < 2; s++)
            for (size_t q = 0; q < 2; q++) {
                struct caller c;
                struct mdl_params p;
                struct mdl_plan plan = {.size = sizeof plan};
                shot_init(&c, &p, lengths[i]);
                p.reference_strategy = strategies[s];
                p.profile = profiles[q];
                int64_t wanted = frames_out(profiles[q], lengths[i]);
                if (wanted == 0) {
                    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
                    continue;
                }
                assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
                run_or_fail(m, &p);
                assert_int_equal(c.delivered, wanted);
                assert_int_equal(plan.output_frames, wanted);
                assert_int_equal(c.segment_count, plan.segments);
                caller_fini(&c);
            }
    mdl_close(m);
    variant_remove(&v);
}

/* ---- drift ---- */

static int still_source(void *user, int64_t index, uint8_t *rgb)
{
    (void)index;
    struct caller *c = user;
    draw_input(rgb, c->input_width, c->input_height, 0);
    return 0;
}

/* Mean of one channel over the first `frames` frames that a segment delivered. */
static double mean_of(const struct caller *c, int segment, int32_t frames, int channel)
{
    size_t pixels = (size_t)c->width * (size_t)c->height, from = (size_t)c->segments[segment].first_frame * pixels;
    double sum = 0;
    for (size_t i = 0; i < (size_t)frames * pixels; i++)
        sum += c->frames[(from + i) * 3 + (size_t)channel];
    return sum / ((double)frames * (double)pixels);
}

static void a_still_scene_keeps_its_colours_over_500_frames(void **state)
{
    (void)state;
    struct variant v;
    struct caller c;
    struct mdl_params p;
    variant_make(&v, SEGMENTS_OF_81);
    mdl_model *m = open_or_fail("longanimation", v.folder);
    shot_init(&c, &p, 500);
    p.on_source = still_source;
    p.steps = 4;
    p.guidance_scale = 6;
    run_or_fail(m, &p);
    assert_int_equal(c.segment_count, 8);
    /* The same positions within a segment; the first one begins elsewhere, the last one ends early. */
    double drift = 0;
    for (int k = 2; k < 8; k++)
        for (int channel = 0; channel < 3; channel++)
            drift = fmax(drift, fabs(mean_of(&c, k, c.segments[7].frames, channel) -
                                     mean_of(&c, 1, c.segments[7].frames, channel)));
    print_message("a still scene drifts by %.3f grey levels\n", drift);
    assert_true(drift < 1);
    caller_fini(&c);
    mdl_close(m);
    variant_remove(&v);
}

/* ---- breaking off and going on ---- */

static const struct row {
    const char *name;
    int strategy, speed, memory_global, memory_local;
    int64_t history; /* delivered frames that segment 3 looks back at; -1 = all */
} rows[] = {
    {"both memories", MDL_STRATEGY_GLOBAL, MDL_SPEED_EXACT, 1, 1, -1},
    {"autoregressive", MDL_STRATEGY_AUTOREGRESSIVE, MDL_SPEED_EXACT, 1, 1, -1},
    {"global memory, fast", MDL_STRATEGY_GLOBAL, MDL_SPEED_FAST, 1, 0, -1},
    {"local memory, fast", MDL_STRATEGY_AUTOREGRESSIVE, MDL_SPEED_FAST, 0, 1, -1},
    {"no memory", MDL_STRATEGY_GLOBAL, MDL_SPEED_FAST, 0, 0, 0},
};

static void row_init(const struct row *r, struct caller *c, struct mdl_params *p)
{
    caller_init(c, p, 48, 32, 47); /* segments of 25 that start 9 apart: four */
    p->reference_strategy = r->strategy;
    p->speed = r->speed;
    p->memory_global = r->memory_global;
    p->memory_local = r->memory_local;
    p->steps = 6;
    p->fusion_first_step = 3;
}

/* Breaks a run off inside segment k, and lets another process's handle go on with what the first had delivered. */
static void break_and_resume(const char *folder, const struct row *r, const struct caller *whole, int32_t k)
{
    struct caller first, second;
    struct mdl_params p;
    mdl_model *m = open_or_fail("longanimation", folder);
    row_init(r, &first, &p);
    first.cancel_segment = k;
    first.cancel_step = 4;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_ECANCELED);
    assert_int_equal(first.segment_count, k);
    first.segments[k].first_frame = first.delivered; /* where the broken one would have begun */
    mdl_close(m);
    m = open_or_fail("longanimation", folder);
    row_init(r, &second, &p);
    if (k > 0)
        caller_resume(&second, &p, &first, k);
    run_or_fail(m, &p);
    assert_same_video(whole, &second);
    if (k == 3)
        assert_int_equal(second.history, r->history < 0 ? whole->segments[k].first_frame : r->history);
    caller_fini(&first);
    caller_fini(&second);
    mdl_close(m);
}

static void a_run_with_memory_broken_off_in_any_segment_gives_the_same_bytes(void **state)
{
    (void)state;
    struct variant v;
    struct caller before = {0};
    variant_make(&v, WITH_VIDEO_ENCODER);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct caller whole;
        struct mdl_params p;
        mdl_model *m = open_or_fail("longanimation", v.folder);
        row_init(&rows[i], &whole, &p);
        run_or_fail(m, &p);
        mdl_close(m);
        assert_int_equal(whole.segment_count, 4);
        for (int32_t k = 0; k < 4; k++)
            break_and_resume(v.folder, &rows[i], &whole, k);
        if (i > 0 && memcmp(before.frames, whole.frames, (size_t)whole.delivered * 48 * 32 * 3) == 0)
            fail_msg("\"%s\" gives what \"%s\" gives", rows[i].name, rows[i - 1].name);
        caller_fini(&before);
        before = whole;
    }
    caller_fini(&before);
    variant_remove(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_gives_its_number_of_frames),
        cmocka_unit_test(a_still_scene_keeps_its_colours_over_500_frames),
        cmocka_unit_test(a_run_with_memory_broken_off_in_any_segment_gives_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
