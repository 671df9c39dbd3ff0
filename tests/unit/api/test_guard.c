#include "api/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Cuts a raw header block up in place the way libmicrohttpd 0.9.75 does: NULs over separators, strings stay where
 * they are, bare LF ends a line. */
static enum err_code check(const char *raw, size_t size)
{
    static char block[8192];
    static struct guard_field fields[GUARD_FIELDS_MAX + 2];
    struct guard_request r = {.fields = fields, .authority = "", .block_size = size};
    struct err e = {0};
    char *at = block, *end = block + size, *line_end, *space;

    memcpy(block, raw, size);
    for (int line = 0; at < end; line++) {
        char *next = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(next);
        line_end = next > at && next[-1] == '\r' ? next - 1 : next;
        *line_end = *next = 0;
        if (line == 0) {
            r.method = at;
            space = strchr(at, ' ');
            *space = 0;
            r.raw_target = space + 1;
            space = strrchr(space + 1, ' ');
            *space = 0;
            r.version = space + 1;
            r.raw_target_size = strlen(r.raw_target);
        } else if (at != line_end && r.field_count <= GUARD_FIELDS_MAX) {
            struct guard_field *f = &fields[r.field_count++];
            char *colon = strchr(at, ':');
            if (colon == NULL) { /* folded: the library moves what it has elsewhere */
                r.field_count--;
            } else {
                *colon++ = 0;
                colon += strspn(colon, " \t");
                *f = (struct guard_field){at, colon, strlen(at), strlen(colon)};
            }
        }
        at = next + 1;
    }
    return guard_check(&r, &e) ? e.code : ERR_none;
}

#define CHECK(text) check(text, sizeof(text) - 1)

static void plain_requests_pass(void **state)
{
    (void)state;
    assert_int_equal(CHECK("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_none);
    assert_int_equal(CHECK("GET / HTTP/1.0\r\n\r\n"), ERR_none);
    assert_int_equal(CHECK("POST /jobs HTTP/1.1\r\nHost:a:80\r\nContent-Length:  12\r\nX: \r\n\r\n"), ERR_none);
    assert_int_equal(CHECK("POST /jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), ERR_none);
    assert_int_equal(CHECK("GET / HTTP/1.1\r\nHost: [::1]:80\r\nX: a\tb \r\n\r\n"), ERR_none);
}

static void ambiguous_framing_is_refused(void **state)
{
    (void)state;
#define AMBIGUOUS(headers)                                                                                             \
    assert_int_equal(CHECK("POST / HTTP/1.1\r\nHost: a\r\n" headers "\r\n"), ERR_ambiguous_framing)
    AMBIGUOUS("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n");
    AMBIGUOUS("Content-Length: 5\r\ncontent-length: 6\r\n");
    AMBIGUOUS("Content-Length: 5\r\nContent-Length: 5\r\n");
    AMBIGUOUS("Content-Length: 5, 5\r\n");
    AMBIGUOUS("Content-Length: +5\r\n");
    AMBIGUOUS("Content-Length: 0x5\r\n");
    AMBIGUOUS("Content-Length:\r\n");
    AMBIGUOUS("Content-Length : 5\r\n");
    AMBIGUOUS("Transfer-Encoding: xchunked\r\n");
    AMBIGUOUS("Transfer-Encoding: gzip, chunked\r\n");
    AMBIGUOUS("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n");
    AMBIGUOUS("Host: b\r\n");
    AMBIGUOUS("Authorization: a\r\nAuthorization: b\r\n");
    AMBIGUOUS("Idempotency-Key: a\r\nIdempotency-Key: b\r\n");
    AMBIGUOUS("Content-Type: a\r\nContent-Type: b\r\n");
    AMBIGUOUS("X Y: 1\r\n");
    AMBIGUOUS("X(: 1\r\n");
    AMBIGUOUS("X: a\001b\r\n");
    AMBIGUOUS("X: a\r\n folded\r\n");
    AMBIGUOUS("X: a\r\n folded: with a colon\r\n");
    AMBIGUOUS("X: 1\n");
    AMBIGUOUS("X: a\0b\r\n");
    AMBIGUOUS("X: 1\r\nY: a\0\r\n");
    assert_int_equal(CHECK("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_ambiguous_framing);
    assert_int_equal(CHECK("GET / HTTP/1.1\nHost: a\r\n\r\n"), ERR_ambiguous_framing);
    assert_int_equal(CHECK("GET / HTTP/1.1\r\nHost: a\r\n\n"), ERR_ambiguous_framing);
    assert_int_equal(CHECK("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_none); /* target_parse sees the space */
}

static void host_is_required_and_sane(void **state)
{
    (void)state;
    assert_int_equal(CHECK("GET / HTTP/1.1\r\n\r\n"), ERR_bad_request);
    assert_int_equal(CHECK("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), ERR_bad_header);
    assert_int_equal(CHECK("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), ERR_bad_header);
    assert_int_equal(CHECK("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), ERR_bad_header);
    assert_int_equal(CHECK("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), ERR_bad_request);
}

static void the_absolute_form_must_name_the_same_host(void **state)
{
    struct guard_field host = {"Host", "a.test", 4, 6};
    struct guard_request r = {.method = "GET", .version = "HTTP/1.1", .fields = &host, .field_count = 1};
    struct err e;

    (void)state;
    r.authority = "A.test";
    assert_int_equal(guard_check(&r, &e), 0);
    r.authority = "b.test";
    assert_int_equal(guard_check(&r, &e), -1);
    assert_int_equal(e.code, ERR_bad_request);
}

static void too_many_fields_are_431(void **state)
{
    char raw[8192];
    size_t size = (size_t)snprintf(raw, sizeof(raw), "GET / HTTP/1.1\r\nHost: a\r\n");

    (void)state;
    for (int i = 0; i < GUARD_FIELDS_MAX; i++)
        size += (size_t)snprintf(raw + size, sizeof(raw) - size, "X-%d: 1\r\n", i);
    size += (size_t)snprintf(raw + size, sizeof(raw) - size, "\r\n");
    assert_int_equal(check(raw, size), ERR_header_too_large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_requests_pass),       cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(host_is_required_and_sane), cmocka_unit_test(the_absolute_form_must_name_the_same_host),
        cmocka_unit_test(too_many_fields_are_431),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
