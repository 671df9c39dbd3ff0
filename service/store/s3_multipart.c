/* Large objects go up in parts, one after the other over one connection; every part is repeated by itself. */
#include "store/s3_int.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PART_BYTES = 16 << 20, PARTS_MAX = 10000, ANSWER_MAX = 1 << 20, STALE_MAX = 1000 };

struct upload {
    struct s3 *s;
    const char *key, *path;
    int64_t bytes, part_bytes;
    char id[1024];
    struct buf etags; /* <Part> elements */
};

/* SHA-256 of a slice of a file. */
static int hash_slice(const char *path, int64_t offset, int64_t bytes, char out[HASH_HEX_SIZE], struct err *e)
{
    char chunk[128 * 1024];
    uint8_t digest[HASH_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1;
    struct hash *h = hash_new();
    int64_t left = bytes;
    while (fd >= 0 && left > 0) {
        size_t want = left < (int64_t)sizeof chunk ? (size_t)left : sizeof chunk;
        ssize_t got = pread(fd, chunk, want, offset + bytes - left);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        hash_add(h, chunk, (size_t)got);
        left -= got;
    }
    hash_final(h, digest);
    hash_hex(digest, out);
    hash_free(h);
    if (fd >= 0 && left == 0)
        result = 0;
    else
        err_set(e, ERR_internal, "cannot read %.200s: %s", path, fd < 0 ? strerror(errno) : "it ends early");
    if (fd >= 0)
        close(fd);
    return result;
}

static int begin(struct upload *u, const char *sha256, struct err *e)
{
    struct http_response response;
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {.method = "POST", .key = u->key, .query = {{"uploads", ""}}, .query_count = 1, .out = &answer};
    c.headers[c.header_count++] = (struct s3_pair){"Content-Type", "application/octet-stream"};
    c.headers[c.header_count++] = (struct s3_pair){"x-amz-meta-sha256", sha256};
    int result = s3__do(u->s, &c, &response, NULL, e);
    if (result == 0 && response.status != 200)
        result = s3__refused(&response, &answer, u->key, e);
    struct s3_span xml = {answer.data, answer.size};
    if (result == 0 && (!answer.data || !s3__xml_text(xml, "UploadId", u->id, sizeof u->id)))
        result = err_set(e, ERR_dependency_storage, "the store began an upload without a name");
    buf_free(&answer);
    return result;
}

static int send_part(struct upload *u, int number, struct err *e)
{
    struct http_response response;
    struct buf answer;
    char digits[16], sha256[HASH_HEX_SIZE], etag[256];
    int64_t offset = (int64_t)(number - 1) * u->part_bytes, bytes = u->bytes - offset;
    if (bytes > u->part_bytes)
        bytes = u->part_bytes;
    snprintf(digits, sizeof digits, "%d", number);
    if (hash_slice(u->path, offset, bytes, sha256, e) != 0)
        return -1;
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {.method = "PUT",
                        .key = u->key,
                        .query = {{"partNumber", digits}, {"uploadId", u->id}},
                        .query_count = 2,
                        .body_path = u->path,
                        .body_offset = offset,
                        .body_bytes = bytes,
                        .payload_sha256 = sha256,
                        .out = &answer};
    int result = s3__do(u->s, &c, &response, NULL, e);
    if (result == 0 && response.status != 200)
        result = s3__refused(&response, &answer, u->key, e);
    if (result == 0 && !http_header(&response, "etag", etag, sizeof etag))
        result = err_set(e, ERR_dependency_storage, "the store took a part without an ETag");
    if (result == 0)
        result = buf_printf(&u->etags, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", number, etag);
    buf_free(&answer);
    return result;
}

/* An answer of 200 may still hold an error, because the server keeps the connection alive while it works. */
static int finish(struct upload *u, struct err *e)
{
    struct http_response response;
    struct buf body, answer;
    char sha256[HASH_HEX_SIZE];
    buf_init(&answer, ANSWER_MAX);
    buf_init(&body, u->etags.size + 256);
    buf_printf(&body,
               "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
               "</CompleteMultipartUpload>",
               u->etags.data);
    hash_bytes(body.data, body.size, sha256);
    struct s3_call c = {.method = "POST",
                        .key = u->key,
                        .query = {{"uploadId", u->id}},
                        .query_count = 1,
                        .body = body.data,
                        .body_size = body.size,
                        .payload_sha256 = sha256,
                        .out = &answer};
    int result = s3__do(u->s, &c, &response, NULL, e);
    bool done = response.status == 200 && answer.data && strstr(answer.data, "CompleteMultipartUploadResult");
    if (result == 0 && !done)
        result = s3__refused(&response, &answer, u->key, e);
    buf_free(&body);
    buf_free(&answer);
    return result;
}

static int abort_upload(struct s3 *s, const char *key, const char *id, struct err *e)
{
    struct http_response response;
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {.method = "DELETE", .key = key, .query = {{"uploadId", id}}, .query_count = 1, .out = &answer};
    int result = s3__do(s, &c, &response, NULL, e);
    if (result == 0 && response.status >= 300 && response.status != 404)
        result = s3__refused(&response, &answer, key, e);
    buf_free(&answer);
    return result;
}

int s3__put_multipart(struct s3 *s, const char *key, const char *path, int64_t bytes, const char *sha256, struct err *e)
{
    struct upload u = {.s = s, .key = key, .path = path, .bytes = bytes, .part_bytes = PART_BYTES};
    while ((bytes + u.part_bytes - 1) / u.part_bytes > PARTS_MAX)
        u.part_bytes *= 2;
    int parts = (int)((bytes + u.part_bytes - 1) / u.part_bytes), result;
    buf_init(&u.etags, 4 << 20);
    result = begin(&u, sha256, e);
    for (int number = 1; number <= parts && result == 0; number++)
        result = send_part(&u, number, e);
    if (result == 0)
        result = finish(&u, e);
    if (result != 0 && u.id[0])
        abort_upload(s, key, u.id, NULL); /* what cannot be reached now is ended by the sweep */
    buf_free(&u.etags);
    return result;
}

int s3__abort_stale(struct s3 *s, int64_t age_ms, int *out_removed, struct err *e)
{
    struct http_response response;
    struct buf answer;
    struct s3_span xml, upload;
    char key[1200], id[1024], begun[64];
    int64_t begun_ms;
    int removed = 0;
    buf_init(&answer, 8 << 20);
    struct s3_call c = {
        .method = "GET", .query = {{"uploads", ""}, {"prefix", s->prefix}}, .query_count = 2, .out = &answer};
    int result = s3__do(s, &c, &response, NULL, e);
    if (result == 0 && response.status == 404)
        goto out; /* no bucket, no uploads */
    if (result == 0 && response.status != 200)
        result = s3__refused(&response, &answer, s->bucket, e);
    xml = (struct s3_span){answer.data ? answer.data : "", answer.size};
    for (int i = 0; i < STALE_MAX && result == 0 && s3__xml_next(&xml, "Upload", &upload); i++) {
        if (!s3__xml_text(upload, "Key", key, sizeof key) || !s3__xml_text(upload, "UploadId", id, sizeof id) ||
            !s3__xml_text(upload, "Initiated", begun, sizeof begun) || clock_parse(begun, &begun_ms) != 0)
            continue;
        if (strncmp(key, s->prefix, strlen(s->prefix)) != 0 || clock_wall_ms() - begun_ms < age_ms)
            continue;
        result = abort_upload(s, key + strlen(s->prefix), id, e);
        removed += result == 0;
    }
out:
    buf_free(&answer);
    if (result == 0)
        *out_removed = removed;
    return result;
}
