/* test_null.c - the null back end keeps the promises that the real one makes: counts, order, resuming, stopping; and
 * its frames are the arithmetic that null.cc states. */
#include "support.h"

#include <stdio.h>

/* What null.cc says a pixel is, for strategy global, line art, and without the latent's bit. */
static void expect_pixel(const struct caller *c, const struct mdl_params *p, int64_t frame, int32_t x, int32_t y)
{
    uint8_t *input = malloc((size_t)c->input_width * (size_t)c->input_height * 3);
    assert_non_null(input);
    draw_input(input, c->input_width, c->input_height, frame);
    const uint8_t *in =
        input + ((y * c->input_height / c->height) * c->input_width + x * c->input_width / c->width) * 3;
    const uint8_t *ref = c->reference_pixels + ((y * 8 / c->height) * 8 + x * 8 / c->width) * 3;
    const uint8_t *out = c->frames + ((frame * c->height + y) * c->width + x) * 3;
    int light = (77 * in[0] + 150 * in[1] + 29 * in[2]) / 256;
    for (int i = 0; i < 3; i++) {
        int v = ref[i] * light / 255 + (int)(((p->seed * 0x9E3779B97F4A7C15u) >> (56 - 8 * i)) % 8);
        v = v > 255 ? 255 : v;
        assert_int_equal(i == 2 ? out[i] & ~1 : out[i], i == 2 ? v & ~1 : v);
    }
    free(input);
}

static void frames_are_the_arithmetic_that_is_documented(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller c;
    struct mdl_params p;
    caller_init(&c, &p, 192, 128, 40);
    run_or_fail(m, &p);
    assert_int_equal(c.width, 96);
    assert_int_equal(c.height, 64);
    for (int64_t f = 0; f < 40; f += 13)
        for (int32_t i = 0; i < 200; i++)
            expect_pixel(&c, &p, f, i * 37 % 96, i * 29 % 64);
    caller_fini(&c);
    mdl_close(m);
}

static void every_length_gives_as_many_frames_as_it_has(void **state)
{
    (void)state;
    static const struct {
        int32_t frames, segments;
    } rows[] = {{1, 1}, {5, 1}, {80, 1}, {81, 1}, {82, 2}, {145, 2}, {146, 2}, {147, 3}, {500, 8}};
    mdl_model *m = open_or_fail("null", "segment=81,overlap=16,width=32,height=16,steps=2");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int strategy = MDL_STRATEGY_GLOBAL; strategy <= MDL_STRATEGY_AUTOREGRESSIVE; strategy++) {
            struct caller c;
            struct mdl_params p;
            struct mdl_plan plan = {.size = sizeof plan};
            caller_init(&c, &p, 32, 16, rows[i].frames);
            p.reference_strategy = strategy;
            assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
            run_or_fail(m, &p);
            assert_int_equal(c.delivered, rows[i].frames);
            assert_int_equal(c.sources, rows[i].frames);
            assert_int_equal(c.segment_count, rows[i].segments);
            assert_int_equal(plan.segments, rows[i].segments);
            assert_int_equal(plan.output_frames, rows[i].frames);
            assert_int_equal(plan.segment_frames, 81);
            assert_int_equal(plan.stride_frames, 65);
            assert_int_equal(c.last_progress.frames_done, rows[i].frames);
            for (int k = 0; k < c.segment_count; k++)
                assert_int_equal(c.diffusion_steps[k], 2);
            caller_fini(&c);
        }
    mdl_close(m);
}

static void profile_reference_drops_what_the_released_program_drops(void **state)
{
    (void)state;
    static const struct {
        int32_t frames, delivered;
    } rows[] = {{81, 72}, {145, 72}, {146, 137}, {500, 462}};
    mdl_model *m = open_or_fail("null", "segment=81,overlap=16,width=32,height=16,steps=1");
    struct caller c;
    struct mdl_params p;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        caller_init(&c, &p, 64, 16, rows[i].frames);
        p.profile = MDL_PROFILE_REFERENCE;
        run_or_fail(m, &p);
        assert_int_equal(c.delivered, rows[i].delivered);
        assert_int_equal(c.width, 32); /* the model's own size, whatever the input's shape */
        caller_fini(&c);
    }
    caller_init(&c, &p, 32, 16, 80);
    p.profile = MDL_PROFILE_REFERENCE;
    struct mdl_error e = {0, ""};
    assert_int_equal(mdl_run(m, &p, &e), MDL_EINVAL);
    assert_non_null(strstr(e.text, "81"));
    mdl_close(m);
}

static void a_run_resumed_at_any_segment_equals_the_uninterrupted_one(void **state)
{
    (void)state;
    static const struct {
        int strategy, global, local, asks_history;
    } rows[] = {{MDL_STRATEGY_GLOBAL, 1, 1, 1},
                {MDL_STRATEGY_GLOBAL, 0, 1, 1},
                {MDL_STRATEGY_GLOBAL, 0, 0, 0},
                {MDL_STRATEGY_AUTOREGRESSIVE, 0, 0, 1},
                {MDL_STRATEGY_AUTOREGRESSIVE, 1, 1, 1}};
    mdl_model *m = open_or_fail("null", "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct caller whole, part;
        struct mdl_params p;
        caller_init(&whole, &p, 96, 64, 50);
        p.reference_strategy = rows[i].strategy;
        p.memory_global = rows[i].global;
        p.memory_local = rows[i].local;
        run_or_fail(m, &p);
        assert_int_equal(whole.segment_count, 4);
        for (int32_t k = 1; k < 4; k++) {
            struct mdl_params q;
            caller_init(&part, &q, 96, 64, 50);
            q.reference_strategy = rows[i].strategy;
            q.memory_global = rows[i].global;
            q.memory_local = rows[i].local;
            caller_resume(&part, &q, &whole, k);
            run_or_fail(m, &q);
            assert_same_video(&whole, &part);
            assert_int_equal(part.first_source, k * 9);
            assert_int_equal(part.history > 0, rows[i].asks_history);
            caller_fini(&part);
        }
        caller_fini(&whole);
    }
    mdl_close(m);
}

static void a_frame_changed_in_history_changes_what_follows(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller whole, part;
    struct mdl_params p, q;
    caller_init(&whole, &p, 96, 64, 50);
    run_or_fail(m, &p);
    caller_init(&part, &q, 96, 64, 50);
    caller_resume(&part, &q, &whole, 2);
    part.frames[0] ^= 1;
    run_or_fail(m, &q);
    size_t bytes = (size_t)whole.width * (size_t)whole.height * 3;
    assert_memory_not_equal(whole.frames + (size_t)part.segments[2].first_frame * bytes,
                            part.frames + (size_t)part.segments[2].first_frame * bytes, bytes);
    caller_fini(&part);
    caller_fini(&whole);
    mdl_close(m);
}

static void states_of_other_runs_and_damaged_ones_are_refused(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller whole, part;
    struct mdl_params p, q;
    struct mdl_error e = {0, ""};
    caller_init(&whole, &p, 96, 64, 50);
    run_or_fail(m, &p);
    for (int what = 0; what < 7; what++) {
        caller_init(&part, &q, 96, 64, 50);
        caller_resume(&part, &q, &whole, 2);
        switch (what) {
        case 0:
            q.seed++;
            break;
        case 1:
            q.resume_state_size_bytes--;
            break;
        case 2:
            part.states[1][50] ^= 1;
            break;
        case 3:
            q.resume_state = part.states[0];
            break;
        case 4:
            q.resume_segment = 4;
            break;
        case 5:
            q.resume_state_size_bytes = 3;
            break;
        case 6:
            q.prompt = "another";
            break;
        }
        e.text[0] = '\0';
        assert_int_equal(mdl_run(m, &q, &e), MDL_EINVAL);
        assert_true(e.text[0] != '\0');
        assert_int_equal(part.sources, 0);
        caller_fini(&part);
    }
    caller_fini(&whole);
    mdl_close(m);
}

static void a_stop_takes_effect_before_the_next_step(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller c;
    struct mdl_params p;
    for (int step = 0; step < 4; step++) {
        struct mdl_error e = {0, ""};
        caller_init(&c, &p, 96, 64, 50);
        c.cancel_segment = 1;
        c.cancel_step = step;
        assert_int_equal(mdl_run(m, &p, &e), MDL_ECANCELED);
        assert_int_equal(e.code, MDL_ECANCELED);
        assert_int_equal(c.segment_count, 1);
        assert_int_equal(c.last_progress.step, step);
        assert_int_equal(c.last_progress.segment, 1);
        caller_fini(&c);
    }
    for (const char *in = "sfg"; *in; in++) {
        caller_init(&c, &p, 96, 64, 50);
        c.cancel_in = *in;
        assert_int_equal(mdl_run(m, &p, NULL), MDL_ECANCELED);
        caller_fini(&c);
    }
    caller_init(&c, &p, 96, 64, 10);
    run_or_fail(m, &p);
    caller_fini(&c);
    mdl_close(m);
}

static void size_follows_the_inputs_shape_and_can_be_asked_for(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "width=1024,height=576,steps=1");
    static const struct {
        int32_t w, h, network_w, network_h;
    } rows[] = {{1024, 576, 1024, 576}, {1920, 1080, 1024, 576}, {576, 1024, 576, 1024}, {500, 500, 768, 768}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct caller c;
        struct mdl_params p;
        struct mdl_plan plan = {.size = sizeof plan};
        caller_init(&c, &p, rows[i].w, rows[i].h, 1);
        assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
        assert_int_equal(plan.width, rows[i].network_w);
        assert_int_equal(plan.height, rows[i].network_h);
        p.width = 64;
        p.height = 128;
        assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
        assert_int_equal(plan.width, 64);
        assert_int_equal(plan.height, 128);
        p.width = 70;
        assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_EINVAL);
    }
    mdl_close(m);
}

static void a_budget_that_is_too_small_is_refused_with_the_number(void **state)
{
    (void)state;
    struct mdl_options o;
    mdl_options_init(&o, sizeof o);
    o.vram_budget_bytes = 1000;
    mdl_model *m = NULL;
    assert_int_equal(mdl_open(&m, "null", "device_bytes=5000", &o, NULL), MDL_OK);
    struct caller c;
    struct mdl_params p;
    struct mdl_error e = {0, ""};
    caller_init(&c, &p, 96, 64, 10);
    assert_int_equal(mdl_run(m, &p, &e), MDL_ENOMEM);
    assert_non_null(strstr(e.text, "5000"));
    assert_int_equal(c.sources, 0);
    mdl_close(m);
}

static void a_fault_with_a_file_strikes_once(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    char path[200], options[300];
    snprintf(path, sizeof path, "%s/fault-%d", tmp ? tmp : "/tmp", rand());
    snprintf(options, sizeof options, "fail=oom,fail_at_segment=1,fault_file=%s", path);
    remove(path);
    mdl_model *m = open_or_fail("null", options);
    struct caller c;
    struct mdl_params p;
    caller_init(&c, &p, 96, 64, 50);
    assert_int_equal(mdl_run(m, &p, NULL), MDL_ENOMEM);
    caller_fini(&c);
    caller_init(&c, &p, 96, 64, 50);
    run_or_fail(m, &p);
    caller_fini(&c);
    mdl_close(m);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_the_arithmetic_that_is_documented),
        cmocka_unit_test(every_length_gives_as_many_frames_as_it_has),
        cmocka_unit_test(profile_reference_drops_what_the_released_program_drops),
        cmocka_unit_test(a_run_resumed_at_any_segment_equals_the_uninterrupted_one),
        cmocka_unit_test(a_frame_changed_in_history_changes_what_follows),
        cmocka_unit_test(states_of_other_runs_and_damaged_ones_are_refused),
        cmocka_unit_test(a_stop_takes_effect_before_the_next_step),
        cmocka_unit_test(size_follows_the_inputs_shape_and_can_be_asked_for),
        cmocka_unit_test(a_budget_that_is_too_small_is_refused_with_the_number),
        cmocka_unit_test(a_fault_with_a_file_strikes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
