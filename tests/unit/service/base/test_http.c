#include "base/http.h"

#include "base/fs.h"
#include "base/sse.h"
#include "tests/support/scripted_http.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct scripted_http server;
static char url[64];

static void start(const char *const *answers)
{
    assert_int_equal(scripted_http_start(&server, answers), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/path?secret=1", server.port);
}

static void an_answer_of_any_status_is_returned_with_its_headers(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\nHTTP/1.1 404 Not "
                                          "Found\r\nETag:  \"abc\" \r\nContent-Length: 4\r\n\r\ngone",
                                          NULL};
    const char *const headers[] = {"X-Mine: yes", NULL};
    struct http_response response;
    struct buf body;
    struct err e;
    char value[64];
    struct http *h = http_new();
    (void)state;
    start(answers);
    buf_init(&body, 100);
    struct http_request r = {
        .method = "PUT", .url = url, .headers = headers, .body = "hello", .body_size = 5, .out = &body};
    assert_int_equal(http_do(h, &r, &response, &e), 0);
    scripted_http_stop(&server);
    assert_int_equal(response.status, 404);
    assert_string_equal(body.data, "gone");
    assert_true(http_header(&response, "etag", value, sizeof value));
    assert_string_equal(value, "\"abc\"");
    assert_false(http_header(&response, "x-interim", value, sizeof value));
    assert_non_null(strstr(server.requests[0], "PUT /path?secret=1 HTTP/1.1"));
    assert_non_null(strstr(server.requests[0], "X-Mine: yes"));
    assert_non_null(strstr(server.requests[0], "\r\n\r\nhello"));
    buf_free(&body);
    http_free(h);
}

static void a_torn_body_or_a_large_one_is_an_error_of_the_wanted_code(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", NULL};
    struct http_response response;
    struct buf body;
    struct err e;
    struct http *h = http_new();
    (void)state;
    start(answers);
    buf_init(&body, 9);
    struct http_request r = {.method = "GET", .url = url, .out = &body, .unreachable = ERR_dependency_storage};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_do(h, &r, &response, &e), -1);
        assert_int_equal(e.code, ERR_dependency_storage);
        assert_null(strstr(e.detail, "secret"));
        buf_reset(&body);
    }
    assert_non_null(strstr(e.detail, "too large"));
    scripted_http_stop(&server);
    buf_free(&body);
    http_free(h);
}

static void strangers_urls_never_reach_private_addresses(void **state)
{
    static const char *const hosts[] = {
        "http://127.0.0.1:1/", "http://10.1.2.3/",           "http://169.254.169.254/", "http://100.64.0.1/",
        "http://[::1]:1/",     "http://[::ffff:127.0.0.1]/", "http://192.168.1.1/",     "http://[64:ff9b::7f00:1]/",
        "http://0.0.0.0:1/",   "http://[fd00::1]/",          "http://localhost:1/",     "http://[2002:7f00:1::]/"};
    struct http_response response;
    struct http *h = http_new();
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct err e;
        struct http_request r = {.method = "GET", .url = hosts[i], .public_only = true, .connect_ms = 500};
        assert_int_equal(http_do(h, &r, &response, &e), -1);
        assert_non_null(strstr(e.detail, "not a public one"));
    }
    struct err e;
    struct http_request r = {.method = "GET", .url = "file:///etc/passwd"};
    assert_int_equal(http_do(h, &r, &response, &e), -1);
    http_free(h);
}

static void multipart_parts_are_sent_with_their_names(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", NULL};
    char path[] = "/tmp/test_http.XXXXXX";
    int fd = mkstemp(path);
    struct http_response response;
    struct err e;
    struct http *h = http_new();
    (void)state;
    assert_int_equal(write(fd, "file bytes", 10), 10);
    close(fd);
    const struct http_part parts[] = {
        {.name = "video", .path = path, .file_name = "a.mp4", .content_type = "video/mp4"},
        {.name = "seed", .text = "7"}};
    start(answers);
    struct http_request r = {.method = "POST", .url = url, .parts = parts, .part_count = 2};
    assert_int_equal(http_do(h, &r, &response, &e), 0);
    scripted_http_stop(&server);
    assert_int_equal(response.status, 202);
    assert_non_null(strstr(server.requests[0], "name=\"video\"; filename=\"a.mp4\""));
    assert_non_null(strstr(server.requests[0], "file bytes"));
    assert_non_null(strstr(server.requests[0], "name=\"seed\"\r\n\r\n7\r\n"));
    unlink(path);
    http_free(h);
}

static void a_download_goes_on_where_it_broke(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123",
        "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Length: 6\r\n\r\n456789",
        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123",
        "HTTP/1.1 200 OK\r\nETag: \"v2\"\r\nContent-Length: 5\r\n\r\nother",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
        NULL};
    static const char *const want[] = {"0123456789", "other"};
    char path[64] = "/tmp/test_download.XXXXXX";
    struct http_response response;
    struct buf body;
    struct err e;
    struct http *h = http_new();
    (void)state;
    close(mkstemp(path));
    start(answers);
    struct http_request r = {.url = url, .unreachable = ERR_overloaded};
    for (int i = 0; i < 2; i++) {
        buf_init(&body, 100);
        assert_int_equal(http_download(h, &r, path, 3, &response, NULL, &e), 0);
        assert_int_equal(fs_read(path, &body, &e), 0);
        assert_string_equal(body.data, want[i]);
        buf_free(&body);
    }
    assert_non_null(strstr(server.requests[1], "Range: bytes=4-"));
    assert_non_null(strstr(server.requests[1], "If-Range: \"v1\""));
    buf_init(&body, 100);
    assert_int_equal(http_download(h, &r, path, 3, &response, &body, &e), 0);
    assert_int_equal(response.status, 404);
    assert_string_equal(body.data, "gone");
    scripted_http_stop(&server);
    buf_free(&body);
    unlink(path);
    strcat(path, ".part");
    assert_int_equal(access(path, F_OK), -1);
    http_free(h);
}

static void text_is_escaped_for_urls(void **state)
{
    char out[32];
    (void)state;
    assert_int_equal(http_escape(out, sizeof out, "a b/c=~\xC3\xA9", true), 0);
    assert_string_equal(out, "a%20b/c%3D~%C3%A9");
    assert_int_equal(http_escape(out, sizeof out, "/", false), 0);
    assert_string_equal(out, "%2F");
    assert_int_equal(http_escape(out, 4, "aaaa", false), -1);
}

static int collect(void *user, const struct sse_event *event)
{
    return buf_printf(user, "[%s|%s|%s]", event->id, event->type, event->data);
}

static void events_are_cut_out_of_any_chunking(void **state)
{
    static const char stream[] = ": ping\n\nretry: 3000\nid: 1-0\nevent: state\ndata: {\"a\":1}\n\n"
                                 "data:two\r\ndata: lines\r\n\r\nid: 2-0\rdata\r\rdata: unfinished\n";
    (void)state;
    for (size_t chunk = 1; chunk < sizeof stream; chunk++) {
        struct sse s;
        struct buf out;
        sse_init(&s);
        buf_init(&out, 1000);
        for (size_t at = 0; at < sizeof stream - 1; at += chunk) {
            size_t left = sizeof stream - 1 - at;
            assert_int_equal(sse_feed(&s, stream + at, left < chunk ? left : chunk, collect, &out), 0);
        }
        assert_string_equal(out.data, "[1-0|state|{\"a\":1}][1-0|message|two\nlines][2-0|message|]");
        assert_int_equal(s.retry_ms, 3000);
        sse_free(&s);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_of_any_status_is_returned_with_its_headers),
        cmocka_unit_test(a_torn_body_or_a_large_one_is_an_error_of_the_wanted_code),
        cmocka_unit_test(strangers_urls_never_reach_private_addresses),
        cmocka_unit_test(multipart_parts_are_sent_with_their_names),
        cmocka_unit_test(a_download_goes_on_where_it_broke),
        cmocka_unit_test(text_is_escaped_for_urls),
        cmocka_unit_test(events_are_cut_out_of_any_chunking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
