#include "store/s3_sign.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/http.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CANONICAL_MAX = 32 * 1024, SCOPE_SIZE = 128, SIGNED_SIZE = 512 };
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

void s3_date(int64_t now_ms, char out[S3_DATE_SIZE])
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(now_ms, text); /* 2013-05-24T00:00:00.000Z */
    snprintf(out, S3_DATE_SIZE, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", text, text + 5, text + 8, text + 11, text + 14,
             text + 17);
}

/* "20130524/us-east-1/s3/aws4_request" */
static void scope_of(const struct s3_keys *keys, const char *date, char out[SCOPE_SIZE])
{
    snprintf(out, SCOPE_SIZE, "%.8s/%s/s3/aws4_request", date, keys->region);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct s3_pair *)a)->name, ((const struct s3_pair *)b)->name);
}

static int by_header(const void *a, const void *b)
{
    return strcasecmp(((const struct s3_pair *)a)->name, ((const struct s3_pair *)b)->name);
}

static int add_query(struct buf *b, const struct s3_pair *pairs, int count)
{
    struct s3_pair sorted[2 * S3_PAIRS_MAX];
    char text[3 * 2048 + 4];
    memcpy(sorted, pairs, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_name);
    for (int i = 0; i < count; i++) {
        if (http_escape(text, sizeof text, sorted[i].name, false) != 0)
            return -1;
        buf_printf(b, "%s%s=", i ? "&" : "", text);
        if (http_escape(text, sizeof text, sorted[i].value, false) != 0)
            return -1;
        buf_add_str(b, text);
    }
    return b->failed ? -1 : 0;
}

static int add_path(struct buf *b, const char *path)
{
    char text[3 * 1024 + 4];
    return http_escape(text, sizeof text, path, true) == 0 ? buf_add_str(b, text) : -1;
}

static void add_lower(struct buf *b, const char *name)
{
    for (; *name; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;
        buf_add(b, &c, 1);
    }
}

/* Canonical headers, and their names joined by ';' in out_signed. */
static void add_headers(struct buf *b, struct s3_pair *headers, int count, char out_signed[SIGNED_SIZE])
{
    struct buf names;
    buf_init(&names, SIGNED_SIZE - 1);
    qsort(headers, (size_t)count, sizeof *headers, by_header);
    for (int i = 0; i < count; i++) {
        const char *value = headers[i].value + strspn(headers[i].value, " ");
        size_t size = strlen(value);
        while (size > 0 && value[size - 1] == ' ')
            size--;
        add_lower(b, headers[i].name);
        buf_printf(b, ":%.*s\n", (int)size, value);
        if (i > 0)
            buf_add_str(&names, ";");
        add_lower(&names, headers[i].name);
    }
    snprintf(out_signed, SIGNED_SIZE, "%s", names.data ? names.data : "");
    buf_free(&names);
}

static void hmac(const void *key, size_t key_size, const char *text, uint8_t out[HASH_SIZE])
{
    unsigned size = HASH_SIZE;
    if (!HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text, strlen(text), out, &size))
        abort();
}

static void signature_of(const struct s3_keys *keys, const char *date, const char *canonical, char out[HASH_HEX_SIZE])
{
    char scope[SCOPE_SIZE], hex[HASH_HEX_SIZE], text[512], secret[160], day[9];
    uint8_t key[HASH_SIZE];
    hash_bytes(canonical, strlen(canonical), hex);
    scope_of(keys, date, scope);
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hex);
    snprintf(secret, sizeof secret, "AWS4%s", keys->secret);
    snprintf(day, sizeof day, "%.8s", date);
    hmac(secret, strlen(secret), day, key);
    hmac(key, sizeof key, keys->region, key);
    hmac(key, sizeof key, "s3", key);
    hmac(key, sizeof key, "aws4_request", key);
    hmac(key, sizeof key, text, key);
    hash_hex(key, out);
}

/* METHOD, path, query, headers, their names, payload hash: a line each, headers a line each of their own. */
static int canonical_of(const struct s3_request *r, const struct s3_pair *query, int query_count,
                        struct s3_pair *headers, int header_count, const char *payload, struct buf *out,
                        char out_signed[SIGNED_SIZE])
{
    buf_printf(out, "%s\n", r->method);
    if (add_path(out, r->path) != 0 || buf_add_str(out, "\n") != 0 || add_query(out, query, query_count) != 0)
        return -1;
    buf_add_str(out, "\n");
    add_headers(out, headers, header_count, out_signed);
    buf_printf(out, "\n%s\n%s", out_signed, payload);
    return out->failed ? -1 : 0;
}

int s3_sign(const struct s3_keys *keys, const struct s3_request *r, char out[S3_AUTHORIZATION_SIZE])
{
    struct s3_pair headers[S3_PAIRS_MAX + 4];
    struct buf canonical;
    char date[S3_DATE_SIZE], scope[SCOPE_SIZE], names[SIGNED_SIZE], signature[HASH_HEX_SIZE];
    const char *payload = r->payload_sha256 ? r->payload_sha256 : EMPTY_SHA256;
    int count = r->header_count, result = -1;
    s3_date(r->now_ms, date);
    memcpy(headers, r->headers, (size_t)count * sizeof *headers);
    headers[count++] = (struct s3_pair){"host", r->host};
    headers[count++] = (struct s3_pair){"x-amz-content-sha256", payload};
    headers[count++] = (struct s3_pair){"x-amz-date", date};
    if (keys->token[0])
        headers[count++] = (struct s3_pair){"x-amz-security-token", keys->token};
    buf_init(&canonical, CANONICAL_MAX);
    if (canonical_of(r, r->query, r->query_count, headers, count, payload, &canonical, names) == 0) {
        signature_of(keys, date, canonical.data, signature);
        scope_of(keys, date, scope);
        int size =
            snprintf(out, S3_AUTHORIZATION_SIZE, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
                     keys->access, scope, names, signature);
        result = size > 0 && size < S3_AUTHORIZATION_SIZE ? 0 : -1;
    }
    buf_free(&canonical);
    return result;
}

static int put_target(const char *path, const struct s3_pair *query, int count, const char *signature,
                      char out[S3_URL_SIZE])
{
    struct buf b;
    int result = -1;
    buf_init(&b, S3_URL_SIZE - 1);
    if (add_path(&b, path) == 0 && (count == 0 || (buf_add_str(&b, "?") == 0 && add_query(&b, query, count) == 0)) &&
        (!signature || buf_printf(&b, "&X-Amz-Signature=%s", signature) == 0)) {
        memcpy(out, b.data, b.size + 1);
        result = 0;
    }
    buf_free(&b);
    return result;
}

int s3_target(const struct s3_request *r, char out[S3_URL_SIZE])
{
    return put_target(r->path, r->query, r->query_count, NULL, out);
}

int s3_presign(const struct s3_keys *keys, const struct s3_request *r, int ttl_s, char out[S3_URL_SIZE])
{
    struct s3_pair query[S3_PAIRS_MAX + 6], host = {"host", r->host};
    struct buf canonical;
    char date[S3_DATE_SIZE], scope[SCOPE_SIZE], credential[300], ttl[16], names[SIGNED_SIZE], signature[HASH_HEX_SIZE];
    int count = r->query_count, result = -1;
    s3_date(r->now_ms, date);
    scope_of(keys, date, scope);
    snprintf(credential, sizeof credential, "%s/%s", keys->access, scope);
    snprintf(ttl, sizeof ttl, "%d", ttl_s);
    memcpy(query, r->query, (size_t)count * sizeof *query);
    query[count++] = (struct s3_pair){"X-Amz-Algorithm", "AWS4-HMAC-SHA256"};
    query[count++] = (struct s3_pair){"X-Amz-Credential", credential};
    query[count++] = (struct s3_pair){"X-Amz-Date", date};
    query[count++] = (struct s3_pair){"X-Amz-Expires", ttl};
    query[count++] = (struct s3_pair){"X-Amz-SignedHeaders", "host"};
    if (keys->token[0])
        query[count++] = (struct s3_pair){"X-Amz-Security-Token", keys->token};
    buf_init(&canonical, CANONICAL_MAX);
    if (canonical_of(r, query, count, &host, 1, "UNSIGNED-PAYLOAD", &canonical, names) == 0) {
        signature_of(keys, date, canonical.data, signature);
        result = put_target(r->path, query, count, signature, out);
    }
    buf_free(&canonical);
    return result;
}
