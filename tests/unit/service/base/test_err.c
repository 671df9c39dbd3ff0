#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void every_code_has_a_name_and_is_found_by_it(void **state)
{
    (void)state;
    for (int code = 1; code < ERR_COUNT; code++) {
        const struct err_info *info = err_info((enum err_code)code);
        assert_int_equal(err_by_name(info->name), code);
        assert_in_range(info->http_status, 400, 599);
        assert_true(info->title[0] != '\0');
    }
    assert_int_equal(err_by_name("nonsense"), ERR_none);
}

static void only_faults_that_may_pass_are_retryable(void **state)
{
    (void)state;
    assert_true(err_retryable(ERR_dependency_redis));
    assert_true(err_retryable(ERR_storage_full));
    assert_true(err_retryable(ERR_gpu_oom));
    assert_false(err_retryable(ERR_media_truncated));
    assert_false(err_retryable(ERR_params_invalid));
    assert_false(err_retryable(ERR_model_error));
}

static void detail_never_carries_control_characters_or_broken_utf8(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(err_set_field(&e, ERR_bad_request, "a\nb", "x\ry\xffz%s", "\x1b[31m\xc3\xa9"), -1);
    assert_string_equal(e.field, "a b");
    assert_string_equal(e.detail, "x y\xEF\xBF\xBDz [31m\xc3\xa9");
    assert_int_equal(err_set(NULL, ERR_internal, "nobody listens"), -1);
}

static void a_long_detail_is_cut_between_characters(void **state)
{
    struct err e = {0};
    char text[1000];
    (void)state;
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 4);
    err_set(&e, ERR_internal, "%s", text);
    size_t size = strlen(e.detail);
    assert_true(size > 390);
    assert_true(text_utf8_valid(e.detail, size));
}

static void utf8_is_checked_as_rfc_3629_says(void **state)
{
    static const char *const bad[] = {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC3"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_utf8_valid(bad[i], strlen(bad[i])));
    assert_true(text_utf8_valid("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xA8", 10));
}

static void nearest_name_is_the_one_with_fewest_edits(void **state)
{
    static const char *const names[] = {"prompt", "seed", "steps", "guidance_scale"};
    (void)state;
    assert_string_equal(text_nearest("promt", names, 4), "prompt");
    assert_string_equal(text_nearest("step", names, 4), "steps");
    assert_string_equal(text_nearest("guidance-scale", names, 4), "guidance_scale");
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_null(text_nearest("x", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_is_found_by_it),
        cmocka_unit_test(only_faults_that_may_pass_are_retryable),
        cmocka_unit_test(detail_never_carries_control_characters_or_broken_utf8),
        cmocka_unit_test(a_long_detail_is_cut_between_characters),
        cmocka_unit_test(utf8_is_checked_as_rfc_3629_says),
        cmocka_unit_test(nearest_name_is_the_one_with_fewest_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
