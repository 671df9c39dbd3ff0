/* create.c - the body of POST /jobs: headers, parts, files on disk. What becomes of them is in create_job.c. */
#include "create.h"

#include "create_int.h"
#include "fields.h"
#include "span.h"
#include "videos.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "paint/palette.h"
#include "paint/timesheet.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX_BYTES = 1 << 18,     /* of a text part or the JSON body */
    OVERHEAD_MAX_BYTES = 8 << 20, /* what a multipart body may have besides videos and pictures */
    DEADLINE_MAX_S = 30 * 86400,
    RECONCILE_WAIT_MS = 10000,
};

/* ---- the header block ---- */

static int take_key(struct creation *c, const char *key, struct err *e)
{
    size_t size = key ? strlen(key) : 0;

    if (!key)
        return 0;
    if (size == 0 || size >= sizeof c->idempotency_key)
        return err_set_field(e, ERR_bad_header, "Idempotency-Key", "the key must have 1 to %zu characters",
                             sizeof c->idempotency_key - 1);
    for (size_t i = 0; i < size; i++)
        if (key[i] < 0x20 || key[i] > 0x7e)
            return err_set_field(e, ERR_bad_header, "Idempotency-Key", "the key must be printable ASCII");
    memcpy(c->idempotency_key, key, size + 1);
    return 0;
}

static int on_begin(void *user, const struct multipart_part *p, struct err *e);
static int on_data(void *user, const void *data, size_t size, struct err *e);
static int on_end(void *user, struct err *e);

static int take_type(struct creation *c, const struct req *r, struct err *e)
{
    const char *value = req_header(r, REQ_content_type);
    char type[64], boundary[MULTIPART_BOUNDARY_MAX + 1];
    struct multipart_sink sink = {on_begin, on_data, on_end, c};

    fields_media_type(value, type, sizeof type);
    if (strcmp(type, "application/json") == 0) {
        c->json = true;
        return 0;
    }
    if (strcmp(type, "multipart/form-data") != 0)
        return err_set_field(e, ERR_unsupported_media_type, "Content-Type",
                             "send multipart/form-data or application/json");
    if (multipart_boundary(value, boundary, e))
        return -1;
    c->multipart = multipart_new(boundary, &sink);
    return 0;
}

static int take_headers(struct creation *c, const struct req *r, struct err *e)
{
    const char *digest = req_header(r, REQ_repr_digest), *body = req_header(r, REQ_content_digest);

    if (take_key(c, req_header(r, REQ_idempotency_key), e))
        return -1;
    if (req_header(r, REQ_job_deadline) &&
        fields_seconds(req_header(r, REQ_job_deadline), "X-Job-Deadline", DEADLINE_MAX_S, &c->deadline_s, e))
        return -1;
    if (req_header(r, REQ_start_deadline) &&
        fields_seconds(req_header(r, REQ_start_deadline), "X-Start-Deadline", DEADLINE_MAX_S, &c->start_deadline_s, e))
        return -1;
    /* On a request Content-Digest and Repr-Digest say the same: there is no coding or range between them. */
    if (!digest)
        digest = body;
    if (digest && fields_digest(digest, digest == body ? "Content-Digest" : "Repr-Digest", c->repr_digest, e) < 0)
        return -1;
    if (c->repr_digest[0])
        c->hash = hash_new();
    c->wait_s = fields_prefer_wait(req_header(r, REQ_prefer), CREATE_WAIT_MAX_S);
    return take_type(c, r, e);
}

static int check_service(struct app *app, const struct req *r, struct err *e)
{
    int64_t max = app->config->max_upload_bytes + OVERHEAD_MAX_BYTES;

    if (atomic_load(&app->draining))
        return err_set(e, ERR_draining, "the service is shutting down; another one takes new jobs");
    if (r->content_length > max)
        return err_set(e, ERR_payload_too_large, "uploads may have %lld bytes",
                       (long long)app->config->max_upload_bytes);
    if (watch_check(app->watch, e))
        return -1;
    return house_store_check(app->house, e);
}

/* ---- the reservation ---- */

/* How long it holds without news: a dead holder's ends within two leases. */
static int64_t reservation_ms(const struct app *app)
{
    return 2 * app->config->lease_ms;
}

/* Redis has lost its data, keys included, and is being told what the store knows; until then no key can be reserved. */
static int wait_reconciled(struct worker *w, struct err *e)
{
    int64_t until = clock_mono_ms() + RECONCILE_WAIT_MS;
    char generation[96];

    for (;;) {
        if (queue_generation(w->queue, generation, e))
            return -1;
        if (generation[0] && generation[strlen(generation) - 1] != ':')
            return 0;
        if (clock_mono_ms() >= until)
            return err_set(e, ERR_dependency_redis, "the queue is being restored");
        clock_sleep_ms(50);
    }
}

static int reserve_once(struct creation *c, struct worker *w, enum queue_idem *state, struct err *e)
{
    if (queue_idem_reserve(w->queue, c->who.tenant, c->idempotency_key, c->holder, reservation_ms(c->app), state,
                           c->replay_id, c->replay_fingerprint, e))
        return -1;
    c->reserved = *state == QUEUE_IDEM_RESERVED;
    c->reserved_ms = clock_mono_ms();
    return 0;
}

int create_reserve(struct creation *c, struct worker *w, struct err *e)
{
    enum queue_idem state;

    if (reserve_once(c, w, &state, e) &&
        (e->code != ERR_dependency_redis || wait_reconciled(w, e) || reserve_once(c, w, &state, e)))
        return -1;
    if (state == QUEUE_IDEM_IN_PROGRESS)
        return err_set(e, ERR_idempotency_in_progress, "the first request with this Idempotency-Key is still running");
    return 0;
}

/* Refused before a gigabyte is sent for nothing. What counts is asked when the job is put in. */
static int check_quota(struct creation *c, struct worker *w, struct err *e)
{
    const struct key_limits *limits = &c->who.limits;
    struct queue_usage usage;

    if ((limits->queued == 0 && limits->stored_bytes == 0) || c->small)
        return 0;
    if (queue_usage(w->queue, c->who.tenant, &usage, e))
        return -1;
    if (limits->queued > 0 && usage.queued + usage.waiting >= limits->queued)
        return err_set(e, ERR_quota_queued, "%lld jobs are queued already", (long long)limits->queued);
    if (limits->stored_bytes > 0 && usage.stored_bytes + c->expected_bytes > limits->stored_bytes)
        return err_set(e, ERR_quota_storage, "of the %lld bytes that this key may store %lld are used",
                       (long long)limits->stored_bytes, (long long)usage.stored_bytes);
    return 0;
}

static int begin(void *user, struct worker *w, struct err *e)
{
    struct creation *c = user;

    if (c->idempotency_key[0] && create_reserve(c, w, e))
        return -1;
    return c->replay_id[0] ? 0 : check_quota(c, w, e);
}

/* A slow upload may outlast its reservation; it is renewed while bytes come. */
static int renew(struct creation *c, struct worker *w, struct err *e)
{
    if (!c->reserved || clock_mono_ms() - c->reserved_ms < reservation_ms(c->app) / 4)
        return 0;
    return create_reserve(c, w, e);
}

/* ---- parts ---- */

/* The parts that are files; references may come several times. */
static const struct {
    const char *name;
    size_t at;
    int64_t max_bytes; /* 0 = what the settings allow */
} file_parts[] = {
    {"video", offsetof(struct creation, video), 0},
    {"reference", offsetof(struct creation, references), 0},
    {"palette", offsetof(struct creation, palette), PALETTE_FILE_MAX},
    {"timesheet", offsetof(struct creation, timesheet), TIMESHEET_FILE_MAX},
};
enum { FILE_PARTS = sizeof file_parts / sizeof *file_parts, REFERENCE_PART = 1 };

static int find_file_part(const char *name)
{
    for (int i = 0; i < FILE_PARTS; i++)
        if (strcmp(file_parts[i].name, name) == 0)
            return i;
    return -1;
}

static int begin_file(struct creation *c, int part, const struct multipart_part *p, struct err *e)
{
    bool reference = part == REFERENCE_PART;
    struct spooled *file = (struct spooled *)(void *)((char *)c + file_parts[part].at);

    if (reference && c->reference_count == MANIFEST_REFERENCES_MAX)
        return err_set_field(e, ERR_part_duplicate, "reference", "there may be at most %d references",
                             MANIFEST_REFERENCES_MAX);
    if (!reference && file->path[0])
        return err_set_field(e, ERR_part_duplicate, p->name, "there may be one %s", p->name);
    if (reference)
        file += c->reference_count;
    if (p->digest && fields_digest(p->digest, "Content-Digest", file->wanted, e) < 0)
        return -1;
    text_clean(file->name, sizeof file->name, p->filename ? p->filename : p->name);
    if (spool_open(&c->spool, c->app, file, e))
        return -1;
    c->reference_count += reference;
    c->file_max_bytes = file_parts[part].max_bytes ? file_parts[part].max_bytes : c->app->config->max_upload_bytes;
    c->part = CREATE_FILE_PART;
    return 0;
}

/* Fields of POST /videos that are no parameters. */
enum video_field { NO_VIDEO_FIELD, VIDEO_SECONDS, VIDEO_UPLOAD, REFERENCE_UPLOAD };

static enum video_field find_video_field(const struct creation *c, const char *name)
{
    static const struct {
        const char *name;
        enum video_field field;
    } rows[] = {{"seconds", VIDEO_SECONDS}, /* a clip is as long as its line art */
                {"video.upload_id", VIDEO_UPLOAD},
                {"video.file_id", VIDEO_UPLOAD},
                {"reference.upload_id", REFERENCE_UPLOAD},
                {"reference.file_id", REFERENCE_UPLOAD}};

    for (size_t i = 0; c->videos && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].field;
    return NO_VIDEO_FIELD;
}

static int take_video_field(struct creation *c, enum video_field field, const char *text, struct err *e)
{
    char *out = field == VIDEO_UPLOAD ? c->video_upload : c->reference_upload;

    if (field == VIDEO_SECONDS)
        return 0;
    if (out[0])
        return err_set_field(e, ERR_part_duplicate, c->part_name, "the field was sent twice");
    if (text_copy(out, ID_SIZE, text) || !id_is_upload(out))
        return err_set_field(e, ERR_upload_not_found, c->part_name, "there is no upload with this id");
    return 0;
}

static int begin_text(struct creation *c, const struct multipart_part *p, struct err *e)
{
    if (strcmp(p->name, "params") != 0 && !params_known(p->name) && !find_video_field(c, p->name))
        return err_set_field(
            e, ERR_params_invalid, p->name,
            "no such part or parameter; parts are video, reference, palette, timesheet and params, the "
            "nearest parameter is %s",
            params_nearest(p->name));
    if (strcmp(p->name, "params") == 0 && c->params)
        return err_set_field(e, ERR_part_duplicate, "params", "the part was sent twice");
    for (int i = 0; i < c->field_count; i++)
        if (strcmp(c->fields[i].name, p->name) == 0)
            return err_set_field(e, ERR_part_duplicate, p->name, "the field was sent twice");
    buf_reset(&c->text);
    c->part = CREATE_TEXT_PART;
    return 0;
}

static int on_begin(void *user, const struct multipart_part *p, struct err *e)
{
    struct creation *c = user;
    struct multipart_part named = *p;
    char name[64];
    int part;

    if (c->videos) {
        videos_part_name(p->name, name);
        named.name = name;
    }
    part = find_file_part(named.name);
    text_clean(c->part_name, sizeof c->part_name, named.name);
    return part >= 0 ? begin_file(c, part, &named, e) : begin_text(c, &named, e);
}

static int on_data(void *user, const void *data, size_t size, struct err *e)
{
    struct creation *c = user;

    if (c->part == CREATE_FILE_PART) {
        if (c->spool.file->bytes + (int64_t)size > c->file_max_bytes)
            return err_set_field(e, ERR_payload_too_large, c->part_name, "this part may have %lld bytes",
                                 (long long)c->file_max_bytes);
        return spool_write(&c->spool, data, size, e);
    }
    if (buf_add(&c->text, data, size))
        return err_set_field(e, ERR_payload_too_large, c->part_name, "this part may have %d bytes", TEXT_MAX_BYTES);
    return 0;
}

static int end_text(struct creation *c, struct err *e)
{
    const char *text = c->text.data ? c->text.data : "";

    if (strcmp(c->part_name, "params") == 0) {
        c->params = json_parse(text, c->text.size, ERR_bad_request, e);
        if (c->params && !json_is_object(c->params))
            return err_set_field(e, ERR_params_invalid, "params", "params must be a JSON object");
        return c->params ? 0 : -1;
    }
    if (find_video_field(c, c->part_name))
        return take_video_field(c, find_video_field(c, c->part_name), text, e);
    if (memchr(text, 0, c->text.size) || !text_utf8_valid(text, c->text.size))
        return err_set_field(e, ERR_params_invalid, c->part_name, "the value is not UTF-8 text");
    struct field *f = &c->fields[c->field_count];
    if ((f->value = strdup(text)) == NULL)
        abort();
    memcpy(f->name, c->part_name, sizeof f->name);
    c->field_count++;
    return 0;
}

static int on_end(void *user, struct err *e)
{
    struct creation *c = user;
    bool file = c->part == CREATE_FILE_PART;

    c->part = CREATE_NO_PART;
    if (!file)
        return end_text(c, e);
    struct spooled *done = c->spool.file;
    spool_close(&c->spool);
    if (done->wanted[0] && strcmp(done->wanted, done->sha256) != 0)
        return err_set_field(e, ERR_media_hash_mismatch, c->part_name,
                             "the SHA-256 of the part is not that of its Content-Digest");
    return 0;
}

/* ---- the body ---- */

static int feed(void *user, const char *data, size_t size, struct worker *w, struct err *e)
{
    struct creation *c = user;

    c->body_bytes += (int64_t)size;
    if (renew(c, w, e))
        return -1;
    if (c->body_bytes > c->app->config->max_upload_bytes * (1 + MANIFEST_REFERENCES_MAX) + OVERHEAD_MAX_BYTES)
        return err_set(e, ERR_payload_too_large, "the body is too large");
    if (c->hash)
        hash_add(c->hash, data, size);
    if (c->multipart)
        return multipart_feed(c->multipart, data, size, e);
    if (buf_add(&c->text, data, size))
        return err_set(e, ERR_payload_too_large, "a JSON body may have %d bytes", TEXT_MAX_BYTES);
    return 0;
}

static int check_digest(struct creation *c, struct err *e)
{
    uint8_t sha256[HASH_SIZE];
    char hex[HASH_HEX_SIZE];

    if (!c->hash)
        return 0;
    hash_final(c->hash, sha256);
    hash_hex(sha256, hex);
    if (strcmp(hex, c->repr_digest) != 0)
        return err_set_field(e, ERR_media_hash_mismatch, "Repr-Digest", "the SHA-256 of the body is %s", hex);
    return 0;
}

int create_check_body(struct creation *c, struct err *e)
{
    return (c->multipart && multipart_end(c->multipart, e)) || check_digest(c, e) ? -1 : 0;
}

int create_check_parts(const struct creation *c, struct err *e)
{
    if (!c->video.path[0])
        return err_set_field(e, ERR_part_missing, "video", "the part video is missing");
    if (c->reference_count == 0)
        return err_set_field(e, ERR_part_missing, "reference", "the part reference is missing");
    return 0;
}

/* No job will come of it: the key is given back before the client is told, so that it may repeat at once. */
void creation_release(void *user, struct worker *w)
{
    struct creation *c = user;
    struct err e;

    if (!c->reserved || c->kept)
        return;
    c->reserved = false;
    /* When Redis is away the reservation ends by itself. */
    if (queue_idem_release(w->queue, c->who.tenant, c->idempotency_key, c->holder, &e))
        log_err(LOG_WARN, "api.idempotency_not_released", NULL, &e);
}

static void close_creation(void *user, bool gone, struct worker *w)
{
    struct creation *c = user;

    (void)gone;
    spool_close(&c->spool);
    spool_remove(&c->video);
    for (int i = 0; i < MANIFEST_REFERENCES_MAX; i++)
        spool_remove(&c->references[i]);
    spool_remove(&c->palette);
    spool_remove(&c->timesheet);
    if (w)
        creation_release(c, w);
    for (int i = 0; i < c->field_count; i++)
        free(c->fields[i].value);
    json_decref(c->params);
    buf_free(&c->text);
    multipart_free(c->multipart);
    hash_free(c->hash);
    free(c);
}

int create_take(struct req *r, struct taker *out, struct err *e)
{
    struct creation *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->app = r->app;
    c->who = r->who;
    c->videos = r->as_video;
    /* Without the multipart's own lines, which a job does not store. */
    c->small = r->content_length >= 0 && r->content_length <= OVERHEAD_MAX_BYTES;
    c->expected_bytes = r->content_length > OVERHEAD_MAX_BYTES ? r->content_length - OVERHEAD_MAX_BYTES : 0;
    spool_init(&c->spool);
    span_name(r);
    memcpy(c->trace_parent, r->trace_parent, sizeof c->trace_parent);
    if (r->trace_state)
        text_copy(c->trace_state, sizeof c->trace_state, r->trace_state);
    id_random_hex(c->holder, 16);
    buf_init(&c->text, TEXT_MAX_BYTES);
    if (take_headers(c, r, e) || check_service(r->app, r, e)) {
        close_creation(c, false, NULL);
        return -1;
    }
    *out = (struct taker){c, begin, feed, creation_release, creation_finish, close_creation};
    return 0;
}
