/* The examples of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API reference. */
#include "store/s3_sign.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const struct s3_keys keys = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "",
                                    "us-east-1"};

static struct s3_request example(const char *method, const char *path)
{
    int64_t now_ms = 0;
    assert_int_equal(clock_parse("2013-05-24T00:00:00Z", &now_ms), 0);
    return (struct s3_request){
        .method = method, .host = "examplebucket.s3.amazonaws.com", .path = path, .now_ms = now_ms};
}

static void expect(const struct s3_request *r, const char *names, const char *signature)
{
    char got[S3_AUTHORIZATION_SIZE], want[S3_AUTHORIZATION_SIZE];
    assert_int_equal(s3_sign(&keys, r, got), 0);
    snprintf(want, sizeof want,
             "AWS4-HMAC-SHA256 "
             "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s",
             names, signature);
    assert_string_equal(got, want);
}

static void an_object_is_got_by_range(void **state)
{
    struct s3_request r = example("GET", "/test.txt");
    (void)state;
    r.headers[r.header_count++] = (struct s3_pair){"Range", "bytes=0-9"};
    expect(&r, "host;range;x-amz-content-sha256;x-amz-date",
           "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void an_object_is_put_with_its_hash(void **state)
{
    struct s3_request r = example("PUT", "/test$file.text");
    (void)state;
    r.headers[r.header_count++] = (struct s3_pair){"Date", "Fri, 24 May 2013 00:00:00 GMT"};
    r.headers[r.header_count++] = (struct s3_pair){"x-amz-storage-class", "REDUCED_REDUNDANCY"};
    r.payload_sha256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    expect(&r, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
           "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void a_query_name_without_a_value_is_signed(void **state)
{
    struct s3_request r = example("GET", "/");
    (void)state;
    r.query[r.query_count++] = (struct s3_pair){"lifecycle", ""};
    expect(&r, "host;x-amz-content-sha256;x-amz-date",
           "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void a_list_is_signed_with_its_query_in_order(void **state)
{
    struct s3_request r = example("GET", "/");
    (void)state;
    r.query[r.query_count++] = (struct s3_pair){"prefix", "J"};
    r.query[r.query_count++] = (struct s3_pair){"max-keys", "2"};
    expect(&r, "host;x-amz-content-sha256;x-amz-date",
           "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void a_link_carries_its_signature(void **state)
{
    struct s3_request r = example("GET", "/test.txt");
    char got[S3_URL_SIZE];
    (void)state;
    assert_int_equal(s3_presign(&keys, &r, 86400, got), 0);
    assert_string_equal(
        got, "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
             "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders="
             "host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

static void similar_header_names_are_in_order_of_names_not_of_lines(void **state)
{
    struct s3_request r = example("PUT", "/x"), swapped;
    char a[S3_AUTHORIZATION_SIZE], b[S3_AUTHORIZATION_SIZE];
    (void)state;
    r.headers[r.header_count++] = (struct s3_pair){"x-amz-meta-a-b", "1"};
    r.headers[r.header_count++] = (struct s3_pair){"x-amz-meta-a", " 2 "};
    swapped = r;
    swapped.headers[0] = r.headers[1];
    swapped.headers[1] = r.headers[0];
    assert_int_equal(s3_sign(&keys, &r, a), 0);
    assert_int_equal(s3_sign(&keys, &swapped, b), 0);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "x-amz-meta-a;x-amz-meta-a-b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_got_by_range),
        cmocka_unit_test(an_object_is_put_with_its_hash),
        cmocka_unit_test(a_query_name_without_a_value_is_signed),
        cmocka_unit_test(a_list_is_signed_with_its_query_in_order),
        cmocka_unit_test(a_link_carries_its_signature),
        cmocka_unit_test(similar_header_names_are_in_order_of_names_not_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
