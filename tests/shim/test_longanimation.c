/* test_longanimation.c - the real pipeline on models/tiny_a: counts, resuming, stopping, switches, what is refused.
 * Whether its numbers are right is parity's business. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL "models/tiny_a"

static int32_t segments_of(int64_t frames)
{
    return frames <= 25 ? 1 : (int32_t)((frames - 25 + 8) / 9) + 1;
}

static void every_length_gives_as_many_frames_as_it_has(void **state)
{
    (void)state;
    static const int32_t lengths[] = {1, 5, 25, 26, 34, 35};
    mdl_model *m = open_or_fail("longanimation", MODEL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct caller c;
        struct mdl_params p;
        struct mdl_plan plan = {.size = sizeof plan};
        caller_init(&c, &p, 96, 64, lengths[i]);
        p.steps = 2;
        p.reference_strategy = i % 2 ? MDL_STRATEGY_AUTOREGRESSIVE : MDL_STRATEGY_GLOBAL;
        assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
        run_or_fail(m, &p);
        assert_int_equal(c.delivered, lengths[i]);
        assert_int_equal(c.sources, lengths[i]);
        assert_int_equal(c.segment_count, segments_of(lengths[i]));
        assert_int_equal(plan.segments, c.segment_count);
        assert_int_equal(plan.output_frames, lengths[i]);
        assert_int_equal(c.width, plan.width);
        assert_int_equal(c.height, plan.height);
        assert_int_equal(c.width, 48);
        assert_int_equal(c.height, 32);
        assert_int_equal(c.last_progress.frames_done, lengths[i]);
        for (int k = 0; k < c.segment_count; k++)
            assert_int_equal(c.diffusion_steps[k], 2);
        caller_fini(&c);
    }
    mdl_close(m);
}

static void a_run_resumed_at_any_segment_equals_the_uninterrupted_one(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("longanimation", MODEL);
    for (int strategy = MDL_STRATEGY_GLOBAL; strategy <= MDL_STRATEGY_AUTOREGRESSIVE; strategy++) {
        struct caller whole, part;
        struct mdl_params p;
        caller_init(&whole, &p, 96, 64, 47);
        p.reference_strategy = strategy;
        p.input_kind = MDL_INPUT_COLOR;
        run_or_fail(m, &p);
        assert_int_equal(whole.segment_count, 4);
        for (int32_t k = 1; k < 4; k++) {
            struct mdl_params q;
            caller_init(&part, &q, 96, 64, 47);
            q.reference_strategy = strategy;
            q.input_kind = MDL_INPUT_COLOR;
            caller_resume(&part, &q, &whole, k);
            run_or_fail(m, &q);
            assert_same_video(&whole, &part);
            assert_int_equal(part.first_source, k * 9);
            assert_int_equal(part.history, strategy == MDL_STRATEGY_AUTOREGRESSIVE ? 1 : 0);
            caller_fini(&part);
        }
        caller_fini(&whole);
    }
    mdl_close(m);
}

static void states_of_other_runs_and_damaged_ones_are_refused(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("longanimation", MODEL);
    struct caller whole, part;
    struct mdl_params p, q;
    caller_init(&whole, &p, 96, 64, 30);
    run_or_fail(m, &p);
    for (int what = 0; what < 8; what++) {
        struct mdl_error e = {0, ""};
        caller_init(&part, &q, 96, 64, 30);
        caller_resume(&part, &q, &whole, 1);
        switch (what) {
        case 0:
            q.seed++;
            break;
        case 1:
            q.resume_state_size_bytes--;
            break;
        case 2:
            part.states[0][60] ^= 1;
            break;
        case 3:
            q.resume_segment = 2;
            break;
        case 4:
            q.resume_state_size_bytes = 39;
            break;
        case 5:
            q.guidance_scale = 2;
            break;
        case 6:
            q.steps = 5;
            break;
        case 7:
            part.reference_pixels[0] ^= 1;
            break;
        }
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
    mdl_model *m = open_or_fail("longanimation", MODEL);
    struct caller c;
    struct mdl_params p;
    caller_init(&c, &p, 96, 64, 30);
    c.cancel_segment = 0;
    c.cancel_step = 2;
    struct mdl_error e = {0, ""};
    assert_int_equal(mdl_run(m, &p, &e), MDL_ECANCELED);
    assert_int_equal(c.last_progress.step, 2);
    assert_int_equal(c.delivered, 0);
    caller_fini(&c);
    caller_init(&c, &p, 96, 64, 5);
    run_or_fail(m, &p);
    caller_fini(&c);
    mdl_close(m);
}

/* Runs 30 frames (two segments) after `change` has had its way with the parameters. */
static void run_changed(mdl_model *m, struct caller *c, void (*change)(struct mdl_params *p))
{
    struct mdl_params p;
    caller_init(c, &p, 96, 64, 30);
    p.steps = 4;
    p.input_kind = MDL_INPUT_COLOR;
    if (change)
        change(&p);
    run_or_fail(m, &p);
    assert_int_equal(c->delivered, 30);
}

static bool same_frames(const struct caller *a, const struct caller *b, int64_t from, int64_t to)
{
    size_t bytes = (size_t)a->width * (size_t)a->height * 3;
    return memcmp(a->frames + (size_t)from * bytes, b->frames + (size_t)from * bytes, (size_t)(to - from) * bytes) == 0;
}

static void nothing(struct mdl_params *p)
{
    (void)p;
}
static void other_seed(struct mdl_params *p)
{
    p->seed++;
}
static void other_prompt(struct mdl_params *p)
{
    p->prompt = "a red boat";
}
static void other_negative_prompt(struct mdl_params *p)
{
    p->negative_prompt = "blurred";
}
static void no_guidance(struct mdl_params *p)
{
    p->guidance_scale = 1;
}
static void no_control(struct mdl_params *p)
{
    p->control_scale = 0;
}
static void full_injection(struct mdl_params *p)
{
    p->injection = MDL_INJECT_FULL;
}
static void former_half(struct mdl_params *p)
{
    p->injection = MDL_INJECT_FORMER_HALF;
}
static void latter_half(struct mdl_params *p)
{
    p->injection = MDL_INJECT_LATTER_HALF;
}
static void as_lineart(struct mdl_params *p)
{
    p->input_kind = MDL_INPUT_LINEART;
}
static void no_fusion(struct mdl_params *p)
{
    p->fusion = 0;
}
static void fusion_after_the_end(struct mdl_params *p)
{
    p->fusion_first_step = 4;
}
static void autoregressive(struct mdl_params *p)
{
    p->reference_strategy = MDL_STRATEGY_AUTOREGRESSIVE;
}

static void switches_change_what_they_name_and_nothing_before_it(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct mdl_params *p);
        bool first_segment, second_segment; /* the frames are those of the plain run */
    } rows[] = {
        {nothing, true, true},
        {other_seed, false, false},
        {other_prompt, false, false},
        {other_negative_prompt, false, false},
        {no_guidance, false, false},
        {no_control, false, false},
        {full_injection, false, false},
        {former_half, false, false},
        {latter_half, false, false},
        {no_fusion, true, false},
        {fusion_after_the_end, true, false},
        {autoregressive, true, false},
        {as_lineart, false, false},
    };
    mdl_model *m = open_or_fail("longanimation", MODEL);
    struct caller plain;
    run_changed(m, &plain, NULL);
    int64_t second = plain.segments[1].first_frame;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct caller c;
        run_changed(m, &c, rows[i].change);
        if (same_frames(&plain, &c, 0, second) != rows[i].first_segment ||
            same_frames(&plain, &c, second, 30) != rows[i].second_segment)
            fail_msg("row %zu", i);
        caller_fini(&c);
    }
    struct caller off, late;
    run_changed(m, &off, no_fusion);
    run_changed(m, &late, fusion_after_the_end);
    assert_true(same_frames(&off, &late, 0, 30));
    assert_true(off.segments[0].state_size_bytes < 100); /* nothing fused, nothing kept */
    caller_fini(&off);
    caller_fini(&late);
    caller_fini(&plain);
    mdl_close(m);
}

static void a_state_is_as_large_as_the_fused_steps_need(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("longanimation", MODEL);
    struct caller c;
    run_changed(m, &c, nothing);
    /* steps 2 and 3 of 4, four latent frames of 8 channels at 4x6, float32; envelope of 40 bytes and the type */
    assert_int_equal(c.segments[0].state_size_bytes, 40 + 4 + 2 * 4 * 8 * 4 * 6 * 4);
    caller_fini(&c);
    mdl_close(m);
}

static void sizes_and_references_of_any_shape_are_taken(void **state)
{
    (void)state;
    static const struct {
        int32_t input_w, input_h, ask_w, ask_h, network_w, network_h;
    } rows[] = {{48, 32, 0, 0, 48, 32},
                {100, 300, 0, 0, 0, 0},
                {333, 77, 0, 0, 0, 0},
                {17, 23, 64, 32, 64, 32},
                {300, 100, 32, 48, 32, 48}};
    mdl_model *m = open_or_fail("longanimation", MODEL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct caller c;
        struct mdl_params p;
        struct mdl_plan plan = {.size = sizeof plan};
        caller_init(&c, &p, rows[i].input_w, rows[i].input_h, 2);
        p.width = rows[i].ask_w;
        p.height = rows[i].ask_h;
        p.steps = 1;
        p.input_kind = i % 2 ? MDL_INPUT_COLOR : MDL_INPUT_LINEART;
        assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
        if (rows[i].network_w) {
            assert_int_equal(plan.width, rows[i].network_w);
            assert_int_equal(plan.height, rows[i].network_h);
        }
        assert_int_equal(plan.width % 16 + plan.height % 16, 0);
        run_or_fail(m, &p);
        assert_int_equal(c.width, plan.width);
        assert_int_equal(c.height, plan.height);
        caller_fini(&c);
    }
    mdl_close(m);
}

static void profile_reference_needs_a_whole_segment(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("longanimation", MODEL);
    struct caller c;
    struct mdl_params p;
    struct mdl_error e = {0, ""};
    caller_init(&c, &p, 96, 64, 24);
    p.profile = MDL_PROFILE_REFERENCE;
    assert_int_equal(mdl_run(m, &p, &e), MDL_EINVAL);
    assert_non_null(strstr(e.text, "25"));
    caller_init(&c, &p, 96, 64, 36);
    p.profile = MDL_PROFILE_REFERENCE;
    run_or_fail(m, &p);
    assert_int_equal(c.delivered, 25);
    caller_fini(&c);
    mdl_close(m);
}

static void a_budget_that_is_too_small_is_refused_before_anything_is_read(void **state)
{
    (void)state;
    struct mdl_options o;
    options_init(&o);
    o.vram_budget_bytes = 1 << 20;
    mdl_model *m = NULL;
    assert_int_equal(mdl_open(&m, "longanimation", MODEL, &o, NULL), MDL_OK);
    struct caller c;
    struct mdl_params p;
    struct mdl_error e = {0, ""};
    caller_init(&c, &p, 96, 64, 10);
    assert_int_equal(mdl_run(m, &p, &e), MDL_ENOMEM);
    assert_non_null(strstr(e.text, "1048576"));
    assert_int_equal(c.sources, 0);
    mdl_close(m);
}

static void phases_that_take_turns_give_the_same_frames(void **state)
{
    (void)state;
    struct mdl_options o;
    options_init(&o);
    mdl_model *roomy = NULL, *tight = NULL;
    assert_int_equal(mdl_open(&roomy, "longanimation", MODEL, &o, NULL), MDL_OK);
    struct caller a, b;
    struct mdl_params p, q;
    struct mdl_plan plan = {.size = sizeof plan};
    caller_init(&a, &p, 96, 64, 30);
    caller_init(&b, &q, 96, 64, 30);
    assert_int_equal(mdl_plan_run(roomy, &p, &plan, NULL), MDL_OK);
    o.vram_budget_bytes = plan.host_bytes - (1 << 20); /* a little less than everything at once */
    assert_int_equal(mdl_open(&tight, "longanimation", MODEL, &o, NULL), MDL_OK);
    run_or_fail(roomy, &p);
    run_or_fail(tight, &q);
    assert_same_video(&a, &b);
    caller_fini(&a);
    caller_fini(&b);
    mdl_close(roomy);
    mdl_close(tight);
}

static void a_description_names_what_a_front_end_needs(void **state)
{
    (void)state;
    static const char *const keys[] = {"\"name\":\"tiny_a\"",   "\"width\":48",         "\"height\":32",
                                       "\"segment_frames\":25", "\"steps\":4",          "\"injection\":\"skip_layer\"",
                                       "\"memory\":false",      "\"device\":",          "\"dtype\":",
                                       "\"licences\":[",        "\"components\":[",     "\"parameters\":",
                                       "\"sha256\":\"",         "\"overlap_frames\":16"};
    mdl_model *m = open_or_fail("longanimation", MODEL);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strstr(mdl_describe(m), keys[i]))
            fail_msg("%s is not in %s", keys[i], mdl_describe(m));
    mdl_close(m);
}

/* Copies the model with links into a scratch folder, writes `text` (or nothing) over one file, and checks it. */
static int32_t problems_after(const char *file, const char *text, char *report, size_t report_size)
{
    char folder[] = "check-XXXXXX", command[1024], path[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/%s", tmp ? tmp : "/tmp", folder);
    assert_non_null(mkdtemp(path));
    snprintf(command, sizeof command, "cp -rs \"$PWD/" MODEL "/.\" %s && rm -rf %s/%s", path, path, file);
    assert_int_equal(system(command), 0);
    if (text) {
        char target[512];
        snprintf(target, sizeof target, "%s/%s", path, file);
        FILE *f = fopen(target, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    const char *json = NULL;
    int32_t problems = -1;
    struct mdl_error e = {0, ""};
    if (mdl_check(path, NULL, NULL, &json, &problems, &e) != MDL_OK)
        fail_msg("mdl_check: %s", e.text);
    snprintf(report, report_size, "%s", json);
    mdl_model *m = NULL;
    struct mdl_options o;
    options_init(&o);
    assert_int_equal(mdl_open(&m, "longanimation", path, &o, &e), problems ? MDL_EWEIGHTS : MDL_OK);
    mdl_close(m);
    snprintf(command, sizeof command, "rm -rf %s", path);
    assert_int_equal(system(command), 0);
    return problems;
}

static void a_folder_that_is_wrong_is_named_and_not_opened(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *expect;
    } rows[] = {
        {"longanimation.json", NULL, "longanimation.json"},
        {"longanimation.json", "{", "longanimation.json"},
        {"longanimation.json", "{\"format\":\"other\"}", "manifest"},
        {"longanimation.json", "{\"format\":\"longanimation-model\",\"version\":2}", "version"},
        {"longanimation.json",
         "{\"format\":\"longanimation-model\",\"version\":1,\"width\":48,\"height\":32,\"segment_frames\":24}", "24"},
        {"longanimation.json", "{\"format\":\"longanimation-model\",\"version\":1,\"width\":50,\"height\":32}", "16"},
        {"longanimation.json",
         "{\"format\":\"longanimation-model\",\"version\":1,\"width\":48,\"height\":32,\"injection\":\"some\"}",
         "injection"},
        {"longanimation.json",
         "{\"format\":\"longanimation-model\",\"version\":1,\"width\":48,\"height\":32,\"memory\":\"nowhere\"}",
         "nowhere"},
        {"vae/diffusion_pytorch_model.safetensors", NULL, "vae"},
        {"vae/diffusion_pytorch_model.safetensors", "no weights", "vae"},
        {"vae/config.json", "[]", "vae"},
        {"sketch_dit/config.json", "{\"num_layers\":3}", "sketch_dit"},
        {"transformer/diffusion_pytorch_model-00002-of-00002.safetensors", NULL, "transformer"},
        {"scheduler/scheduler_config.json", NULL, "scheduler"},
        {"tokenizer/spiece.model", NULL, "spiece"},
        {"memory", NULL, "memory"},
    };
    char report[16384];
    assert_int_equal(problems_after("expected", NULL, report, sizeof report), 0);
    assert_non_null(strstr(report, "\"problems\":[]"));
    assert_non_null(strstr(report, "\"phase\":\"diffusion\""));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (problems_after(rows[i].file, rows[i].text, report, sizeof report) < 1 || !strstr(report, rows[i].expect))
            fail_msg("row %zu: %s", i, report);
}

static void models_open_and_close_many_times(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        mdl_model *m = open_or_fail("longanimation", MODEL);
        mdl_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_gives_as_many_frames_as_it_has),
        cmocka_unit_test(a_run_resumed_at_any_segment_equals_the_uninterrupted_one),
        cmocka_unit_test(states_of_other_runs_and_damaged_ones_are_refused),
        cmocka_unit_test(a_stop_takes_effect_before_the_next_step),
        cmocka_unit_test(switches_change_what_they_name_and_nothing_before_it),
        cmocka_unit_test(a_state_is_as_large_as_the_fused_steps_need),
        cmocka_unit_test(sizes_and_references_of_any_shape_are_taken),
        cmocka_unit_test(profile_reference_needs_a_whole_segment),
        cmocka_unit_test(a_budget_that_is_too_small_is_refused_before_anything_is_read),
        cmocka_unit_test(phases_that_take_turns_give_the_same_frames),
        cmocka_unit_test(a_description_names_what_a_front_end_needs),
        cmocka_unit_test(a_folder_that_is_wrong_is_named_and_not_opened),
        cmocka_unit_test(models_open_and_close_many_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
