/* One signed request to S3. The store hands out connections to its threads, so any thread may call at any time. */
#include "store/s3_int.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 5, PAUSE_MS = 100, STALL_MS = 15000, CONNECT_MS = 5000 };
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct http *take_client(struct s3 *s)
{
    struct http *h = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->idle_count > 0)
        h = s->idle[--s->idle_count];
    pthread_mutex_unlock(&s->lock);
    return h ? h : http_new();
}

static void give_client(struct s3 *s, struct http *h)
{
    pthread_mutex_lock(&s->lock);
    if (s->idle_count < S3_CLIENTS_MAX) {
        s->idle[s->idle_count++] = h;
        h = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    http_free(h);
}

int s3__path(const struct s3 *s, const char *key, char *out, size_t size)
{
    int used = key ? snprintf(out, size, "%s/%s/%s%s", s->base_path, s->bucket, s->prefix, key)
                   : snprintf(out, size, "%s/%s", s->base_path, s->bucket);
    return used > 0 && (size_t)used < size ? 0 : -1;
}

/* Header lines of one try, with a signature of now. */
struct lines {
    char text[10][2200];
    const char *list[11];
    int count;
};

static void add_line(struct lines *l, const char *name, const char *value)
{
    snprintf(l->text[l->count], sizeof l->text[0], "%s: %s", name, value);
    l->list[l->count] = l->text[l->count];
    l->list[++l->count] = NULL;
}

static int sign_call(const struct s3 *s, const struct s3_call *c, struct lines *l, char url[S3_URL_SIZE + 512],
                     struct err *e)
{
    struct s3_request r = {.method = c->method,
                           .host = s->host,
                           .query_count = c->query_count,
                           .header_count = c->header_count,
                           .payload_sha256 = c->payload_sha256,
                           .now_ms = clock_wall_ms()};
    char path[1024], target[S3_URL_SIZE], authorization[S3_AUTHORIZATION_SIZE], date[S3_DATE_SIZE];
    memcpy(r.query, c->query, sizeof c->query);
    memcpy(r.headers, c->headers, sizeof c->headers);
    r.path = path;
    if (s3__path(s, c->key, path, sizeof path) != 0 || s3_target(&r, target) != 0 ||
        s3_sign(&s->keys, &r, authorization) != 0)
        return err_set(e, ERR_internal, "the name of an object is too long");
    snprintf(url, S3_URL_SIZE + 512, "%s%s", s->base, target);
    s3_date(r.now_ms, date);
    l->count = 0;
    add_line(l, "Authorization", authorization);
    add_line(l, "x-amz-date", date);
    add_line(l, "x-amz-content-sha256", c->payload_sha256 ? c->payload_sha256 : EMPTY_SHA256);
    if (s->keys.token[0])
        add_line(l, "x-amz-security-token", s->keys.token);
    for (int i = 0; i < c->header_count; i++)
        add_line(l, c->headers[i].name, c->headers[i].value);
    return 0;
}

static bool is_worth_another_try(int status)
{
    return status >= 500 || status == 408 || status == 429;
}

/* 1 = try again, 0 = an answer, -1 = never. */
static int one_try(struct s3 *s, const struct s3_call *c, struct http_response *response, struct buf *problem,
                   struct err *e)
{
    struct lines *lines = malloc(sizeof *lines);
    char url[S3_URL_SIZE + 512];
    int result = -1;
    if (!lines)
        abort();
    if (sign_call(s, c, lines, url, e) == 0 && (!c->restart || c->restart(c->user, e) == 0)) {
        struct http_request r = {.method = c->method,
                                 .url = url,
                                 .headers = lines->list,
                                 .body = c->body,
                                 .body_size = c->body_size,
                                 .body_path = c->body_path,
                                 .body_offset = c->body_offset,
                                 .body_bytes = c->body_bytes,
                                 .out = c->out,
                                 .problem = problem,
                                 .on_data = c->on_data,
                                 .user = c->user,
                                 .connect_ms = CONNECT_MS,
                                 .stall_ms = STALL_MS,
                                 .unreachable = ERR_dependency_storage};
        struct http *h = take_client(s);
        if (c->out)
            buf_reset(c->out);
        if (problem)
            buf_reset(problem);
        struct err why = {0};
        int failed = http_do(h, &r, response, &why);
        give_client(s, h);
        result = failed ? (why.code == ERR_dependency_storage ? 1 : -1) : is_worth_another_try(response->status);
        if (failed && e && why.code)
            *e = why;
    }
    free(lines);
    return result;
}

int s3__do(struct s3 *s, const struct s3_call *c, struct http_response *response, struct buf *problem, struct err *e)
{
    struct err why = {0};
    int result = 1;
    for (int i = 0; i < TRIES && result == 1; i++) {
        if (i > 0) {
            int64_t most_ms = (int64_t)PAUSE_MS << i;
            clock_sleep_ms(most_ms / 2 + id_random_seed() % (most_ms / 2));
        }
        why = (struct err){0};
        *response = (struct http_response){0};
        result = one_try(s, c, response, problem, &why);
    }
    if (result == 0)
        return 0;
    if (result == 1 && response->status >= 400)
        return s3__refused(response, problem ? problem : c->out, c->key ? c->key : s->bucket, e);
    if (why.code && e) /* else a callback has said why */
        *e = why;
    return -1;
}

int s3__refused(const struct http_response *response, const struct buf *body, const char *key, struct err *e)
{
    char code[64] = "", message[200] = "";
    if (body && body->data) {
        struct s3_span xml = {body->data, body->size};
        s3__xml_text(xml, "Code", code, sizeof code);
        s3__xml_text(xml, "Message", message, sizeof message);
    }
    if (response->status == 404 && strcmp(code, "NoSuchBucket") != 0)
        return err_set(e, ERR_job_not_found, "no object %.200s", key);
    bool full = response->status == 507 || strstr(code, "Quota") || strstr(code, "StorageFull") ||
                strstr(code, "InsufficientStorage");
    return err_set(e, full ? ERR_storage_full : ERR_dependency_storage, "the store answered %d %s %s", response->status,
                   code, message);
}
