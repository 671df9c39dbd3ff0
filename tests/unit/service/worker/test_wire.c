#include "worker/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct ends {
    struct wire here, there;
};

static void connect_ends(struct ends *p)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    wire_init(&p->here, pair[0]);
    wire_init(&p->there, pair[1]);
}

static void close_ends(struct ends *p)
{
    wire_close(&p->here);
    wire_close(&p->there);
}

static void a_segment_arrives_as_it_was_sent(void **state)
{
    struct ends p;
    struct err e = {0};
    struct engine_segment sent = {.n = 3, .segments = 12, .first_frame = 195, .frames = 65, .bytes = 1LL << 40};
    struct engine_segment got = {0};
    json_t *m = wire_event("segment");
    (void)state;
    connect_ends(&p);
    strcpy(sent.path, "/tmp/a \"quoted\" path/ö.mkv");
    memset(sent.sha256, 'a', 64);
    wire_put_segment(m, &sent);
    assert_int_equal(wire_send(&p.here, m, &e), 0);
    assert_int_equal(wire_receive(&p.there, 1000, &m, &e), 1);
    assert_int_equal(wire_get_segment(m, &got, &e), 0);
    assert_memory_equal(&got, &sent, sizeof got);
    json_decref(m);
    close_ends(&p);
}

static void an_error_keeps_code_field_and_detail(void **state)
{
    struct err sent, got;
    json_t *m = wire_event("error");
    (void)state;
    err_set_field(&sent, ERR_gpu_oom, "size", "12 GiB are needed");
    wire_put_err(m, &sent);
    wire_get_err(m, &got);
    json_decref(m);
    assert_int_equal(got.code, ERR_gpu_oom);
    assert_string_equal(got.field, "size");
    assert_string_equal(got.detail, "12 GiB are needed");
    m = json_object();
    wire_get_err(m, &got);
    assert_int_equal(got.code, ERR_internal);
    json_decref(m);
}

static void messages_are_told_apart_however_they_are_cut(void **state)
{
    static const char text[] = "{\"ev\":\"a\"}\n{\"ev\":\"b\"}\n";
    struct ends p;
    json_t *m;
    (void)state;
    connect_ends(&p);
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        if (i < 11)
            assert_int_equal(wire_receive(&p.there, 0, &m, NULL), 0);
        assert_int_equal(write(p.here.fd, text + i, 1), 1);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_receive(&p.there, 0, &m, NULL), 1);
        assert_string_equal(json_string_value(json_object_get(m, "ev")), i ? "b" : "a");
        json_decref(m);
    }
    assert_int_equal(wire_receive(&p.there, 0, &m, NULL), 0);
    close_ends(&p);
}

static void nonsense_and_a_closed_socket_are_errors(void **state)
{
    struct ends p;
    struct err e = {0};
    json_t *m;
    (void)state;
    connect_ends(&p);
    assert_int_equal(write(p.here.fd, "nonsense\n", 9), 9);
    assert_int_equal(wire_receive(&p.there, 1000, &m, &e), -1);
    assert_int_equal(e.code, ERR_internal);
    wire_close(&p.here);
    assert_int_equal(wire_receive(&p.there, 1000, &m, &e), -1);
    assert_int_equal(e.code, ERR_worker_lost);
    close_ends(&p);
}

static void a_field_that_is_missing_or_too_large_is_refused(void **state)
{
    struct engine_plan plan = {.segments = 7}, got = {.segments = -1};
    struct err e = {0};
    json_t *m = wire_event("plan");
    (void)state;
    wire_put_plan(m, &plan);
    json_object_set_new(m, "segments", json_integer(1LL << 33));
    assert_int_equal(wire_get_plan(m, &got, &e), -1);
    assert_int_equal(got.segments, -1);
    json_object_del(m, "segments");
    assert_int_equal(wire_get_plan(m, &got, &e), -1);
    assert_int_equal(e.code, ERR_internal);
    json_decref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_arrives_as_it_was_sent),
        cmocka_unit_test(an_error_keeps_code_field_and_detail),
        cmocka_unit_test(messages_are_told_apart_however_they_are_cut),
        cmocka_unit_test(nonsense_and_a_closed_socket_are_errors),
        cmocka_unit_test(a_field_that_is_missing_or_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
