#include "base/json.h"
#include "base/log.h"
#include "base/buf.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* What log writes to stderr while fn runs. */
static char *logged(void (*fn)(void))
{
    FILE *file = tmpfile();
    struct buf b;
    int saved = dup(2);
    char chunk[4096];
    buf_init(&b, 1 << 20);
    dup2(fileno(file), 2);
    fn();
    dup2(saved, 2);
    close(saved);
    rewind(file);
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, file)) > 0;)
        buf_add(&b, chunk, got);
    fclose(file);
    return buf_take(&b, NULL);
}

static void say_hostile(void)
{
    log_event(LOG_INFO, "test.event", "name", "s", "a\"b\\c\n{\"level\":\"error\"}\xff", "none", "s", (char *)NULL, "n",
              "i", INT64_MIN, "x", "f", 0.5, "inf", "f", 1.0 / 0.0, "yes", "b", 1, NULL);
    log_event(LOG_DEBUG, "not.shown", NULL);
}

static void no_value_can_forge_a_log_line(void **state)
{
    struct err e;
    const char *text = NULL;
    (void)state;
    log_init("test", LOG_INFO);
    char *line = logged(say_hostile);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_t *object = json_parse(line, strlen(line), ERR_internal, &e);
    assert_non_null(object);
    assert_int_equal(json_need_str(object, "name", &text, &e), 0);
    assert_string_equal(text, "a\"b\\c\n{\"level\":\"error\"}\xEF\xBF\xBD");
    assert_true(json_is_null(json_object_get(object, "none")));
    assert_true(json_is_null(json_object_get(object, "inf")));
    assert_true(json_is_true(json_object_get(object, "yes")));
    assert_true(json_integer_value(json_object_get(object, "n")) == INT64_MIN);
    json_decref(object);
    free(line);
}

static void say_much(void)
{
    char *big = calloc(1, 200001);
    memset(big, 'x', 200000);
    log_event(LOG_INFO, "test.big", "v", "s", big, NULL);
    free(big);
}

static void a_line_that_is_too_long_is_replaced_not_torn(void **state)
{
    (void)state;
    char *line = logged(say_much);
    assert_non_null(strstr(line, "log.too_long"));
    assert_true(strlen(line) < 200);
    free(line);
}

static struct buf kept;

static void say_into_a_copy(void)
{
    log_event_to(&kept, LOG_DEBUG, "kept.though_not_shown", "n", "i", (int64_t)1, NULL);
    log_event_to(&kept, LOG_INFO, "has.no_room_in_the_copy", "v", "s", "0123456789012345678901234567890123456789",
                 NULL);
    log_event_to(NULL, LOG_INFO, "has.no_copy", NULL);
}

static void a_copy_of_lines_keeps_whole_lines_of_every_level(void **state)
{
    (void)state;
    buf_init(&kept, 130);
    char *shown = logged(say_into_a_copy);
    assert_null(strstr(shown, "kept.though_not_shown"));
    assert_non_null(strstr(shown, "has.no_room_in_the_copy"));
    assert_non_null(strstr(shown, "has.no_copy"));
    json_t *object = json_parse(kept.data, kept.size, ERR_internal, NULL);
    assert_string_equal(json_string_value(json_object_get(object, "event")), "kept.though_not_shown");
    assert_true(json_integer_value(json_object_get(object, "n")) == 1);
    json_decref(object);
    buf_free(&kept);
    free(shown);
}

static void duplicate_keys_nul_and_trailing_bytes_are_refused(void **state)
{
    static const char *const bad[] = {"{\"a\":1,\"a\":2}", "{\"a\":1} x", "{\"a\":\"\\u0000\"}", "", "{",
                                      "\"\xff\"",          "[1"};
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(json_parse(bad[i], strlen(bad[i]), ERR_bad_request, &e));
        assert_int_equal(e.code, ERR_bad_request);
    }
    assert_null(json_parse("{}\0", 3, ERR_bad_request, &e));
    assert_null(json_parse("[9223372036854775808]", 21, ERR_bad_request, &e));
    assert_int_equal(e.code, ERR_params_invalid);
    assert_null(json_parse("[1e999]", 7, ERR_bad_request, &e));
    assert_int_equal(e.code, ERR_params_invalid);
}

static void readers_name_the_field_that_is_wrong(void **state)
{
    const char *text = "{\"s\":\"x\",\"i\":7,\"r\":7.0,\"f\":7.5,\"b\":true,\"n\":null}", *s = "kept";
    struct err e;
    int64_t i = 3;
    bool b = false;
    json_t *object = json_parse(text, strlen(text), ERR_bad_request, &e);
    (void)state;
    assert_int_equal(json_opt_str(object, "missing", &s, &e), 0);
    assert_string_equal(s, "kept");
    assert_int_equal(json_need_str(object, "missing", &s, &e), -1);
    assert_string_equal(e.field, "/missing");
    assert_int_equal(json_need_int(object, "r", &i, &e), 0);
    assert_int_equal(i, 7);
    assert_int_equal(json_need_int(object, "f", &i, &e), -1);
    assert_int_equal(json_need_int(object, "n", &i, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
    assert_string_equal(e.field, "/n");
    assert_int_equal(json_opt_bool(object, "b", &b, &e), 0);
    assert_true(b);
    assert_int_equal(json_opt_bool(object, "i", &b, &e), -1);
    json_decref(object);
}

static void canonical_text_does_not_depend_on_order(void **state)
{
    static const char one[] = "{\"b\":1,\"a\":{\"y\":0.1,\"x\":2}}", two[] = "{\"a\":{\"x\":2,\"y\":0.1},\"b\":1}";
    struct err e;
    (void)state;
    json_t *a = json_parse(one, strlen(one), ERR_bad_request, &e);
    json_t *b = json_parse(two, strlen(two), ERR_bad_request, &e);
    char *ta = json_text(a, true), *tb = json_text(b, true);
    assert_string_equal(ta, tb);
    assert_string_equal(ta, "{\"a\":{\"x\":2,\"y\":0.1},\"b\":1}");
    free(ta);
    free(tb);
    json_decref(a);
    json_decref(b);
}

static void any_bytes_become_a_json_string(void **state)
{
    json_t *object = json_object();
    (void)state;
    json_put_str(object, "name", "bad\xff.png");
    json_put_time(object, "at", 1795411597123);
    json_put_time(object, "never", 0);
    char *text = json_text(object, false);
    assert_string_equal(text, "{\"name\":\"bad\xEF\xBF\xBD.png\",\"at\":\"2026-11-23T05:26:37.123Z\",\"never\":null}");
    free(text);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_can_forge_a_log_line),
        cmocka_unit_test(a_line_that_is_too_long_is_replaced_not_torn),
        cmocka_unit_test(a_copy_of_lines_keeps_whole_lines_of_every_level),
        cmocka_unit_test(duplicate_keys_nul_and_trailing_bytes_are_refused),
        cmocka_unit_test(readers_name_the_field_that_is_wrong),
        cmocka_unit_test(canonical_text_does_not_depend_on_order),
        cmocka_unit_test(any_bytes_become_a_json_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
