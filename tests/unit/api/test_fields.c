#include "api/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

struct range_case {
    const char *value;
    int64_t size;
    enum fields_range kind;
    int64_t first, last;
};

static void ranges_are_read_as_rfc_9110_says(void **state)
{
    static const struct range_case cases[] = {
        {NULL, 10, RANGE_WHOLE, 0, 0},
        {"bytes=0-3", 10, RANGE_PART, 0, 3},
        {"bytes=0-0", 10, RANGE_PART, 0, 0},
        {"bytes=4-", 10, RANGE_PART, 4, 9},
        {"bytes=4-400", 10, RANGE_PART, 4, 9},
        {"bytes=-3", 10, RANGE_PART, 7, 9},
        {"bytes=-300", 10, RANGE_PART, 0, 9},
        {"BYTES=1-2", 10, RANGE_PART, 1, 2},
        {"bytes=9-9", 10, RANGE_PART, 9, 9},
        {"bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-12", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-1,4-5", 10, RANGE_WHOLE, 0, 0},
        {"bytes=5-4", 10, RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, RANGE_WHOLE, 0, 0},
        {"bytes=", 10, RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, RANGE_WHOLE, 0, 0},
        {"frames=0-3", 10, RANGE_WHOLE, 0, 0},
        {"bytes=99999999999999999999-", 10, RANGE_WHOLE, 0, 0},
        {"bytes=1-2x", 10, RANGE_WHOLE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t first = 0, last = 0;
        enum fields_range kind = fields_range(cases[i].value, cases[i].size, &first, &last);
        if (kind != cases[i].kind || first != cases[i].first || last != cases[i].last)
            fail_msg("%s of %d: %d %d-%d", cases[i].value, (int)cases[i].size, kind, (int)first, (int)last);
    }
}

static void entity_tags_match(void **state)
{
    (void)state;
    assert_true(fields_none_match("\"v3\"", "\"v3\""));
    assert_true(fields_none_match("\"v1\" , W/\"v3\"", "\"v3\""));
    assert_true(fields_none_match(" *", "\"v3\""));
    assert_false(fields_none_match("\"v31\"", "\"v3\""));
    assert_false(fields_none_match("v3", "\"v3\""));
    assert_false(fields_none_match("\"v3", "\"v3\""));
    assert_false(fields_none_match(NULL, "\"v3\""));
    assert_true(fields_if_range(NULL, "\"x\""));
    assert_true(fields_if_range("\"x\"", "\"x\""));
    assert_false(fields_if_range("W/\"x\"", "\"x\""));
    assert_false(fields_if_range("Mon, 01 Jan 2026 00:00:00 GMT", "\"x\""));
}

static void prefer_wait_is_clamped(void **state)
{
    (void)state;
    assert_int_equal(fields_prefer_wait("wait=10", 60), 10);
    assert_int_equal(fields_prefer_wait("respond-async, wait=100", 60), 60);
    assert_int_equal(fields_prefer_wait("Wait = 5 ; foo=1", 60), 5);
    assert_int_equal(fields_prefer_wait("wait=99999999999999999999999", 60), 60);
    assert_int_equal(fields_prefer_wait("wait=0", 60), 0);
    assert_int_equal(fields_prefer_wait("wait", 60), -1);
    assert_int_equal(fields_prefer_wait("wait=-1", 60), -1);
    assert_int_equal(fields_prefer_wait("wait=1.5", 60), -1);
    assert_int_equal(fields_prefer_wait("waiting=3", 60), -1);
    assert_int_equal(fields_prefer_wait(NULL, 60), -1);
}

static void digests_are_decoded(void **state)
{
    /* of "hello" */
    static const char hex[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    static const char value[] = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    static const char *const bad[] = {"sha-256=LPJN", "sha-256=:LPJN:", "sha-256",   "sha-256=:%:",    ":",
                                      "sha-512=:x",   "a=:b: c=:d:",    "sha-256=:", "=:LPJNul+wow4=:"};
    char out[HASH_HEX_SIZE] = "";
    struct err e;

    (void)state;
    assert_int_equal(fields_digest(value, "Content-Digest", out, &e), 1);
    assert_string_equal(out, hex);
    out[0] = 0;
    assert_int_equal(fields_digest("md5=:abc=:, SHA-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", "x", out, &e),
                     1);
    assert_string_equal(out, hex);
    assert_int_equal(fields_digest("sha-512=:AAAA:", "x", out, &e), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(fields_digest(bad[i], "Repr-Digest", out, &e), -1);
        assert_int_equal(e.code, ERR_bad_header);
        assert_string_equal(e.field, "Repr-Digest");
    }
}

static void seconds_are_whole_and_bounded(void **state)
{
    static const char *const bad[] = {"", "0", "-1", "1.5", "abc", "1 ", "101", "+5", "99999999999999999999"};
    int64_t seconds = 0;
    struct err e;

    (void)state;
    assert_int_equal(fields_seconds("100", "X-Job-Deadline", 100, &seconds, &e), 0);
    assert_int_equal(seconds, 100);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(fields_seconds(bad[i], "X-Job-Deadline", 100, &seconds, &e), -1);
    assert_int_equal(e.code, ERR_bad_header);
}

static void media_types_ignore_case(void **state)
{
    char type[32];

    (void)state;
    fields_media_type("Application/JSON; charset=utf-8", type, sizeof(type));
    assert_string_equal(type, "application/json");
    fields_media_type(NULL, type, sizeof(type));
    assert_string_equal(type, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_as_rfc_9110_says), cmocka_unit_test(entity_tags_match),
        cmocka_unit_test(prefer_wait_is_clamped),           cmocka_unit_test(digests_are_decoded),
        cmocka_unit_test(seconds_are_whole_and_bounded),    cmocka_unit_test(media_types_ignore_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
