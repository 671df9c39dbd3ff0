#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void names_and_folders_are_taken_in_order(void **state)
{
    struct engine_model rows[ENGINE_MODELS_MAX];
    struct err e = {0};
    (void)state;
    assert_int_equal(engine_models_parse("big=/models/big,tiny_a=../tiny a", rows, &e), 2);
    assert_string_equal(rows[0].name, "big");
    assert_string_equal(rows[0].backend, "longanimation");
    assert_string_equal(rows[0].dir, "/models/big");
    assert_string_equal(rows[1].name, "tiny_a");
    assert_string_equal(rows[1].dir, "../tiny a");
}

static void options_of_the_null_back_end_keep_their_commas(void **state)
{
    struct engine_model rows[ENGINE_MODELS_MAX];
    struct err e = {0};
    (void)state;
    assert_int_equal(engine_models_parse("a=null:delay_ms=20,segment=25,fault_file=/tmp/x,b=null:,c=/dir", rows, &e),
                     3);
    assert_string_equal(rows[0].backend, "null");
    assert_string_equal(rows[0].dir, "delay_ms=20,segment=25,fault_file=/tmp/x");
    assert_string_equal(rows[1].name, "b");
    assert_string_equal(rows[1].backend, "null");
    assert_string_equal(rows[1].dir, "");
    assert_string_equal(rows[2].backend, "longanimation");
    assert_string_equal(rows[2].dir, "/dir");
}

static void what_is_not_a_list_of_models_is_refused_by_name(void **state)
{
    static const char *const bad[] = {"dir",   "=dir",  "a=",      "a=x,",    "a=x,,b=y",
                                      "a=x,b", "a b=x", "a=x,a=y", "na/me=x", ","};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct engine_model rows[ENGINE_MODELS_MAX];
        struct err e = {0};
        if (engine_models_parse(bad[i], rows, &e) >= 0 || e.code != ERR_params_invalid)
            fail_msg("\"%s\" was taken: %s", bad[i], e.detail);
        assert_string_equal(e.field, "models");
    }
}

static void too_many_models_and_too_long_names_are_refused(void **state)
{
    char text[4096] = "";
    struct engine_model rows[ENGINE_MODELS_MAX];
    struct err e = {0};
    (void)state;
    for (int i = 0; i <= ENGINE_MODELS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sm%d=/x", i ? "," : "", i);
    assert_int_equal(engine_models_parse(text, rows, &e), -1);
    memset(text, 'a', 64);
    memcpy(text + 64, "=/x", 4);
    assert_int_equal(engine_models_parse(text, rows, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_folders_are_taken_in_order),
        cmocka_unit_test(options_of_the_null_back_end_keep_their_commas),
        cmocka_unit_test(what_is_not_a_list_of_models_is_refused_by_name),
        cmocka_unit_test(too_many_models_and_too_long_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
