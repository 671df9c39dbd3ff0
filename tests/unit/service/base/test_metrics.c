#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const double bounds[] = {0.5, 1, 0};
static const struct metrics_row rows[] = {
    {METRICS_COUNTER, "t_requests_total", "Requests.", {"route", "code"}, NULL},
    {METRICS_GAUGE, "t_depth", "Depth.", {NULL}, NULL},
    {METRICS_HISTOGRAM, "t_seconds", "Time.", {"route"}, bounds},
    {METRICS_COUNTER, "t_plain_total", "Plain.", {NULL}, NULL},
};

static void the_page_is_prometheus_text(void **state)
{
    struct metrics *m = metrics_new(rows, 4);
    struct buf page;
    (void)state;
    buf_init(&page, 1 << 20);
    metrics_add(m, 0, 1, (const char *const[]){"/jobs", "202"});
    metrics_add(m, 0, 2, (const char *const[]){"/jobs", "202"});
    metrics_add(m, 0, 1, (const char *const[]){"a\"b\\c\n", "500"});
    metrics_set(m, 1, 12345678901, NULL);
    metrics_observe(m, 2, 0.7, (const char *const[]){"/x"});
    metrics_observe(m, 2, 3, (const char *const[]){"/x"});
    assert_int_equal(metrics_text(m, &page), 0);
    assert_string_equal(page.data, "# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n"
                                   "t_requests_total{route=\"/jobs\",code=\"202\"} 3\n"
                                   "t_requests_total{route=\"a\\\"b\\\\c \",code=\"500\"} 1\n"
                                   "# HELP t_depth Depth.\n# TYPE t_depth gauge\nt_depth 12345678901\n"
                                   "# HELP t_seconds Time.\n# TYPE t_seconds histogram\n"
                                   "t_seconds_bucket{route=\"/x\",le=\"0.5\"} 0\n"
                                   "t_seconds_bucket{route=\"/x\",le=\"1\"} 1\n"
                                   "t_seconds_bucket{route=\"/x\",le=\"+Inf\"} 2\n"
                                   "t_seconds_sum{route=\"/x\"} 3.7\nt_seconds_count{route=\"/x\"} 2\n"
                                   "# HELP t_plain_total Plain.\n# TYPE t_plain_total counter\nt_plain_total 0\n");
    metrics_clear(m, 0);
    buf_reset(&page);
    metrics_text(m, &page);
    assert_null(strstr(page.data, "route=\"/jobs\""));
    buf_free(&page);
    metrics_free(m);
}

static void strangers_cannot_make_the_page_grow(void **state)
{
    struct metrics *m = metrics_new(rows, 4);
    struct buf page;
    char label[32];
    (void)state;
    buf_init(&page, 1 << 20);
    for (int i = 0; i < 10000; i++) {
        snprintf(label, sizeof label, "%d", i);
        metrics_add(m, 0, 1, (const char *const[]){label, "404"});
    }
    assert_int_equal(metrics_text(m, &page), 0);
    assert_true(page.size < 40000);
    assert_non_null(strstr(page.data, "{route=\"other\",code=\"other\"} 9744\n"));
    buf_free(&page);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_prometheus_text),
        cmocka_unit_test(strangers_cannot_make_the_page_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
