#include "uploads.h"

#include "app.h"
#include "fields.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_TYPE "application/offset+octet-stream"

enum { LOCK_MS = 30000, INFO_MAX_BYTES = 4096, COPY_BYTES = 1 << 20, CHECKSUM_MISMATCH = 460 };

/* An upload as the store has it. */
struct upload_state {
    char prefix[160]; /* of its keys, with the final slash */
    int64_t length, created_ms, expires_ms;
    int64_t offset; /* bytes that count: chunks without a gap from the start */
};

/* ---- reading ---- */

static int count_chunk(void *user, const char *key, const struct store_info *info)
{
    struct upload_state *u = user;
    const char *name = strrchr(key, '-');
    int64_t at;

    if (name && fields_number(name + 1, &at) == 0 && at == u->offset)
        u->offset += info->bytes;
    return 0;
}

static int not_found(struct err *e)
{
    return err_set(e, ERR_upload_not_found, "there is no upload with this id");
}

static int read_info(struct app *app, const char *key, struct upload_state *u, struct err *e)
{
    struct buf text;
    json_t *object = NULL;
    int rc = -1;

    buf_init(&text, INFO_MAX_BYTES);
    if (store_get_bytes(app->store, key, &text, e) == 0 &&
        (object = json_parse(text.data ? text.data : "", text.size, ERR_internal, e)) != NULL &&
        json_need_int(object, "length", &u->length, e) == 0 &&
        json_need_int(object, "created_ms", &u->created_ms, e) == 0)
        rc = 0;
    else if (e->code == ERR_job_not_found)
        not_found(e);
    json_decref(object);
    buf_free(&text);
    return rc;
}

static int read_state(struct app *app, const char *tenant, const char *id, struct upload_state *u, struct err *e)
{
    char key[STORE_KEY_MAX];

    if (!id_is_upload(id))
        return not_found(e);
    snprintf(u->prefix, sizeof u->prefix, "uploads/%.64s/%.40s/", tenant, id);
    snprintf(key, sizeof key, "%sinfo.json", u->prefix);
    u->offset = 0;
    if (read_info(app, key, u, e))
        return -1;
    u->expires_ms = u->created_ms + app->config->upload_age_ms;
    if (clock_wall_ms() > u->expires_ms)
        return err_set(e, ERR_upload_expired, "the upload has expired");
    snprintf(key, sizeof key, "%schunk-", u->prefix);
    return store_list(app->store, key, "", count_chunk, u, e);
}

/* ---- answering ---- */

static void describe_state(struct answer *a, const struct upload_state *u)
{
    char date[CLOCK_HTTP_SIZE];

    clock_http_date(u->expires_ms, date);
    answer_header(a, "Tus-Resumable", TUS_VERSION);
    answer_header(a, "Upload-Offset", "%lld", (long long)u->offset);
    answer_header(a, "Upload-Expires", "%s", date);
    answer_header(a, "Cache-Control", "no-store");
}

void uploads_describe(const struct app *app, struct answer *a)
{
    answer_header(a, "Tus-Resumable", TUS_VERSION);
    answer_header(a, "Tus-Version", TUS_VERSION);
    answer_header(a, "Tus-Extension", "creation,creation-with-upload,expiration,checksum,termination");
    answer_header(a, "Tus-Checksum-Algorithm", "sha256");
    answer_header(a, "Tus-Max-Size", "%lld", (long long)app->config->max_upload_bytes);
}

static void fail(struct req *r, const struct err *e)
{
    /* The protocol has a number of its own for a chunk that is not what its checksum says. */
    req_problem_as(r, e, e->code == ERR_media_hash_mismatch ? CHECKSUM_MISMATCH : 0);
    req_done(r);
}

void uploads_get(struct req *r, struct worker *w)
{
    struct upload_state u;
    struct err e;
    json_t *object;

    (void)w;
    if (read_state(r->app, r->who.tenant, r->params[0], &u, &e)) {
        fail(r, &e);
        return;
    }
    object = json_object();
    json_put_str(object, "id", r->params[0]);
    json_put_str(object, "object", "upload");
    json_put_int(object, "offset", u.offset);
    json_put_int(object, "length", u.length);
    json_put_bool(object, "complete", u.offset == u.length);
    json_put_time(object, "expires_at", u.expires_ms);
    req_answer(r, answer_json(200, object));
    describe_state(r->answer, &u);
    answer_header(r->answer, "Upload-Length", "%lld", (long long)u.length);
    req_done(r);
}

/* ---- deleting ---- */

static int delete_chunk(void *user, const char *key, const struct store_info *info)
{
    struct err e;

    (void)info;
    if (store_delete(user, key, &e))
        log_err(LOG_WARN, "api.upload_not_removed", NULL, &e); /* the sweep comes again */
    return 0;
}

void uploads_delete(struct req *r, struct worker *w)
{
    struct upload_state u;
    char key[STORE_KEY_MAX];
    struct err e;
    struct answer *a;

    /* The record goes first: what is left without it is nobody's. */
    if (read_state(r->app, r->who.tenant, r->params[0], &u, &e) ||
        (snprintf(key, sizeof key, "%sinfo.json", u.prefix), store_delete(r->app->store, key, &e)) ||
        store_list(r->app->store, u.prefix, "", delete_chunk, r->app->store, &e) ||
        queue_upload_forget(w->queue, r->who.tenant, r->params[0], &e)) {
        fail(r, &e);
        return;
    }
    a = answer_new(204);
    answer_header(a, "Tus-Resumable", TUS_VERSION);
    req_done_answer(r, a);
}

/* ---- a chunk ---- */

struct chunk {
    struct app *app;
    char tenant[KEY_ID_MAX + 1], id[ID_SIZE];
    int64_t max_stored_bytes; /* 0 = no bound */
    bool create;
    bool body;      /* of a creation: a first chunk comes with it */
    int64_t offset; /* that the client named */
    struct upload_state upload;
    char token[33];
    bool locked;
    int64_t locked_ms;
    struct spool spool;
    struct spooled file;
};

static int lock(struct chunk *c, struct worker *w, struct err *e)
{
    char name[64];
    bool got;

    snprintf(name, sizeof name, "upload:%s", c->id);
    if (queue_lock(w->queue, name, c->token, LOCK_MS, &got, e))
        return -1;
    if (!got)
        return err_set(e, ERR_upload_offset_conflict, "another request is appending to this upload");
    c->locked = true;
    c->locked_ms = clock_mono_ms();
    return 0;
}

static void unlock(struct chunk *c, struct worker *w)
{
    char name[64];
    struct err e;

    if (!c->locked)
        return;
    c->locked = false;
    snprintf(name, sizeof name, "upload:%s", c->id);
    if (queue_unlock(w->queue, name, c->token, &e))
        log_err(LOG_WARN, "api.upload_not_unlocked", NULL, &e);
}

static int make_upload(struct chunk *c, struct worker *w, struct err *e)
{
    json_t *object = json_object();
    char key[STORE_KEY_MAX], *text;
    int rc;

    id_new_upload(c->id);
    snprintf(c->upload.prefix, sizeof c->upload.prefix, "uploads/%.64s/%.40s/", c->tenant, c->id);
    snprintf(key, sizeof key, "%sinfo.json", c->upload.prefix);
    c->upload.created_ms = clock_wall_ms();
    c->upload.expires_ms = c->upload.created_ms + c->app->config->upload_age_ms;
    if (queue_upload_count(w->queue, c->tenant, c->id, c->upload.length, c->upload.expires_ms, c->max_stored_bytes,
                           e)) {
        json_decref(object);
        return -1;
    }
    json_put_int(object, "length", c->upload.length);
    json_put_int(object, "created_ms", c->upload.created_ms);
    text = json_text(object, false);
    rc = store_put_bytes(c->app->store, key, text, strlen(text), e);
    free(text);
    json_decref(object);
    return rc;
}

static int begin(void *user, struct worker *w, struct err *e)
{
    struct chunk *c = user;

    if (c->create && make_upload(c, w, e))
        return -1;
    if (c->create && !c->body)
        return 0;
    if (lock(c, w, e) || (!c->create && read_state(c->app, c->tenant, c->id, &c->upload, e)))
        return -1;
    if (c->offset != c->upload.offset)
        return err_set_field(e, ERR_upload_offset_conflict, "Upload-Offset", "the upload has %lld bytes",
                             (long long)c->upload.offset);
    return spool_open(&c->spool, c->app, &c->file, e);
}

static int feed(void *user, const char *data, size_t size, struct worker *w, struct err *e)
{
    struct chunk *c = user;

    if (c->upload.offset + c->file.bytes + (int64_t)size > c->upload.length)
        return err_set(e, ERR_payload_too_large, "the upload has only %lld bytes", (long long)c->upload.length);
    if (clock_mono_ms() - c->locked_ms > LOCK_MS / 3 && lock(c, w, e))
        return -1;
    return spool_write(&c->spool, data, size, e);
}

static int keep_chunk(struct chunk *c, struct err *e)
{
    char key[STORE_KEY_MAX];

    spool_close(&c->spool);
    if (c->file.wanted[0] && strcmp(c->file.wanted, c->file.sha256) != 0)
        return err_set_field(e, ERR_media_hash_mismatch, "Upload-Checksum", "the SHA-256 of the chunk is another");
    if (c->file.bytes == 0)
        return 0;
    snprintf(key, sizeof key, "%schunk-%018lld", c->upload.prefix, (long long)c->upload.offset);
    if (store_put_file(c->app->store, key, c->file.path, c->file.sha256, true, e))
        return -1;
    c->upload.offset += c->file.bytes;
    fault("api.tus.appended");
    return 0;
}

static void refuse(void *user, struct worker *w)
{
    unlock(user, w);
}

static void finish(void *user, struct req *r, struct worker *w)
{
    struct chunk *c = user;
    struct answer *a;
    struct err e;
    int rc = keep_chunk(c, &e);

    unlock(c, w);
    if (rc) {
        fail(r, &e);
        return;
    }
    a = answer_new(c->create ? 201 : 204);
    describe_state(a, &c->upload);
    if (c->create)
        answer_header(a, "Location", "/v1/uploads/%s", c->id);
    req_done_answer(r, a);
}

static void close_chunk(void *user, bool gone, struct worker *w)
{
    struct chunk *c = user;
    struct err e;

    /* What came before the connection broke is worth keeping, unless a checksum was to vouch for all of it. */
    if (gone && c->locked && c->spool.file && !c->file.wanted[0] && keep_chunk(c, &e))
        log_err(LOG_WARN, "api.chunk_lost", NULL, &e);
    if (w)
        unlock(c, w);
    spool_close(&c->spool);
    spool_remove(&c->file);
    free(c);
}

/* ---- from the header block ---- */

static int check_protocol(const struct req *r, struct err *e)
{
    const char *version = req_header(r, REQ_tus_resumable);

    if (version && strcmp(version, TUS_VERSION) != 0)
        return err_set_field(e, ERR_precondition_failed, "Tus-Resumable", "this server speaks " TUS_VERSION);
    if (atomic_load(&r->app->draining))
        return err_set(e, ERR_draining, "the service is shutting down; another one goes on with the upload");
    if (watch_check(r->app->watch, e))
        return -1;
    return house_store_check(r->app->house, e);
}

static int check_chunk(const struct req *r, struct chunk *c, struct err *e)
{
    char type[64];

    fields_media_type(req_header(r, REQ_content_type), type, sizeof type);
    if (strcmp(type, CHUNK_TYPE) != 0)
        return err_set_field(e, ERR_unsupported_media_type, "Content-Type", "chunks are " CHUNK_TYPE);
    if (req_header(r, REQ_upload_checksum) &&
        fields_tus_checksum(req_header(r, REQ_upload_checksum), c->file.wanted, e))
        return -1;
    return 0;
}

static struct chunk *chunk_new(struct req *r, struct taker *out)
{
    struct chunk *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->app = r->app;
    text_copy(c->tenant, sizeof c->tenant, r->who.tenant);
    c->max_stored_bytes = r->who.limits.stored_bytes;
    id_random_hex(c->token, 16);
    spool_init(&c->spool);
    *out = (struct taker){c, begin, feed, refuse, finish, close_chunk};
    return c;
}

int uploads_take_new(struct req *r, struct taker *out, struct err *e)
{
    struct chunk *c = chunk_new(r, out);
    const char *length = req_header(r, REQ_upload_length);

    c->create = true;
    c->body = r->content_length != 0;
    if (check_protocol(r, e) || (c->body && check_chunk(r, c, e)))
        goto out;
    if (!length || fields_number(length, &c->upload.length) || c->upload.length < 1) {
        err_set_field(e, ERR_bad_header, "Upload-Length",
                      "say how many bytes will come; a deferred length is not supported");
        goto out;
    }
    if (c->upload.length > r->app->config->max_upload_bytes) {
        err_set_field(e, ERR_payload_too_large, "Upload-Length", "uploads may have %lld bytes",
                      (long long)r->app->config->max_upload_bytes);
        goto out;
    }
    return 0;
out:
    close_chunk(c, false, NULL);
    return -1;
}

int uploads_take_patch(struct req *r, struct taker *out, struct err *e)
{
    struct chunk *c = chunk_new(r, out);
    const char *offset = req_header(r, REQ_upload_offset);

    if (text_copy(c->id, sizeof c->id, r->params[0]) || !id_is_upload(c->id)) {
        not_found(e);
        goto out;
    }
    if (check_protocol(r, e) || check_chunk(r, c, e))
        goto out;
    if (!offset || fields_number(offset, &c->offset)) {
        err_set_field(e, ERR_bad_header, "Upload-Offset", "say at which byte the chunk begins");
        goto out;
    }
    return 0;
out:
    close_chunk(c, false, NULL);
    return -1;
}

/* ---- for a job ---- */

static int copy_chunks(struct app *app, const struct upload_state *u, struct spool *spool, struct err *e)
{
    char *piece = malloc(COPY_BYTES), key[STORE_KEY_MAX];
    int64_t at = 0, got;
    int rc = -1;

    if (!piece)
        abort();
    while (at < u->length) {
        int64_t inside = 0, start = at;
        snprintf(key, sizeof key, "%schunk-%018lld", u->prefix, (long long)start);
        while ((got = store_read(app->store, key, inside, piece, COPY_BYTES, e)) > 0) {
            if (spool_write(spool, piece, (size_t)got, e))
                goto out;
            inside += got;
        }
        if (got < 0)
            goto out;
        if (inside == 0 || at + inside > u->length) {
            err_set(e, ERR_internal, "the upload's chunks do not fit together");
            goto out;
        }
        at += inside;
    }
    rc = 0;
out:
    free(piece);
    return rc;
}

int uploads_fetch(struct app *app, struct worker *w, const char *tenant, const char *id, const char *field,
                  struct spooled *out, struct err *e)
{
    struct upload_state u;
    struct spool spool;
    int rc = -1;

    (void)w;
    spool_init(&spool);
    if (read_state(app, tenant, id, &u, e))
        goto out;
    if (u.offset != u.length) {
        err_set(e, ERR_upload_offset_conflict, "the upload has %lld of %lld bytes", (long long)u.offset,
                (long long)u.length);
        goto out;
    }
    text_copy(out->name, sizeof out->name, id);
    if (spool_open(&spool, app, out, e) || copy_chunks(app, &u, &spool, e))
        goto out;
    rc = 0;
out:
    spool_close(&spool);
    if (rc && e->code == ERR_job_not_found) /* a chunk was swept under our hands */
        err_set(e, ERR_upload_expired, "the upload has expired");
    if (rc && !e->field[0])
        text_copy(e->field, sizeof e->field, field);
    return rc;
}
