#include "job/params.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int apply(struct job_params *p, const char *text, struct err *e)
{
    json_t *object = json_parse(text, strlen(text), ERR_bad_request, e);
    if (!object)
        return -1;
    int result = params_apply_json(p, object, e);
    json_decref(object);
    return result;
}

static void refused(const char *text, const char *field, const char *hint)
{
    struct job_params p;
    struct err e = {0};
    params_init(&p);
    if (apply(&p, text, &e) == 0)
        fail_msg("%s was accepted", text);
    assert_int_equal(e.code, ERR_params_invalid);
    assert_string_equal(e.field, field);
    if (!strstr(e.detail, hint))
        fail_msg("%s: \"%s\" does not say %s", text, e.detail, hint);
    params_free(&p);
}

static void every_parameter_can_be_given_and_comes_back(void **state)
{
    static const char text[] =
        "{\"fps\":\"24000/"
        "1001\",\"model\":\"m\",\"prompt\":\"p\xC3\xA9\",\"negative_prompt\":\"n\",\"seed\":9223372036854775807,"
        "\"steps\":30,\"guidance_scale\":1.5,\"profile\":\"reference\",\"input\":\"color\",\"reference_strategy\":"
        "\"autoregressive\","
        "\"injection\":\"latter_half\",\"control_scale\":0.25,\"memory\":{\"global\":false,\"local\":false,\"global_"
        "frames\":100,"
        "\"local_frames\":10},\"fusion\":{\"enabled\":false,\"first_step\":0},\"size\":{\"width\":640,\"height\":352},"
        "\"output\":{\"format\":\"png.zip\",\"snap\":\"region\",\"planes\":true,\"to\":\"s3://b/"
        "p\"},\"background\":\"transparent\","
        "\"trace_lines\":\"red,blue\",\"gap\":12,\"speed\":\"fast\",\"priority\":9,\"tags\":{\"shot\":"
        "\"12\"}}";
    struct job_params p;
    struct err e = {0};
    (void)state;
    params_init(&p);
    assert_int_equal(apply(&p, text, &e), 0);
    assert_int_equal(params_check(&p, &e), 0);
    assert_true(p.has_seed && p.seed == INT64_MAX);
    assert_int_equal(p.injection, INJECT_LATTER_HALF);
    assert_int_equal(p.output_format, FORMAT_PNG_ZIP);
    assert_int_equal(p.speed, SPEED_FAST);
    json_t *shown = params_json(&p), *given = json_parse(text, strlen(text), ERR_internal, &e);
    char *a = json_text(shown, false), *b = json_text(given, false);
    assert_string_equal(a, b);
    free(a);
    free(b);
    json_decref(shown);
    json_decref(given);
    params_free(&p);
}

static void defaults_are_shown_and_what_is_the_models_is_not(void **state)
{
    struct job_params p;
    (void)state;
    params_init(&p);
    json_t *shown = params_json(&p);
    char *text = json_text(shown, false);
    assert_string_equal(
        text, "{\"fps\":\"24\",\"prompt\":\"\",\"negative_prompt\":\"\",\"profile\":\"complete\",\"input\":\"auto\","
              "\"reference_strategy\":\"global\",\"memory\":{\"global\":true,\"local\":true},"
              "\"fusion\":{\"enabled\":true},\"size\":\"auto\",\"output\":{\"format\":\"mp4\",\"snap\":\"auto\","
              "\"planes\":false},"
              "\"background\":\"keep\",\"trace_lines\":\"\","
              "\"speed\":\"exact\",\"priority\":5}");
    free(text);
    json_decref(shown);
    json_t *model = json_pack("{s:s, s:i, s:f, s:f, s:s, s:i, s:i}", "name", "demo", "steps", 50, "guidance_scale", 6.0,
                              "control_scale", 0.5, "injection", "skip_layer", "memory_global_frames", 650,
                              "fusion_first_step", 31);
    p.guidance_scale = 2;
    params_fill(&p, model);
    assert_string_equal(p.model, "demo");
    assert_int_equal(p.steps, 50);
    assert_true(p.guidance_scale == 2 && p.control_scale == 0.5);
    assert_int_equal(p.injection, INJECT_SKIP_LAYER);
    assert_int_equal(p.memory_global_frames, 650);
    assert_int_equal(p.memory_local_frames, 0);
    assert_int_equal(p.fusion_first_step, 31);
    json_decref(model);
    params_free(&p);
}

static void wrong_values_name_their_field(void **state)
{
    (void)state;
    refused("{\"steps\":0}", "/steps", "1 to 200");
    refused("{\"steps\":201}", "/steps", "1 to 200");
    refused("{\"steps\":7.5}", "/steps", "integer");
    refused("{\"steps\":\"7\"}", "/steps", "integer");
    refused("{\"steps\":null}", "/steps", "integer");
    refused("{\"steps\":true}", "/steps", "integer");
    refused("{\"prompt\":null}", "/prompt", "string");
    refused("{\"prompt\":7}", "/prompt", "string");
    refused("{\"guidance_scale\":0.99}", "/guidance_scale", "1 to 30");
    refused("{\"guidance_scale\":null}", "/guidance_scale", "number");
    refused("{\"seed\":-1}", "/seed", "9223372036854775807");
    refused("{\"profile\":\"fast\"}", "/profile", "complete|reference");
    refused("{\"injection\":\"default\"}", "/injection", "skip_layer");
    refused("{\"profile\":null}", "/profile", "one of");
    refused("{\"memory\":true}", "/memory", "object");
    refused("{\"memory\":null}", "/memory", "object");
    refused("{\"memory\":{\"global\":1}}", "/memory/global", "true or false");
    refused("{\"size\":\"640x352\"}", "/size", "auto");
    refused("{\"size\":{\"width\":640}}", "/size", "width and height");
    refused("{\"size\":{\"width\":640,\"height\":350}}", "/size/height", "multiple of 16");
    refused("{\"size\":{\"width\":640,\"height\":0}}", "/size/height", "16 to 4096");
    refused("{\"fps\":\"0\"}", "/fps", "rate");
    refused("{\"fps\":\"24/0\"}", "/fps", "rate");
    refused("{\"fps\":24}", "/fps", "rate");
    refused("{\"fps\":\"1000\"}", "/fps", "rate");
    refused("{\"priority\":10}", "/priority", "0 to 9");
    refused("{\"tags\":{\"a\":1}}", "/tags", "strings");
    refused("{\"tags\":{\"\":\"x\"}}", "/tags/", "1 to 64");
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
    (void)state;
    refused("{\"promt\":\"x\"}", "/promt", "prompt?");
    refused("{\"step\":4}", "/step", "steps?");
    refused("{\"memory\":{\"globl\":true}}", "/memory/globl", "memory.global?");
    refused("{\"output_format\":\"mp4\"}", "/output_format", "output.format?");
    refused("{\"output.format\":\"mp4\"}", "/output/format", "output.format?");
    refused("{\"size\":{\"width\":64,\"height\":64,\"depth\":1}}", "/size/depth", "did you mean");
    refused("{\"\":1}", "/", "did you mean");
}

static void seven_point_zero_is_an_integer(void **state)
{
    struct job_params p;
    struct err e;
    (void)state;
    params_init(&p);
    assert_int_equal(apply(&p, "{\"seed\":7.0,\"steps\":3.0}", &e), 0);
    assert_true(p.seed == 7 && p.steps == 3);
    assert_int_equal(params_apply_text(&p, "seed", "8.0", &e), 0);
    assert_true(p.seed == 8);
    params_free(&p);
}

static void texts_and_tags_are_bounded(void **state)
{
    struct job_params p;
    struct err e;
    char prompt[PARAMS_TEXT_MAX + 2], key[80];
    (void)state;
    params_init(&p);
    memset(prompt, 'x', sizeof prompt - 1);
    prompt[PARAMS_TEXT_MAX + 1] = '\0';
    assert_int_equal(params_apply_text(&p, "prompt", prompt, &e), -1);
    prompt[PARAMS_TEXT_MAX] = '\0';
    assert_int_equal(params_apply_text(&p, "prompt", prompt, &e), 0);
    assert_int_equal(params_apply_text(&p, "prompt", "\xff", &e), -1);
    for (int i = 0; i < 16; i++) {
        snprintf(key, sizeof key, "tags.k%d", i);
        assert_int_equal(params_apply_text(&p, key, "v", &e), 0);
    }
    assert_int_equal(params_apply_text(&p, "tags.k0", "again", &e), 0);
    assert_int_equal(params_apply_text(&p, "tags.k16", "v", &e), -1);
    params_free(&p);
    refused(
        "{\"tags\":{\"a\":"
        "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567890123456\"}}",
        "/tags/a", "256");
}

static void text_forms_are_read_like_json(void **state)
{
    static const char *const good[][2] = {{"seed", "7"},
                                          {"seed", "9223372036854775807"},
                                          {"guidance_scale", "6"},
                                          {"control_scale", "2e-1"},
                                          {"memory.global", "false"},
                                          {"output.format", "png.zip"},
                                          {"size", "640x352"},
                                          {"size", "auto"},
                                          {"size.width", "64"},
                                          {"fps", "30000/1001"},
                                          {"tags.a.b", "c"},
                                          {"prompt", ""}};
    static const char *const bad[][2] = {{"seed", "9223372036854775808"},
                                         {"seed", ""},
                                         {"seed", " 7"},
                                         {"seed", "0x7"},
                                         {"guidance_scale", "nan"},
                                         {"guidance_scale", "inf"},
                                         {"memory.global", "1"},
                                         {"memory", "{}"},
                                         {"size", "640"},
                                         {"size", "640x352x1"},
                                         {"size", "650x352"},
                                         {"tags", "{}"},
                                         {"steps", "1e1"},
                                         {"promt", "x"},
                                         {"steps", "--5"}};
    struct job_params p;
    struct err e;
    (void)state;
    params_init(&p);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (params_apply_text(&p, good[i][0], good[i][1], &e) != 0)
            fail_msg("%s=%s: %s", good[i][0], good[i][1], e.detail);
    assert_int_equal(p.fps_num, 30000);
    assert_string_equal(json_string_value(json_object_get(p.tags, "a.b")), "c");
    assert_int_equal(params_check(&p, &e), -1); /* a width without a height */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (params_apply_text(&p, bad[i][0], bad[i][1], &e) == 0)
            fail_msg("%s=%s was accepted", bad[i][0], bad[i][1]);
        assert_int_equal(e.code, ERR_params_invalid);
    }
    params_free(&p);
}

static void a_field_given_twice_is_noticed(void **state)
{
    struct err e;
    static const char text[] = "{\"seed\":1,\"memory\":{\"global\":true},\"size\":\"auto\"}";
    json_t *object = json_parse(text, strlen(text), ERR_bad_request, &e);
    (void)state;
    assert_true(params_given(object, "seed"));
    assert_true(params_given(object, "memory.global"));
    assert_false(params_given(object, "memory.local"));
    assert_true(params_given(object, "size.width"));
    assert_false(params_given(object, "steps"));
    json_decref(object);
}

static void check_row(void *user, const char *name, const char *type, const char *fallback, const char *doc)
{
    struct job_params p;
    struct err e;
    ++*(int *)user;
    assert_true(params_known(name) && type[0] && doc[0]);
    params_init(&p);
    if (fallback[0])
        assert_int_equal(params_apply_text(&p, name, fallback, &e), 0);
    params_free(&p);
}

static void every_documented_default_is_a_valid_value(void **state)
{
    int count = 0;
    (void)state;
    params_each(check_row, &count);
    assert_true(count > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parameter_can_be_given_and_comes_back),
        cmocka_unit_test(defaults_are_shown_and_what_is_the_models_is_not),
        cmocka_unit_test(wrong_values_name_their_field),
        cmocka_unit_test(unknown_names_are_refused_with_the_nearest),
        cmocka_unit_test(seven_point_zero_is_an_integer),
        cmocka_unit_test(texts_and_tags_are_bounded),
        cmocka_unit_test(text_forms_are_read_like_json),
        cmocka_unit_test(a_field_given_twice_is_noticed),
        cmocka_unit_test(every_documented_default_is_a_valid_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
