#include "api/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static char text[TARGET_TEXT_SIZE(TARGET_MAX)];

static enum err_code refused(const char *raw)
{
    struct target t;
    struct err e = {0};

    return target_parse(&t, raw, strlen(raw), text, &e) ? e.code : ERR_none;
}

static void path_and_query_are_decoded_once(void **state)
{
    struct target t;
    struct err e;
    const char *raw = "/jobs/a%2541?state=queued&tag=a%26b%3Dc+d&empty&none=";

    (void)state;
    assert_int_equal(target_parse(&t, raw, strlen(raw), text, &e), 0);
    assert_string_equal(t.path, "/jobs/a%41");
    assert_string_equal(target_arg(&t, "state"), "queued");
    assert_string_equal(target_arg(&t, "tag"), "a&b=c d");
    assert_string_equal(target_arg(&t, "empty"), "");
    assert_string_equal(target_arg(&t, "none"), "");
    assert_null(target_arg(&t, "other"));
}

static void absolute_form_gives_the_authority(void **state)
{
    struct target t;
    struct err e;
    const char *raw = "HTTP://example.test:80?x=1";

    (void)state;
    assert_int_equal(target_parse(&t, raw, strlen(raw), text, &e), 0);
    assert_string_equal(t.authority, "example.test:80");
    assert_string_equal(t.path, "/");
    assert_string_equal(target_arg(&t, "x"), "1");
    assert_int_equal(target_parse(&t, "*", 1, text, &e), 0);
    assert_string_equal(t.path, "*");
}

static void hostile_targets_are_refused(void **state)
{
    static const char *const bad[] = {
        "/healthz%00x",
        "/jobs/a%2fb",
        "/jobs/a%2Fb",
        "/jobs/a%5cb",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/./b",
        "/a/.%2E",
        "/a%0d%0aX: y",
        "/a%7f",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%c0%af",
        "/a%ed%a0%80",
        "/a%f5%80%80%80",
        "/a%ff",
        "jobs",
        "",
        "ftp://x/y",
        "http:///x",
        "/jobs?a=1&a=2",
        "/jobs?a=%00",
        "/jobs?a=%fe",
        "/a#b",
        "/a b",
        "/..",
        "/a/..",
        "http://",
        "/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (refused(bad[i]) != ERR_bad_request)
            fail_msg("%s was taken", bad[i]);
}

static void a_raw_nul_is_refused(void **state)
{
    struct target t;
    struct err e;

    (void)state;
    assert_int_equal(target_parse(&t, "/live\0z", 7, text, &e), -1);
}

static void a_long_target_is_414(void **state)
{
    static char raw[TARGET_MAX + 2];

    (void)state;
    memset(raw, 'a', TARGET_MAX + 1);
    raw[0] = '/';
    assert_int_equal(refused(raw), ERR_uri_too_long);
    raw[TARGET_MAX] = 0;
    assert_int_equal(refused(raw), ERR_none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_and_query_are_decoded_once),
        cmocka_unit_test(absolute_form_gives_the_authority),
        cmocka_unit_test(hostile_targets_are_refused),
        cmocka_unit_test(a_raw_nul_is_refused),
        cmocka_unit_test(a_long_target_is_414),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
