/* A bucket, in path style: s3://bucket/prefix?endpoint=URL&region=R. Objects carry their SHA-256 as x-amz-meta-sha256,
 * payloads are signed with their real hash, no trailers and no checksums that S3-compatible servers refuse. */
#include "store/s3_int.h"
#include "store/store_int.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 8 << 20, MULTIPART_FROM = 64 << 20, LINK_TTL_MAX_S = 900 };

/* ---- writing ---- */

static int put_small(struct s3 *s, const char *key, const void *data, size_t size, const char *path, int64_t bytes,
                     const char *sha256, struct err *e)
{
    struct http_response response;
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {.method = "PUT",
                        .key = key,
                        .body = data,
                        .body_size = size,
                        .body_path = path,
                        .body_bytes = bytes,
                        .payload_sha256 = sha256,
                        .out = &answer};
    c.headers[c.header_count++] = (struct s3_pair){"Content-Type", "application/octet-stream"};
    c.headers[c.header_count++] = (struct s3_pair){"x-amz-meta-sha256", sha256};
    int result = s3__do(s, &c, &response, NULL, e);
    if (result == 0 && response.status != 200)
        result = s3__refused(&response, &answer, key, e);
    buf_free(&answer);
    return result;
}

static int put_bytes(void *s, const char *key, const void *data, size_t size, struct err *e)
{
    char sha256[HASH_HEX_SIZE];
    hash_bytes(data, size, sha256);
    return put_small(s, key, size ? data : "", size, NULL, 0, sha256, e);
}

static int put_file(void *s, const char *key, const char *path, const char *sha256, bool consume, struct err *e)
{
    char hex[HASH_HEX_SIZE];
    int64_t bytes;
    if (hash_file(path, hex, &bytes, e) != 0)
        return -1;
    if (sha256[0] && strcmp(hex, sha256) != 0)
        return err_set(e, ERR_internal, "%.100s is not the content that was announced", key);
    int result = bytes > MULTIPART_FROM ? s3__put_multipart(s, key, path, bytes, hex, e)
                 : bytes == 0           ? put_bytes(s, key, "", 0, e)
                                        : put_small(s, key, NULL, 0, path, bytes, hex, e);
    if (result == 0 && consume)
        unlink(path);
    return result;
}

/* Whatever goes wrong here, the object can still be sent as any other. */
static int copy_object(void *s, const char *from, const char *to, bool *copied, struct err *e)
{
    struct http_response response;
    struct buf answer;
    char source[1024];
    if (s3__path(s, from, source, sizeof source) != 0)
        return err_set(e, ERR_internal, "the name of an object is too long");
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {.method = "PUT", .key = to, .body = "", .out = &answer};
    c.headers[c.header_count++] = (struct s3_pair){"x-amz-copy-source", source};
    /* 200 may also carry an error. */
    *copied = s3__do(s, &c, &response, NULL, NULL) == 0 && response.status == 200 && answer.data &&
              strstr(answer.data, "<CopyObjectResult");
    buf_free(&answer);
    return 0;
}

/* ---- reading ---- */

/* "Sun, 06 Nov 1994 08:49:37 GMT"; 0 when it is not of that form. */
static int64_t parse_http_date(const char *text)
{
    struct tm parts = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return end && *end == '\0' ? (int64_t)timegm(&parts) * 1000 : 0;
}

static int stat_object(void *s, const char *key, struct store_info *out, struct err *e)
{
    struct http_response response;
    char text[128];
    struct s3_call c = {.method = "HEAD", .key = key};
    if (s3__do(s, &c, &response, NULL, e) != 0)
        return -1;
    if (response.status != 200)
        return s3__refused(&response, NULL, key, e);
    struct store_info info = {0};
    if (http_header(&response, "content-length", text, sizeof text))
        info.bytes = strtoll(text, NULL, 10);
    if (http_header(&response, "last-modified", text, sizeof text))
        info.modified_ms = parse_http_date(text);
    if (http_header(&response, "x-amz-meta-sha256", text, sizeof text))
        text_copy(info.sha256, sizeof info.sha256, text);
    *out = info;
    return 0;
}

static int64_t read_object(void *s, const char *key, int64_t offset, void *data, size_t size, struct err *e)
{
    struct http_response response;
    struct buf part;
    char range[64];
    int64_t result = -1;
    if (size == 0)
        return 0;
    snprintf(range, sizeof range, "bytes=%lld-%lld", (long long)offset, (long long)offset + (long long)size - 1);
    buf_init(&part, size + 4096); /* room for the text of an error */
    struct s3_call c = {.method = "GET", .key = key, .headers = {{"Range", range}}, .header_count = 1, .out = &part};
    if (s3__do(s, &c, &response, NULL, e) != 0)
        goto out;
    if (response.status == 416) {
        result = 0;
    } else if (response.status == 206 || (response.status == 200 && offset == 0)) {
        if (part.size > size)
            part.size = size;
        if (part.size > 0)
            memcpy(data, part.data, part.size);
        result = (int64_t)part.size;
    } else if (response.status == 200) {
        err_set(e, ERR_dependency_storage, "the store does not know ranges");
    } else {
        s3__refused(&response, &part, key, e);
    }
out:
    buf_free(&part);
    return result;
}

/* A file being fetched; a repeat starts over. */
struct fetch {
    int fd;
    int cause; /* errno of a failed write */
};

static int restart_fetch(void *user, struct err *e)
{
    struct fetch *f = user;
    if (ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) != 0)
        return err_set(e, ERR_internal, "cannot empty a file: %s", strerror(errno));
    return 0;
}

static int write_fetched(void *user, const char *data, size_t size)
{
    struct fetch *f = user;
    if (fs_write_all(f->fd, data, size) == 0)
        return 0;
    f->cause = errno;
    return -1;
}

static int fetch_into(struct s3 *s, const char *key, const char *path, struct http_response *response, struct err *e)
{
    struct fetch f = {.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    struct buf problem;
    if (f.fd < 0)
        return err_set(e, ERR_internal, "cannot create %.200s: %s", path, strerror(errno));
    buf_init(&problem, ANSWER_MAX);
    struct s3_call c = {.method = "GET", .key = key, .on_data = write_fetched, .restart = restart_fetch, .user = &f};
    int result = s3__do(s, &c, response, &problem, e);
    if (f.cause)
        result = err_set(e, f.cause == ENOSPC || f.cause == EDQUOT ? ERR_storage_full : ERR_internal,
                         "cannot write %.200s: %s", path, strerror(f.cause));
    else if (result == 0 && response->status != 200)
        result = s3__refused(response, &problem, key, e);
    if (close(f.fd) != 0 && result == 0)
        result = err_set(e, ERR_internal, "cannot write %.200s: %s", path, strerror(errno));
    buf_free(&problem);
    return result;
}

static int get_file(void *s, const char *key, const char *path, struct err *e)
{
    struct http_response response;
    char announced[HASH_HEX_SIZE], got[HASH_HEX_SIZE];
    unlink(path);
    int result = fetch_into(s, key, path, &response, e);
    if (result == 0 && http_header(&response, "x-amz-meta-sha256", announced, sizeof announced)) {
        result = hash_file(path, got, NULL, e);
        if (result == 0 && strcmp(announced, got) != 0)
            result = err_set(e, ERR_dependency_storage, "%.100s came back with another content", key);
    }
    if (result != 0)
        unlink(path);
    return result;
}

static int remove_object(void *s, const char *key, struct err *e)
{
    struct http_response response;
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {.method = "DELETE", .key = key, .out = &answer};
    int result = s3__do(s, &c, &response, NULL, e);
    if (result == 0 && response.status >= 300 && response.status != 404)
        result = s3__refused(&response, &answer, key, e);
    buf_free(&answer);
    return result;
}

/* ---- listing ---- */

struct page {
    struct s3 *s;
    store_list_fn fn;
    void *user;
    char token[2048];
};

/* 0 = go on, 1 = fn has had enough. */
static int read_page(struct page *p, struct s3_span xml)
{
    struct s3_span object;
    char key[1200], text[64];
    size_t prefix = strlen(p->s->prefix);
    while (s3__xml_next(&xml, "Contents", &object)) {
        struct store_info info = {0};
        if (!s3__xml_text(object, "Key", key, sizeof key) || strncmp(key, p->s->prefix, prefix) != 0 ||
            strlen(key + prefix) >= STORE_KEY_MAX || key[strlen(key) - 1] == '/')
            continue; /* not one of ours */
        if (s3__xml_text(object, "Size", text, sizeof text))
            info.bytes = strtoll(text, NULL, 10);
        if (!s3__xml_text(object, "LastModified", text, sizeof text) || clock_parse(text, &info.modified_ms) != 0)
            info.modified_ms = clock_wall_ms(); /* a thing of unknown age is young */
        if (p->fn(p->user, key + prefix, &info) != 0)
            return 1;
    }
    return 0;
}

/* 0 = there is another page, 1 = done, -1 = error. */
static int list_page(struct page *p, const char *prefix, const char *after, struct err *e)
{
    struct http_response response;
    struct buf answer;
    char truncated[8];
    int result = -1;
    buf_init(&answer, ANSWER_MAX);
    struct s3_call c = {
        .method = "GET", .query = {{"list-type", "2"}, {"prefix", prefix}}, .query_count = 2, .out = &answer};
    if (p->token[0])
        c.query[c.query_count++] = (struct s3_pair){"continuation-token", p->token};
    else if (after[0])
        c.query[c.query_count++] = (struct s3_pair){"start-after", after};
    if (s3__do(p->s, &c, &response, NULL, e) != 0)
        goto out;
    if (response.status != 200) {
        s3__refused(&response, &answer, p->s->bucket, e);
        if (e && e->code == ERR_job_not_found)
            e->code = ERR_dependency_storage;
        goto out;
    }
    struct s3_span xml = {answer.data ? answer.data : "", answer.size};
    bool whole = s3__xml_text(xml, "IsTruncated", truncated, sizeof truncated);
    bool more = whole && strcmp(truncated, "true") == 0;
    if (!whole || (more && !s3__xml_text(xml, "NextContinuationToken", p->token, sizeof p->token))) {
        err_set(e, ERR_dependency_storage, "the store's listing is not one, or does not say how it goes on");
        goto out; /* taken for the end, everything behind it would be missing */
    }
    result = read_page(p, xml);
    if (result == 0 && !more)
        result = 1;
out:
    buf_free(&answer);
    return result;
}

static int list(void *user, const char *prefix, const char *after, store_list_fn fn, void *fn_user, struct err *e)
{
    struct s3 *s = user;
    struct page p = {.s = s, .fn = fn, .user = fn_user};
    char full_prefix[512], full_after[512] = "";
    int result = 0;
    snprintf(full_prefix, sizeof full_prefix, "%s%s", s->prefix, prefix);
    if (after[0])
        snprintf(full_after, sizeof full_after, "%s%s", s->prefix, after);
    while (result == 0)
        result = list_page(&p, full_prefix, full_after, e);
    return result < 0 ? -1 : 0;
}

static int take_none(void *user, const char *key, const struct store_info *info)
{
    (void)user;
    (void)key;
    (void)info;
    return 1;
}

static int probe(void *s, struct err *e)
{
    struct page p = {.s = s, .fn = take_none};
    return list_page(&p, p.s->prefix, "", e) < 0 ? -1 : 0;
}

/* ---- links ---- */

static int presign(void *user, const char *key, int ttl_s, const char *download_name, char out[2048], struct err *e)
{
    struct s3 *s = user;
    struct s3_request r = {.method = "GET", .host = s->host, .now_ms = clock_wall_ms()};
    char path[1024], target[S3_URL_SIZE], disposition[300];
    r.path = path;
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%.200s\"", download_name);
    for (char *c = disposition + 22; c[0] && c[1]; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7E || *c == '"' || *c == '\\')
            *c = '_';
    r.query[r.query_count++] = (struct s3_pair){"response-content-disposition", disposition};
    int size = -1;
    if (s3__path(s, key, path, sizeof path) == 0 &&
        s3_presign(&s->keys, &r, ttl_s < LINK_TTL_MAX_S ? ttl_s : LINK_TTL_MAX_S, target) == 0)
        size = snprintf(out, 2048, "%s%s", s->base, target);
    if (size > 0 && size < 2048)
        return 0;
    out[0] = '\0';
    return err_set(e, ERR_internal, "the link is too long");
}

/* ---- life ---- */

static int sweep(void *s, int64_t age_ms, int *out_removed, struct err *e)
{
    return s3__abort_stale(s, age_ms, out_removed, e);
}

static int bad_url(struct err *e, const char *what)
{
    return err_set_field(e, ERR_params_invalid, "store", "%s; give s3://bucket/prefix?endpoint=URL&region=R", what);
}

/* "%41" -> "A", in place. */
static void decode(char *text)
{
    char *to = text;
    for (; *text; text++) {
        char pair[3] = {text[0] == '%' ? text[1] : '\0', text[1], '\0'}, *end = pair;
        if (text[0] == '%' && text[1] && text[2]) {
            pair[1] = text[2];
            long value = strtol(pair, &end, 16);
            if (end == pair + 2) {
                *to++ = (char)value;
                text += 2;
                continue;
            }
        }
        *to++ = *text;
    }
    *to = '\0';
}

static int set_endpoint(struct s3 *s, const char *url, struct err *e)
{
    const char *host = strstr(url, "://");
    size_t scheme = host ? (size_t)(host - url) : 0;
    if (!host || (strncmp(url, "http", scheme) != 0 && strncmp(url, "https", scheme) != 0) || scheme < 4)
        return bad_url(e, "the endpoint is not an http or https URL");
    host += 3;
    size_t host_size = strcspn(host, "/?#"), path_size = strcspn(host + host_size, "?#");
    while (path_size > 0 && host[host_size + path_size - 1] == '/')
        path_size--;
    if (host_size == 0 || host_size >= sizeof s->host || memchr(host, '@', host_size) ||
        path_size >= sizeof s->base_path || (size_t)(host - url) + host_size >= sizeof s->base)
        return bad_url(e, "the endpoint is not a URL that can be used");
    snprintf(s->base, sizeof s->base, "%.*s", (int)((size_t)(host - url) + host_size), url);
    /* The Host header, and so the signature, leaves out the usual port. */
    const char *usual = scheme == 4 ? ":80" : ":443";
    size_t usual_size = strlen(usual);
    if (host_size > usual_size && strncmp(host + host_size - usual_size, usual, usual_size) == 0)
        snprintf(s->host, sizeof s->host, "%.*s", (int)(host_size - usual_size), host);
    else
        snprintf(s->host, sizeof s->host, "%.*s", (int)host_size, host);
    snprintf(s->base_path, sizeof s->base_path, "%.*s", (int)path_size, host + host_size);
    return 0;
}

static int set_names(struct s3 *s, const char *rest, size_t size, struct err *e)
{
    static const char bucket_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    static const char prefix_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    size_t bucket = strcspn(rest, "/?");
    if (bucket < 3 || bucket >= sizeof s->bucket || strspn(rest, bucket_letters) < bucket)
        return bad_url(e, "the bucket's name is not one");
    snprintf(s->bucket, sizeof s->bucket, "%.*s", (int)bucket, rest);
    const char *prefix = rest + bucket + (bucket < size);
    size_t prefix_size = bucket < size ? size - bucket - 1 : 0;
    while (prefix_size > 0 && prefix[prefix_size - 1] == '/')
        prefix_size--;
    if (prefix_size == 0)
        return 0;
    if (prefix_size + 2 > sizeof s->prefix || strspn(prefix, prefix_letters) < prefix_size || prefix[0] == '/' ||
        memmem(prefix, prefix_size, "..", 2) || memmem(prefix, prefix_size, "//", 2))
        return bad_url(e, "the prefix has letters that are not allowed");
    snprintf(s->prefix, sizeof s->prefix, "%.*s/", (int)prefix_size, prefix);
    return 0;
}

static int set_secret(char *out, size_t size, const char *name, bool needed, struct err *e)
{
    const char *value = config_secret(name);
    if (!value && needed)
        return err_set_field(e, ERR_params_invalid, name, "%s is not set", name);
    return text_copy(out, size, value ? value : "") == 0
               ? 0
               : err_set_field(e, ERR_params_invalid, name, "%s is too long", name);
}

static int parse_url(struct s3 *s, const char *rest, struct err *e)
{
    char query[1024], endpoint[512] = "";
    size_t size = strcspn(rest, "?");
    if (strncmp(rest, "//", 2) != 0)
        return bad_url(e, "not an S3 URL");
    if (set_names(s, rest + 2, size - 2, e) != 0)
        return -1;
    if (text_copy(query, sizeof query, rest[size] ? rest + size + 1 : "") != 0)
        return bad_url(e, "the URL is too long");
    text_copy(s->keys.region, sizeof s->keys.region, "us-east-1");
    for (char *save = NULL, *pair = strtok_r(query, "&", &save); pair; pair = strtok_r(NULL, "&", &save)) {
        decode(pair);
        if (strncmp(pair, "endpoint=", 9) == 0 && text_copy(endpoint, sizeof endpoint, pair + 9) == 0)
            continue;
        if (strncmp(pair, "region=", 7) == 0 && text_copy(s->keys.region, sizeof s->keys.region, pair + 7) == 0)
            continue;
        return bad_url(e, "only endpoint and region can be given");
    }
    if (!endpoint[0])
        snprintf(endpoint, sizeof endpoint, "https://s3.%s.amazonaws.com", s->keys.region);
    if (set_endpoint(s, endpoint, e) != 0)
        return -1;
    if (set_secret(s->keys.access, sizeof s->keys.access, "AWS_ACCESS_KEY_ID", true, e) != 0 ||
        set_secret(s->keys.secret, sizeof s->keys.secret, "AWS_SECRET_ACCESS_KEY", true, e) != 0)
        return -1;
    return set_secret(s->keys.token, sizeof s->keys.token, "AWS_SESSION_TOKEN", false, e);
}

static int open_bucket(void **out, const char *rest, struct err *e)
{
    struct s3 *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    if (parse_url(s, rest, e) != 0) {
        free(s);
        return -1;
    }
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return 0;
}

static void close_bucket(void *user)
{
    struct s3 *s = user;
    for (int i = 0; i < s->idle_count; i++)
        http_free(s->idle[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const struct store_ops store_s3_ops = {
    .scheme = "s3:",
    .open = open_bucket,
    .close = close_bucket,
    .probe = probe,
    .put_file = put_file,
    .put_bytes = put_bytes,
    .copy = copy_object,
    .stat = stat_object,
    .get_file = get_file,
    .open_fd = NULL,
    .read = read_object,
    .remove = remove_object,
    .list = list,
    .presign = presign,
    .sweep = sweep,
};
