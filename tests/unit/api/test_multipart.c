#include "api/multipart.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Everything the sink hears, as text: <name|file|type|digest>data</> */
static struct buf heard;
static int refuse_part = -1;

static int on_begin(void *user, const struct multipart_part *p, struct err *e)
{
    (void)user;
    if (refuse_part-- == 0)
        return err_set_field(e, ERR_part_unknown, p->name, "no such part");
    return buf_printf(&heard, "<%s|%s|%s|%s>", p->name, p->filename ? p->filename : "-", p->content_type,
                      p->digest ? p->digest : "-");
}

static int on_data(void *user, const void *data, size_t size, struct err *e)
{
    (void)user;
    (void)e;
    assert_int_not_equal(size, 0);
    return buf_add(&heard, data, size);
}

static int on_end(void *user, struct err *e)
{
    (void)user;
    (void)e;
    return buf_add_str(&heard, "</>");
}

static enum err_code parse(const char *boundary, const char *body, size_t size, size_t piece)
{
    struct multipart_sink sink = {on_begin, on_data, on_end, NULL};
    struct multipart *m = multipart_new(boundary, &sink);
    struct err e = {0};
    int rc = 0;

    buf_reset(&heard);
    for (size_t at = 0; at < size && rc == 0; at += piece) {
        /* An exact copy, so that the sanitizer sees a read past the piece. */
        size_t n = size - at < piece ? size - at : piece;
        char *copy = malloc(n);
        memcpy(copy, body + at, n);
        rc = multipart_feed(m, copy, n, &e);
        free(copy);
    }
    if (rc == 0)
        rc = multipart_end(m, &e);
    multipart_free(m);
    return rc ? e.code : ERR_none;
}

static const char good[] = "preamble\r\n--B\r\n"
                           "Content-Disposition: form-data; name=\"video\"; filename=\"a\\\"b.mp4\"\r\n"
                           "Content-Type: video/mp4\r\nX-Other: 1\r\n\r\n"
                           "\r\n--\r\n--Bx\r\r\n-\r\n--"
                           "\r\n--B  \t\r\n"
                           "content-disposition:form-data;name=empty\r\n\r\n"
                           "\r\n--B\r\n"
                           "Content-Disposition: form-data; name=\"none\"\r\nContent-Digest: d\r\n\r\n"
                           "--B\r\n"
                           "Content-Disposition: form-data; name=\"p\"; filename=x; filename*=UTF-8''%e2%82%ac\r\n\r\n"
                           "last\r\n--B--\r\nepilogue\r\n--B\r\n";

static void any_cut_gives_the_same_parts(void **state)
{
    char body[sizeof(good)];
    size_t size = sizeof(good) - 1;
    char *at;

    (void)state;
    memcpy(body, good, sizeof(good));
    /* "--Bx" inside data would be malformed as a delimiter line; make it "--x" so that only the start matches. */
    at = strstr(body, "--Bx");
    assert_non_null(at);
    memcpy(at, "--xx", 4);
    for (size_t piece = 1; piece <= size; piece++) {
        assert_int_equal(parse("B", body, size, piece), ERR_none);
        assert_string_equal(heard.data, "<video|a\"b.mp4|video/mp4|->\r\n--\r\n--xx\r\r\n-\r\n--</>"
                                        "<empty|-||-></><none|-||d></><p|\xe2\x82\xac||->last</>");
    }
}

static void a_cut_body_is_never_taken_for_whole(void **state)
{
    size_t whole = (size_t)(strstr(good, "--B--") - good) + 5;
    char body[sizeof(good)];

    (void)state;
    memcpy(body, good, sizeof(good));
    memcpy(strstr(body, "--Bx"), "--xx", 4);
    for (size_t size = 0; size < whole; size++) {
        enum err_code code = parse("B", body, size, size ? size : 1);
        if (code != ERR_multipart_truncated && code != ERR_multipart_malformed)
            fail_msg("%zu bytes of %zu were taken", size, whole);
    }
    assert_int_equal(parse("B", body, whole, whole), ERR_none);
}

#define PART(header, data) "--B\r\n" header "\r\n\r\n" data "\r\n"
#define NAMED PART("Content-Disposition: form-data; name=\"a\"", "1")

static void malformed_bodies_are_refused(void **state)
{
    static const char *const bad[] = {
        PART("Content-Type: text/plain", "1") "--B--",
        PART("Content-Disposition: attachment; name=a", "1") "--B--",
        PART("Content-Disposition: form-data; name=\"\"", "1") "--B--",
        PART("Content-Disposition: form-data", "1") "--B--",
        PART("Content-Disposition: form-data; name=\"a", "1") "--B--",
        PART("Content-Disposition: form-data; name=a; name=b", "1") "--B--",
        PART("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b", "1") "--B--",
        PART("Content-Disposition: form-data;\r\n name=a", "1") "--B--",
        PART("Content-Disposition : form-data; name=a", "1") "--B--",
        PART("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64", "MQ==") "--B--",
        PART(": x", "1") "--B--",
        PART("no colon", "1") "--B--",
        "--B\nContent-Disposition: form-data; name=a\n\n1\n--B--",
        "--B\r\nContent-Disposition: form-data; name=a\n\r\n1\r\n--B--",
        "--B\r\nX: \rContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--",
        "--Bx\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--",
        "--B --\r\n",
        "--B-\r\n",
        "garbage without any boundary",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        enum err_code code = parse("B", bad[i], strlen(bad[i]), 7);
        if (code != ERR_multipart_malformed && !(bad[i][0] == 0 && code == ERR_multipart_truncated))
            fail_msg("case %zu: %s", i, err_info(code)->name);
    }
}

static void limits_hold(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 1 << 20);
    for (int i = 0; i < MULTIPART_PARTS_MAX; i++)
        buf_add_str(&body, NAMED);
    assert_int_equal(buf_add_str(&body, NAMED), 0);
    assert_int_equal(parse("B", body.data, body.size, 100), ERR_too_many_parts);
    buf_reset(&body);
    buf_add_str(&body, "--B\r\nX: ");
    for (int i = 0; i < MULTIPART_HEADER_MAX; i++)
        buf_add_str(&body, "x");
    assert_int_equal(parse("B", body.data, body.size, 1000), ERR_multipart_malformed);
    buf_reset(&body);
    for (int i = 0; i < MULTIPART_PREAMBLE_MAX; i++)
        buf_add_str(&body, "\r\n");
    assert_int_equal(parse("B", body.data, body.size, 1000), ERR_multipart_malformed);
    buf_free(&body);
}

static void what_the_sink_refuses_ends_the_parse(void **state)
{
    (void)state;
    refuse_part = 1;
    assert_int_equal(parse("B", NAMED NAMED "--B--", strlen(NAMED NAMED "--B--"), 3), ERR_part_unknown);
    assert_string_equal(heard.data, "<a|-||->1</>");
    refuse_part = -1;
}

static void boundaries_may_be_quoted_and_have_company(void **state)
{
    static const char *const bad[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    char out[MULTIPART_BOUNDARY_MAX + 1];
    struct err e;

    (void)state;
    assert_int_equal(multipart_boundary("multipart/form-data; boundary=X; charset=utf-8", out, &e), 0);
    assert_string_equal(out, "X");
    assert_int_equal(multipart_boundary("Multipart/Form-Data;charset=\"a;b\" ; Boundary=\"a b:c\"", out, &e), 0);
    assert_string_equal(out, "a b:c");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(multipart_boundary(bad[i], out, &e), -1);
        assert_int_equal(e.code, ERR_multipart_malformed);
    }
    assert_int_equal(multipart_boundary("application/json", out, &e), -1);
    assert_int_equal(e.code, ERR_unsupported_media_type);
    assert_int_equal(multipart_boundary("multipart/form-dataX; boundary=a", out, &e), -1);
    assert_int_equal(e.code, ERR_unsupported_media_type);
}

static int setup(void **state)
{
    (void)state;
    buf_init(&heard, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&heard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_parts),
        cmocka_unit_test(a_cut_body_is_never_taken_for_whole),
        cmocka_unit_test(malformed_bodies_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(what_the_sink_refuses_ends_the_parse),
        cmocka_unit_test(boundaries_may_be_quoted_and_have_company),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
