/* test_boundary.c - the boundary alone: codes, exceptions, struct sizes, ownership, out-parameters. Written in C on
 * purpose; the null back end stands behind it. */
#include "support.h"

#include <stdio.h>

_Static_assert(offsetof(struct mdl_params, size) == 0, "size leads, for ever");
_Static_assert(offsetof(struct mdl_options, size) == 0, "size leads, for ever");
_Static_assert(offsetof(struct mdl_plan, size) == 0, "size leads, for ever");
_Static_assert(sizeof(struct mdl_error) == 512, "mdl_error has a fixed size");

static void version_names_torch_and_abi_matches_the_header(void **state)
{
    (void)state;
    assert_int_equal(mdl_abi(), MDL_ABI);
    assert_non_null(strstr(mdl_version(), "longanim "));
    assert_non_null(strstr(mdl_version(), " torch 2."));
}

static void failed_open_leaves_the_out_parameter_and_names_what_was_asked(void **state)
{
    (void)state;
    struct mdl_error e = {0, ""};
    mdl_model *untouched = (mdl_model *)&e;
    assert_int_equal(mdl_open(&untouched, "nosuch", "", NULL, &e), MDL_EINVAL);
    assert_ptr_equal(untouched, &e);
    assert_int_equal(e.code, MDL_EINVAL);
    assert_non_null(strstr(e.text, "nosuch"));
    static const char *const wrong[] = {"segment=x",  "segment=0", "frobnicate=1", "segment", "fail=sadly",
                                        "overlap=25", "overlap=3", "width=100",    ",",       "steps=1001"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(mdl_open(&untouched, "null", wrong[i], NULL, &e), MDL_EINVAL);
        assert_ptr_equal(untouched, &e);
        assert_true(e.text[0] != '\0');
    }
    assert_int_equal(mdl_open(NULL, "null", "", NULL, &e), MDL_EINVAL);
    assert_int_equal(mdl_open(&untouched, NULL, "", NULL, NULL), MDL_EINVAL);
}

static void every_exception_becomes_its_code_and_the_handle_stays_usable(void **state)
{
    (void)state;
    static const struct {
        const char *fault;
        int code;
        const char *text;
    } rows[] = {
        {"oom", MDL_ENOMEM, "memory"},         {"bad_alloc", MDL_ENOMEM, "memory"},
        {"torch_oom", MDL_ENOMEM, "allocate"}, {"nan", MDL_ENAN, "number"},
        {"device", MDL_EDEVICE, "device"},     {"torch_gpu", MDL_EDEVICE, "CUDA"},
        {"weights", MDL_EWEIGHTS, "tensor"},   {"internal", MDL_EINTERNAL, "bug"},
        {"logic", MDL_EINTERNAL, "bug"},       {"int", MDL_EINTERNAL, "no std::exception"},
        {"torch", MDL_EINTERNAL, "shapes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char options[64];
        snprintf(options, sizeof options, "fail=%s,fail_at_segment=1,fail_at_step=2", rows[i].fault);
        mdl_model *m = open_or_fail("null", options);
        struct mdl_params p;
        for (int again = 0; again < 2; again++) {
            struct caller c;
            struct mdl_error e = {0, ""};
            caller_init(&c, &p, 96, 64, 40);
            assert_int_equal(mdl_run(m, &p, &e), rows[i].code);
            assert_int_equal(e.code, rows[i].code);
            if (!strstr(e.text, rows[i].text) || strstr(e.text, "frame #"))
                fail_msg("%s: \"%s\"", rows[i].fault, e.text);
            assert_int_equal(c.segment_count, 1);
            caller_fini(&c);
        }
        struct caller c;
        caller_init(&c, &p, 96, 64, 20); /* one segment: the fault is never reached */
        run_or_fail(m, &p);
        caller_fini(&c);
        mdl_close(m);
    }
}

static void an_error_text_longer_than_its_place_is_cut_and_ended(void **state)
{
    (void)state;
    char name[2000];
    memset(name, 'n', sizeof name);
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xC3\xA9", 2); /* two-byte characters: the cut must not split one */
    name[sizeof name - 1] = '\0';
    struct mdl_error e;
    memset(&e, 'x', sizeof e);
    mdl_model *m = NULL;
    assert_int_equal(mdl_open(&m, name, "", NULL, &e), MDL_EINVAL);
    size_t length = strnlen(e.text, sizeof e.text);
    assert_true(length < sizeof e.text && length > 400);
    assert_int_equal((unsigned char)e.text[length - 1], 0xA9);
}

static void shorter_structs_of_older_callers_get_defaults(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller c;
    struct mdl_params p;
    caller_init(&c, &p, 96, 64, 10);
    /* A caller whose struct ended before the progress callback: what lies behind is not looked at. */
    p.size = (uint32_t)offsetof(struct mdl_params, on_progress);
    p.on_source = NULL;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
    struct mdl_plan plan;
    memset(&plan, 0x55, sizeof plan);
    plan.size = (uint32_t)offsetof(struct mdl_plan, host_bytes);
    assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
    assert_int_equal(plan.segments, 1);
    assert_int_equal(plan.host_bytes, 0x5555555555555555);
    caller_fini(&c);
    mdl_close(m);
}

static void sizes_that_nobody_published_are_refused(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct mdl_params p;
    struct mdl_plan plan = {.size = sizeof plan};
    struct mdl_options o;
    mdl_model *other = NULL;
    memset(&p, 0, sizeof p);
    assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_EINVAL);
    mdl_params_init(&p, sizeof p);
    p.input_width = p.input_height = 64;
    p.size = sizeof p + 8;
    assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_EINVAL);
    p.size = sizeof p;
    plan.size = 0;
    assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_EINVAL);
    plan.size = sizeof plan;
    assert_int_equal(mdl_plan_run(m, &p, &plan, NULL), MDL_OK);
    memset(&o, 0, sizeof o);
    assert_int_equal(mdl_open(&other, "null", "", &o, NULL), MDL_EINVAL);
    mdl_options_init(&o, sizeof o);
    assert_int_equal(mdl_open(&other, "null", "", &o, NULL), MDL_OK);
    mdl_close(other);
    mdl_close(m);
}

static void init_writes_no_further_than_the_size_given(void **state)
{
    (void)state;
    struct mdl_params p;
    memset(&p, 0x77, sizeof p);
    mdl_params_init(&p, (uint32_t)offsetof(struct mdl_params, seed));
    assert_int_equal(p.size, offsetof(struct mdl_params, seed));
    assert_true(p.guidance_scale < 0);
    assert_int_equal(p.seed, 0x7777777777777777);
    mdl_params_init(NULL, sizeof p);
    mdl_params_init(&p, 2);
    assert_int_equal(p.size, offsetof(struct mdl_params, seed));
}

static void parameters_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    static const struct {
        const char *name;
        size_t at;
        int32_t value;
    } rows[] = {
        {"input_width", offsetof(struct mdl_params, input_width), 0},
        {"input_height", offsetof(struct mdl_params, input_height), 1 << 20},
        {"width", offsetof(struct mdl_params, width), 64}, /* without height */
        {"steps", offsetof(struct mdl_params, steps), -1},
        {"steps", offsetof(struct mdl_params, steps), 1001},
        {"profile", offsetof(struct mdl_params, profile), 2},
        {"input_kind", offsetof(struct mdl_params, input_kind), -1},
        {"reference_strategy", offsetof(struct mdl_params, reference_strategy), 9},
        {"injection", offsetof(struct mdl_params, injection), 5},
        {"speed", offsetof(struct mdl_params, speed), 2},
        {"memory_global", offsetof(struct mdl_params, memory_global), 2},
        {"memory_local_frames", offsetof(struct mdl_params, memory_local_frames), -1},
        {"fusion", offsetof(struct mdl_params, fusion), -1},
        {"reference_count", offsetof(struct mdl_params, reference_count), 5},
        {"guidance_scale", offsetof(struct mdl_params, guidance_scale), 0x7FC00000}, /* NaN */
        {"control_scale", offsetof(struct mdl_params, control_scale), 0x7F800000},   /* infinity */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct caller c;
        struct mdl_params p;
        struct mdl_error e = {0, ""};
        caller_init(&c, &p, 96, 64, 10);
        memcpy((char *)&p + rows[i].at, &rows[i].value, sizeof rows[i].value);
        assert_int_equal(mdl_run(m, &p, &e), MDL_EINVAL);
        if (!strstr(e.text, rows[i].name))
            fail_msg("%s: \"%s\"", rows[i].name, e.text);
    }
    mdl_close(m);
}

static void missing_pictures_and_callbacks_are_refused(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller c;
    struct mdl_params p;
    caller_init(&c, &p, 96, 64, 10);
    p.reference_count = 0;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
    caller_init(&c, &p, 96, 64, 10);
    c.reference.rgb = NULL;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
    caller_init(&c, &p, 96, 64, 10);
    p.references = NULL;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
    caller_init(&c, &p, 96, 64, 10);
    p.on_frames = NULL;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
    caller_init(&c, &p, 96, 64, 10);
    p.prompt = NULL;
    assert_int_equal(mdl_run(m, &p, NULL), MDL_EINVAL);
    mdl_close(m);
}

static void optional_callbacks_may_be_missing(void **state)
{
    (void)state;
    mdl_model *m = open_or_fail("null", "");
    struct caller c;
    struct mdl_params p;
    caller_init(&c, &p, 96, 64, 40);
    p.on_segment = NULL;
    p.on_history = NULL;
    p.on_progress = NULL;
    run_or_fail(m, &p);
    assert_int_equal(c.delivered, 40);
    caller_fini(&c);
    mdl_close(m);
}

static void null_handles_are_errors_and_closing_null_is_fine(void **state)
{
    (void)state;
    struct mdl_params p;
    struct mdl_plan plan = {.size = sizeof plan};
    mdl_params_init(&p, sizeof p);
    assert_int_equal(mdl_run(NULL, &p, NULL), MDL_EINVAL);
    assert_int_equal(mdl_plan_run(NULL, &p, &plan, NULL), MDL_EINVAL);
    assert_string_equal(mdl_describe(NULL), "{}");
    mdl_close(NULL);
}

static void models_open_and_close_many_times_side_by_side(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        mdl_model *a = open_or_fail("null", ""), *b = open_or_fail("null", "segment=81,overlap=16");
        assert_non_null(strstr(mdl_describe(a), "\"segment_frames\":25"));
        assert_non_null(strstr(mdl_describe(b), "\"segment_frames\":81"));
        mdl_close(a);
        mdl_close(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_names_torch_and_abi_matches_the_header),
        cmocka_unit_test(failed_open_leaves_the_out_parameter_and_names_what_was_asked),
        cmocka_unit_test(every_exception_becomes_its_code_and_the_handle_stays_usable),
        cmocka_unit_test(an_error_text_longer_than_its_place_is_cut_and_ended),
        cmocka_unit_test(shorter_structs_of_older_callers_get_defaults),
        cmocka_unit_test(sizes_that_nobody_published_are_refused),
        cmocka_unit_test(init_writes_no_further_than_the_size_given),
        cmocka_unit_test(parameters_out_of_range_are_refused_by_name),
        cmocka_unit_test(missing_pictures_and_callbacks_are_refused),
        cmocka_unit_test(optional_callbacks_may_be_missing),
        cmocka_unit_test(null_handles_are_errors_and_closing_null_is_fine),
        cmocka_unit_test(models_open_and_close_many_times_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
