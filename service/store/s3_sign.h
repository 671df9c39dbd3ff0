/* s3_sign.h - AWS Signature Version 4 for S3, in headers and in links. Pure: the time is given.
 * Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html, whose examples are the tests. */
#ifndef LONGANIM_STORE_S3_SIGN_H
#define LONGANIM_STORE_S3_SIGN_H

#include <stddef.h>
#include <stdint.h>

struct s3_keys {
    char access[128], secret[128], token[2048]; /* token "" = none */
    char region[64];
};

struct s3_pair {
    const char *name, *value; /* as they are: not encoded, not trimmed */
};

#define S3_PAIRS_MAX 16
struct s3_request {
    const char *method, *host; /* host with its port, as in the Host header */
    const char *path;          /* begins with a slash; not encoded */
    struct s3_pair query[S3_PAIRS_MAX];
    int query_count;
    struct s3_pair headers[S3_PAIRS_MAX]; /* further ones to sign; host and x-amz-* below are added */
    int header_count;
    const char *payload_sha256; /* 64 hex digits; NULL in links: UNSIGNED-PAYLOAD */
    int64_t now_ms;
};

#define S3_AUTHORIZATION_SIZE 1024
#define S3_URL_SIZE 4096
#define S3_DATE_SIZE 17 /* "20130524T000000Z" */

void s3_date(int64_t now_ms, char out[S3_DATE_SIZE]);

/* The value of the Authorization header. The request must then carry x-amz-date, x-amz-content-sha256 and, with a
 * token, x-amz-security-token. -1 when it does not fit. */
int s3_sign(const struct s3_keys *keys, const struct s3_request *r, char out[S3_AUTHORIZATION_SIZE]);

/* path?query with the signature in the query, good for ttl_s seconds. -1 when it does not fit. */
int s3_presign(const struct s3_keys *keys, const struct s3_request *r, int ttl_s, char out[S3_URL_SIZE]);

/* path?query, encoded. -1 when it does not fit. */
int s3_target(const struct s3_request *r, char out[S3_URL_SIZE]);

#endif
