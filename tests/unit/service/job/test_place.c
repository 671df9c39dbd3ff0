#include "job/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const char places[] = "s3://out/{key}?endpoint=http://s3:1&region=r,s3://shared/x/?region=q";

static void expect(const char *tenant, const char *to, const char *url)
{
    char out[PLACE_URL_MAX] = "";
    struct err e = {0};
    int rc = place_find(places, tenant, to, out, &e);
    if (url) {
        assert_int_equal(rc, 0);
        assert_string_equal(out, url);
    } else {
        assert_int_equal(rc, -1);
        assert_int_equal(e.code, ERR_params_invalid);
        assert_string_equal(e.field, "/output/to");
    }
}

static void a_place_and_what_lies_under_it_may_be_named(void **state)
{
    (void)state;
    expect("anna", "s3://out/anna", "s3://out/anna?endpoint=http://s3:1&region=r");
    expect("anna", "s3://out/anna/shots/12/", "s3://out/anna/shots/12?endpoint=http://s3:1&region=r");
    expect("anna", "s3://shared/x", "s3://shared/x?region=q");
}

static void nothing_else_may(void **state)
{
    static const char *const bad[] = {"s3://out/bert",
                                      "s3://out/annabel",
                                      "s3://out",
                                      "s3://out/",
                                      "s3://out/anna/../bert",
                                      "s3://out/anna//x",
                                      "s3://out/anna/.tmp",
                                      "s3://out/anna?region=evil",
                                      "s3://out/anna/x?endpoint=http://evil",
                                      "s3://out/anna/a,b",
                                      "file:/etc",
                                      "s3://shared/xy",
                                      "s3://out/anna/a b\n",
                                      "s3://out/{key}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect("anna", bad[i], NULL);
    char out[PLACE_URL_MAX];
    struct err e;
    assert_int_equal(place_find("", "anna", "s3://out/anna", out, &e), -1);
}

static void a_key_sees_its_own_places(void **state)
{
    (void)state;
    json_t *list = place_list(places, "bert");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "s3://out/bert");
    assert_string_equal(json_string_value(json_array_get(list, 1)), "s3://shared/x");
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_and_what_lies_under_it_may_be_named),
        cmocka_unit_test(nothing_else_may),
        cmocka_unit_test(a_key_sees_its_own_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
