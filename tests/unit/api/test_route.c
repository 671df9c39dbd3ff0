#include "api/cors.h"
#include "api/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static char params[2][REQ_PARAM_MAX + 1];
static char allow[64];

static const char *find(const char *method, const char *path)
{
    const struct route *route = NULL;
    struct err e;

    if (route_find(&route_api, method, path, &route, params, allow, &e))
        return err_info(e.code)->name;
    return route->operation;
}

static void paths_find_their_operation(void **state)
{
    (void)state;
    assert_string_equal(find("POST", "/jobs"), "createJob");
    assert_string_equal(find("POST", "/v1/jobs"), "createJob");
    assert_string_equal(find("GET", "/jobs/j0_A"), "getJob");
    assert_string_equal(params[0], "j0_A");
    assert_string_equal(find("GET", "/v1/jobs/j0_A/segments/12"), "getJobSegment");
    assert_string_equal(params[0], "j0_A");
    assert_string_equal(params[1], "12");
    assert_string_equal(find("HEAD", "/jobs/j0_A/result"), "getJobResult");
}

static void other_paths_and_methods_are_refused(void **state)
{
    static const char *const paths[] = {"/",           "/v1",
                                        "/v1/",        "/job",
                                        "/jobs/",      "/jobs//result",
                                        "/jobs/x/",    "/jobs/x/y",
                                        "/v1/v1/jobs", "/jobs/x/segments/",
                                        "*",           "/jobs/x/segments/1/2",
                                        "/livez"};
    static const char *const methods[] = {"abcdefGET", "get", "PATCH", "TRACE", "PUT", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        assert_string_equal(find("GET", paths[i]), "route_not_found");
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        assert_string_equal(find(methods[i], "/jobs"), "method_not_allowed");
        assert_string_equal(allow, "POST, GET, HEAD, OPTIONS");
    }
    assert_string_equal(find("POST", "/jobs/x/result"), "method_not_allowed");
    assert_string_equal(allow, "GET, HEAD, OPTIONS");
}

static void a_parameter_longer_than_any_id_names_nothing(void **state)
{
    (void)state;
    assert_string_equal(find("GET", "/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                        "getJob");
    assert_string_equal(params[0], "");
}

static void origins_are_listed_one_by_one(void **state)
{
    (void)state;
    assert_true(cors_allows("https://a.test, https://b.test", "https://b.test"));
    assert_true(cors_allows("*", "https://b.test"));
    assert_false(cors_allows("https://a.test", "https://a.test.evil"));
    assert_false(cors_allows("https://a.test", "https://a.tes"));
    assert_false(cors_allows("", "https://a.test"));
    assert_false(cors_allows(NULL, "https://a.test"));
    assert_false(cors_allows("*", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_operation),
        cmocka_unit_test(other_paths_and_methods_are_refused),
        cmocka_unit_test(a_parameter_longer_than_any_id_names_nothing),
        cmocka_unit_test(origins_are_listed_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
