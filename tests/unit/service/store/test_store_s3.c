/* The conformance suite against a real S3 server, then what only S3 has: links, parts, bad keys, bad days. */
#include "tests/support/seaweed.h"
#include "tests/support/store_conformance.h"

#include "base/http.h"
#include "tests/support/scripted_http.h"

static struct seaweed server;

static struct store *open_store(const char *query)
{
    struct store *s = NULL;
    struct err e;
    char url[256];
    snprintf(url, sizeof url, "s3://test-bucket/some/prefix?endpoint=http://127.0.0.1:%d%s", server.port, query);
    if (store_open(&s, url, &e) != 0)
        fail_msg("%s", e.detail);
    return s;
}

static int setup(void **state)
{
    struct err e;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (seaweed_start(&server) != 0 || make_scratch_folder() != 0)
        return -1;
    setenv("AWS_ACCESS_KEY_ID", SEAWEED_ACCESS, 1);
    setenv("AWS_SECRET_ACCESS_KEY", SEAWEED_SECRET, 1);
    lists_like_a_tree = true;
    store = open_store("&region=eu-test-1");
    /* The first object makes the bucket; a server that has just started may need a moment for that. */
    for (int i = 0; i < 100 && store_put_bytes(store, "first", "x", 1, &e) != 0; i++)
        poll(NULL, 0, 100);
    return store_delete(store, "first", &e);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    seaweed_stop(&server);
    return fs_remove_tree(scratch, NULL);
}

static void a_wrong_secret_is_refused(void **state)
{
    struct err e = {0};
    (void)state;
    setenv("AWS_SECRET_ACCESS_KEY", "wrong", 1);
    struct store *s = open_store("");
    setenv("AWS_SECRET_ACCESS_KEY", SEAWEED_SECRET, 1);
    assert_int_equal(store_put_bytes(s, "x", "x", 1, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_non_null(strstr(e.detail, "403"));
    store_close(s);
}

static void a_large_object_goes_up_in_parts(void **state)
{
    char path[FS_PATH_MAX], back[FS_PATH_MAX], sha[HASH_HEX_SIZE], got[HASH_HEX_SIZE], data[16], want[16];
    struct store_info info;
    struct err e;
    int removed = -1;
    (void)state;
    scratch_path(path, "large");
    scratch_path(back, "large.back");
    make_file(path, (64 << 20) + 12345, sha);
    if (store_put_file(store, "parts/large", path, sha, false, &e) != 0)
        fail_msg("%s", e.detail);
    assert_int_equal(store_stat(store, "parts/large", &info, &e), 0);
    assert_int_equal(info.bytes, (64 << 20) + 12345);
    assert_string_equal(info.sha256, sha);
    assert_int_equal(store_read(store, "parts/large", (16 << 20) - 8, data, 16, &e), 16);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, want, 16, (16 << 20) - 8), 16);
    close(fd);
    assert_memory_equal(data, want, 16);
    assert_int_equal(store_get_file(store, "parts/large", back, &e), 0);
    assert_int_equal(hash_file(back, got, NULL, &e), 0);
    assert_string_equal(got, sha);
    assert_int_equal(store_sweep(store, 0, &removed, &e), 0);
    assert_int_equal(removed, 0); /* no upload was left open */
    assert_int_equal(store_delete(store, "parts/large", &e), 0);
}

static void anyone_can_get_by_a_link(void **state)
{
    struct http_response response;
    struct buf body;
    struct err e;
    char link[2048], value[256];
    (void)state;
    put_text("links/result.mp4", "the bytes");
    assert_int_equal(store_presign_get(store, "links/result.mp4", 60, "my shot \"1\".mp4", link, &e), 0);
    struct http *h = http_new();
    buf_init(&body, 1000);
    struct http_request r = {.method = "GET", .url = link, .out = &body};
    assert_int_equal(http_do(h, &r, &response, &e), 0);
    assert_int_equal(response.status, 200);
    assert_string_equal(body.data, "the bytes");
    assert_true(http_header(&response, "content-disposition", value, sizeof value));
    assert_non_null(strstr(value, "my shot _1_.mp4"));
    link[strlen(link) - 1] = link[strlen(link) - 1] == '0' ? '1' : '0';
    buf_reset(&body);
    assert_int_equal(http_do(h, &r, &response, &e), 0);
    assert_int_equal(response.status, 403);
    buf_free(&body);
    http_free(h);
}

static void the_endpoint_may_be_encoded(void **state)
{
    struct store *s = NULL;
    struct err e;
    char url[256];
    (void)state;
    put_text("encoded/x", "1");
    snprintf(url, sizeof url, "s3://test-bucket/some/prefix/?region=r&endpoint=http%%3A%%2F%%2F127.0.0.1%%3A%d%%2F",
             server.port);
    assert_int_equal(store_open(&s, url, &e), 0);
    struct store_info info;
    assert_int_equal(store_stat(s, "encoded/x", &info, &e), 0);
    store_close(s);
}

static void bad_urls_and_missing_secrets_are_refused_at_once(void **state)
{
    static const char *const bad[] = {"s3:bucket",
                                      "s3://",
                                      "s3://UPPER/x",
                                      "s3://bucket/../x",
                                      "s3://bucket/a b",
                                      "s3://bucket?endpoint=ftp://x",
                                      "s3://bucket?endpoint=http://u:p@host",
                                      "s3://bucket?nonsense=1",
                                      "s3://bucket?endpoint=http://"};
    struct store *s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        if (store_open(&s, bad[i], &e) == 0)
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(e.code, ERR_params_invalid);
    }
    struct err e = {0};
    unsetenv("AWS_ACCESS_KEY_ID");
    assert_int_equal(store_open(&s, "s3://bucket", &e), -1);
    assert_string_equal(e.field, "AWS_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", SEAWEED_ACCESS, 1);
}

/* ---- bad days, played by a twin that misbehaves ---- */

static struct store *open_scripted(struct scripted_http *twin, const char *const *answers)
{
    struct store *s = NULL;
    struct err e;
    char url[256];
    assert_int_equal(scripted_http_start(twin, answers), 0);
    snprintf(url, sizeof url, "s3://bucket?endpoint=http://127.0.0.1:%d", twin->port);
    assert_int_equal(store_open(&s, url, &e), 0);
    return s;
}

#define SLOW_DOWN "HTTP/1.1 503 Slow Down\r\nContent-Length: 27\r\n\r\n<Code>SlowDown</Code>12345\n"

static void slow_down_and_torn_answers_are_tried_again(void **state)
{
    static const char *const answers[] = {SLOW_DOWN, "HTTP/1.1 500 Internal Error\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123", /* and then silence */
                                          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", NULL};
    struct scripted_http twin;
    struct buf b;
    struct err e;
    char path[FS_PATH_MAX];
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    scratch_path(path, "torn");
    if (store_get_file(s, "key", path, &e) != 0)
        fail_msg("%s", e.detail);
    buf_init(&b, 100);
    assert_int_equal(fs_read(path, &b, &e), 0);
    assert_string_equal(b.data, "0123456789");
    buf_free(&b);
    store_close(s);
    scripted_http_stop(&twin);
}

static void trouble_that_stays_is_an_error_after_a_few_tries(void **state)
{
    static const char *const answers[] = {SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, NULL};
    struct scripted_http twin;
    struct err e = {0};
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    assert_int_equal(store_put_bytes(s, "key", "x", 1, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_non_null(strstr(e.detail, "SlowDown"));
    store_close(s);
    scripted_http_stop(&twin);
    assert_int_equal(twin.served, 5);
}

static void a_refusal_is_not_repeated(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 65\r\n\r\n<Error><Code>AccessDenied</Code><Message>a &amp; "
        "b</Message></Error>",
        NULL};
    struct scripted_http twin;
    struct err e = {0};
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    assert_int_equal(store_put_bytes(s, "key", "x", 1, &e), -1);
    assert_non_null(strstr(e.detail, "403 AccessDenied a & b"));
    store_close(s);
    scripted_http_stop(&twin);
    assert_int_equal(twin.served, 1);
}

static int count_key(void *user, const char *key, const struct store_info *info)
{
    (void)key;
    (void)info;
    ++*(int *)user;
    return 0;
}

static void a_listing_that_breaks_off_is_an_error_and_not_the_end(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>",
        "HTTP/1.1 200 OK\r\nContent-Length: 89\r\n\r\n<ListBucketResult><IsTruncated>true</IsTruncated>"
        "<Contents><Key>a</Key></Contents>1234567",
        NULL};
    struct scripted_http twin;
    struct err e = {0};
    int keys = 0;
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_list(s, "", "", count_key, &keys, &e), -1);
        assert_int_equal(e.code, ERR_dependency_storage);
    }
    assert_int_equal(keys, 0);
    store_close(s);
    scripted_http_stop(&twin);
    assert_int_equal(twin.served, 2);
}

static void content_that_was_changed_on_the_way_is_noticed(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nx-amz-meta-sha256: "
                                          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
                                          "\r\n\r\nx",
                                          NULL};
    struct scripted_http twin;
    struct err e = {0};
    char path[FS_PATH_MAX];
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    scratch_path(path, "changed");
    assert_int_equal(store_get_file(s, "key", path, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_int_equal(access(path, F_OK), -1);
    store_close(s);
    scripted_http_stop(&twin);
}

static void a_failed_upload_in_parts_is_aborted(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n<R><UploadId>id1</UploadId></R>",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", NULL};
    struct scripted_http twin;
    struct err e = {0};
    char path[FS_PATH_MAX];
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    scratch_path(path, "sparse");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, (64 << 20) + 1), 0);
    close(fd);
    assert_int_equal(store_put_file(s, "key", path, "", false, &e), -1);
    store_close(s);
    scripted_http_stop(&twin);
    assert_int_equal(twin.served, 3);
    assert_non_null(strstr(twin.requests[0], "POST /bucket/key?uploads="));
    assert_non_null(strstr(twin.requests[2], "DELETE /bucket/key?uploadId=id1"));
}

static void a_full_store_is_storage_full(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 34\r\n\r\n<Code>QuotaExceeded</Code>12345678", NULL};
    struct scripted_http twin;
    struct err e = {0};
    (void)state;
    struct store *s = open_scripted(&twin, answers);
    assert_int_equal(store_put_bytes(s, "key", "x", 1, &e), -1);
    assert_int_equal(e.code, ERR_storage_full);
    store_close(s);
    scripted_http_stop(&twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_CONFORMANCE_TESTS,
        cmocka_unit_test(a_wrong_secret_is_refused),
        cmocka_unit_test(a_large_object_goes_up_in_parts),
        cmocka_unit_test(anyone_can_get_by_a_link),
        cmocka_unit_test(the_endpoint_may_be_encoded),
        cmocka_unit_test(bad_urls_and_missing_secrets_are_refused_at_once),
        cmocka_unit_test(slow_down_and_torn_answers_are_tried_again),
        cmocka_unit_test(trouble_that_stays_is_an_error_after_a_few_tries),
        cmocka_unit_test(a_refusal_is_not_repeated),
        cmocka_unit_test(a_listing_that_breaks_off_is_an_error_and_not_the_end),
        cmocka_unit_test(content_that_was_changed_on_the_way_is_noticed),
        cmocka_unit_test(a_failed_upload_in_parts_is_aborted),
        cmocka_unit_test(a_full_store_is_storage_full),
    };
    if (!seaweed_program()) {
        printf("[  SKIPPED ] all of it: no S3 server; tools/setup installs one\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
