/* create_job.c - from a complete body to a durable job: parameters, probe, store, manifest, queue, answer.
 *
 * Order is everything here. The inputs and the manifest are durable in the store before the queue hears of the job, so
 * a lost Redis loses no job that was accepted; and when the queue cannot be told, the manifest goes away again before
 * the client hears of the failure, so no job runs that was refused. */
#include "create.h"

#include "create_int.h"
#include "jobs.h"
#include "models.h"
#include "stats.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "job/place.h"
#include "paint/palette.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ENQUEUE_TRIES_MS = 4000, /* how long a queue that is away is waited for */
    ENQUEUE_PAUSE_MS = 100,
};

/* ---- parameters ---- */

static int apply_params(struct creation *c, struct manifest *m, struct err *e)
{
    if (c->params && params_apply_json(&m->params, c->params, e))
        return -1;
    for (int i = 0; i < c->field_count; i++) {
        const struct field *f = &c->fields[i];
        if (c->params && params_given(c->params, f->name))
            return err_set_field(e, ERR_params_invalid, f->name, "given as a field and in params");
        if (params_apply_text(&m->params, f->name, f->value, e))
            return -1;
    }
    return params_check(&m->params, e);
}

static int check_place(const struct creation *c, const struct job_params *p, struct err *e)
{
    char url[PLACE_URL_MAX];

    return p->output_to[0] ? place_find(c->app->config->output_to, c->who.tenant, p->output_to, url, e) : 0;
}

/* ---- files ---- */

static void take_info(struct manifest_file *out, const struct media_info *info)
{
    text_copy(out->container, sizeof out->container, info->container);
    out->width = info->width;
    out->height = info->height;
    out->frames = info->frames;
    out->fps_num = info->fps_num;
    out->fps_den = info->fps_den;
    out->variable_rate = info->variable_rate;
    out->has_alpha = info->has_alpha;
    out->has_audio = info->has_audio;
}

/* What the prober is asked about: the video, its references, and a timesheet, which it holds against the video. */
static bool open_probed(const struct creation *c, int i, struct probe_file *out)
{
    const struct spooled *file = i == 0 ? &c->video : i <= c->reference_count ? &c->references[i - 1] : &c->timesheet;

    *out = (struct probe_file){.fd = open(file->path, O_RDONLY | O_CLOEXEC),
                               .as_still = i > 0 && i <= c->reference_count,
                               .timesheet = i > c->reference_count};
    return out->fd >= 0;
}

/* All files of the upload in one go: info[0] is the video's, the references' follow. */
static int probe(struct creation *c, struct media_info info[PROBE_FILES_MAX], struct err *e)
{
    struct probe_file files[PROBE_FILES_MAX];
    int count = 0, refused = -1, rc = -1, wanted = 1 + c->reference_count + (c->timesheet.path[0] ? 1 : 0);

    for (; count < wanted; count++)
        if (!open_probed(c, count, &files[count])) {
            err_set(e, ERR_internal, "the upload cannot be read back");
            goto out;
        }
    rc = probe_client_ask(c->app->probe, files, count, info, &refused, e);
    if (rc) {
        const char *code = err_info(e->code)->name;
        metrics_add(c->app->metrics, STATS_REJECTED, 1, &code);
        if (!e->field[0] && refused > c->reference_count)
            text_copy(e->field, sizeof e->field, "timesheet");
        else if (!e->field[0] && refused > 0)
            snprintf(e->field, sizeof e->field, "reference/%d", refused - 1);
        else if (!e->field[0] && refused == 0)
            text_copy(e->field, sizeof e->field, "video");
    }
out:
    for (int i = 0; i < count; i++)
        close(files[i].fd);
    return rc;
}

static void describe(struct manifest_file *out, const struct spooled *file)
{
    text_copy(out->sha256, sizeof out->sha256, file->sha256);
    text_copy(out->name, sizeof out->name, file->name);
    out->bytes = file->bytes;
}

/* A palette is a small text that is read here and now; its parser takes any bytes. */
static int check_palette(const struct creation *c, struct err *e)
{
    struct palette *palette = malloc(sizeof *palette);
    struct buf b;

    if (!palette)
        abort();
    buf_init(&b, PALETTE_FILE_MAX);
    int rc = fs_read(c->palette.path, &b, e) || palette_parse(palette, b.data ? b.data : "", b.size, e) ? -1 : 0;
    buf_free(&b);
    free(palette);
    return rc;
}

static int probe_all(struct creation *c, struct manifest *m, struct err *e)
{
    struct media_info info[PROBE_FILES_MAX];

    if (c->timesheet.path[0] && m->params.profile == PROFILE_REFERENCE)
        return err_set_field(e, ERR_params_invalid, "timesheet", "the profile reference knows no timesheets");
    if (probe(c, info, e))
        return -1;
    take_info(&m->video, &info[0]);
    for (int i = 0; i < c->reference_count; i++)
        take_info(&m->references[i], &info[1 + i]);
    /* Frames in a zip have no rate of their own. */
    if (m->video.fps_num == 0 && strcmp(m->video.container, "zip") == 0) {
        m->video.fps_num = m->params.fps_num;
        m->video.fps_den = m->params.fps_den;
    }
    return c->palette.path[0] ? check_palette(c, e) : 0;
}

/* A container name as part of a key: only what keys may hold. */
static void extension(const char *container, char out[16])
{
    size_t n = 0;

    for (; container[n] && n < 15 && strchr("abcdefghijklmnopqrstuvwxyz0123456789", container[n]); n++)
        out[n] = container[n];
    out[n] = 0;
    if (n == 0)
        memcpy(out, "bin", 4);
}

struct known_inputs {
    char keys[1 + MANIFEST_REFERENCES_MAX][QUEUE_KEY_SIZE]; /* of the video, then of the references; "" = none */
};

/* Where this caller's earlier jobs have the same files. Not to know is no harm. */
static void find_known(struct creation *c, const struct manifest *m, struct worker *w, struct known_inputs *out)
{
    const char *sha256[1 + MANIFEST_REFERENCES_MAX] = {m->video.sha256};
    struct err e;

    memset(out, 0, sizeof *out);
    for (int i = 0; i < m->reference_count; i++)
        sha256[i + 1] = m->references[i].sha256;
    if (queue_inputs(w->queue, c->who.tenant, sha256, 1 + m->reference_count, out->keys, &e))
        log_err(LOG_DEBUG, "api.inputs_not_known", m->id, &e);
}

struct items {
    struct store_item list[STORE_ITEMS_MAX];
    int count;
};

/* The same bytes are not stored twice for one caller: what an earlier job has is given a second name. */
static void add_input(struct items *items, const struct spooled *file, struct manifest_file *f, const char *known_key,
                      const char *prefix, const char *name)
{
    snprintf(f->key, sizeof f->key, "%.200sin/%s", prefix, name);
    items->list[items->count++] = (struct store_item){
        .key = f->key, .same_as = known_key, .path = file->path, .sha256 = f->sha256, .consume = true};
}

static void add_inputs(struct creation *c, struct manifest *m, const struct known_inputs *known, struct items *items)
{
    char prefix[MANIFEST_KEY_MAX], end[16], name[32];

    manifest_prefix(m, prefix);
    extension(m->video.container, end);
    snprintf(name, sizeof name, "video.%s", end);
    add_input(items, &c->video, &m->video, known->keys[0], prefix, name);
    for (int i = 0; i < c->reference_count; i++) {
        extension(m->references[i].container, end);
        snprintf(name, sizeof name, "ref-%d.%s", i, end);
        add_input(items, &c->references[i], &m->references[i], known->keys[i + 1], prefix, name);
    }
    if (c->palette.path[0])
        add_input(items, &c->palette, &m->palette, NULL, prefix, "palette.bin");
    if (c->timesheet.path[0])
        add_input(items, &c->timesheet, &m->timesheet, NULL, prefix, "timesheet.xdts");
}

/* Inputs and manifest, in this order: a manifest promises that its inputs are there. */
static int store_job(struct creation *c, struct manifest *m, struct worker *w, char manifest_key[MANIFEST_KEY_MAX],
                     struct err *e)
{
    struct known_inputs known;
    struct items items = {.count = 0};
    char *text = NULL;
    int rc;

    find_known(c, m, w, &known);
    add_inputs(c, m, &known, &items);
    if (ledger_manifest_text(m, manifest_key, &text, e))
        return -1;
    items.list[items.count++] =
        (struct store_item){.key = manifest_key, .sha256 = "", .data = text, .size = strlen(text)};
    rc = store_put_all(c->app->store, items.list, items.count, e);
    free(text);
    return rc ? -1 : fault_err("api.create.manifest_stored", ERR_dependency_storage, e);
}

/* The manifest goes first: without it nothing makes a job of what is left. */
static void take_back(struct creation *c, const struct manifest *m, const char *manifest_key)
{
    struct err e;

    if (manifest_key[0] && store_delete(c->app->store, manifest_key, &e))
        log_err(LOG_ERROR, "api.manifest_not_removed", m->id, &e);
    if (m->video.key[0] && store_delete(c->app->store, m->video.key, &e))
        log_err(LOG_WARN, "api.input_not_removed", m->id, &e);
    for (int i = 0; i < m->reference_count; i++)
        if (m->references[i].key[0] && store_delete(c->app->store, m->references[i].key, &e))
            log_err(LOG_WARN, "api.input_not_removed", m->id, &e);
    if (m->palette.key[0] && store_delete(c->app->store, m->palette.key, &e))
        log_err(LOG_WARN, "api.input_not_removed", m->id, &e);
    if (m->timesheet.key[0] && store_delete(c->app->store, m->timesheet.key, &e))
        log_err(LOG_WARN, "api.input_not_removed", m->id, &e);
}

/* ---- the queue ---- */

static int enqueue(struct creation *c, struct manifest *m, const char *key, struct worker *w, struct err *e)
{
    const struct queue_quota quota = {c->who.limits.queued, c->who.limits.stored_bytes};
    int64_t until = clock_mono_ms() + ENQUEUE_TRIES_MS;
    enum queue_enqueued done;
    char other[ID_SIZE];

    while (queue_enqueue(w->queue, m, key, &quota, LEDGER_IDEM_KEEP_MS, &done, other, e)) {
        if (e->code != ERR_dependency_redis || clock_mono_ms() >= until)
            return -1;
        clock_sleep_ms(ENQUEUE_PAUSE_MS);
    }
    c->kept = true; /* the key now names a job, ours or the other one */
    fault("api.create.enqueued");
    return done == QUEUE_KEY_TAKEN ? 1 : 0;
}

/* 0 = the job is durable and queued; 1 = a request with the same key was faster; -1 = no job. */
static int submit(struct creation *c, struct manifest *m, struct worker *w, struct err *e)
{
    char key[MANIFEST_KEY_MAX] = "";
    int rc = -1;

    if (store_job(c, m, w, key, e) == 0)
        rc = enqueue(c, m, key, w, e);
    if (rc == 0)
        return 0;
    take_back(c, m, key);
    /* An enqueue whose answer was lost may have worked: the janitor takes the job out again. */
    if (rc < 0 && e->code == ERR_dependency_redis)
        house_disown(c->app->house, m->id);
    return rc;
}

/* ---- the job ---- */

/* The released program has no answer to less than one segment. */
static int check_length(const struct manifest *m, int64_t segment_frames, struct err *e)
{
    if (m->params.profile == PROFILE_REFERENCE && m->video.frames < segment_frames)
        return err_set_field(e, ERR_params_invalid, "/profile", "reference needs at least %lld frames, not %lld",
                             (long long)segment_frames, (long long)m->video.frames);
    return 0;
}

static int fill_manifest(struct creation *c, struct manifest *m, struct worker *w, struct err *e)
{
    json_t *description = NULL;
    int64_t now = clock_wall_ms(), segment_frames = 0;

    if (apply_params(c, m, e) || check_place(c, &m->params, e))
        return -1;
    text_copy(m->tenant, sizeof m->tenant, c->who.tenant);
    text_copy(m->idempotency_key, sizeof m->idempotency_key, c->idempotency_key);
    text_copy(m->trace_parent, sizeof m->trace_parent, c->trace_parent);
    text_copy(m->trace_state, sizeof m->trace_state, c->trace_state);
    describe(&m->video, &c->video);
    for (int i = 0; i < c->reference_count; i++)
        describe(&m->references[i], &c->references[i]);
    m->reference_count = c->reference_count;
    if (c->palette.path[0])
        describe(&m->palette, &c->palette);
    if (c->timesheet.path[0])
        describe(&m->timesheet, &c->timesheet);
    m->priority = m->params.priority;
    m->max_attempts = (int32_t)c->app->config->max_attempts;
    m->created_ms = now;
    m->deadline_ms = c->deadline_s ? now + c->deadline_s * 1000 : 0;
    m->start_deadline_ms = c->start_deadline_s ? now + c->start_deadline_s * 1000 : 0;
    manifest_fingerprint(m);
    if (c->replay_id[0])
        return 0;
    if (models_find(c->app, w, m->params.model, m->pool, &description, e))
        return -1;
    text_copy(m->params.model, sizeof m->params.model, m->pool);
    if (description) {
        params_fill(&m->params, description);
        json_opt_int(description, "segment_frames", &segment_frames, NULL);
    }
    json_decref(description);
    if (!m->params.has_seed)
        m->params.seed = id_random_seed();
    m->params.has_seed = true;
    id_new_job(m->id);
    return probe_all(c, m, e) ? -1 : check_length(m, segment_frames, e);
}

/* A repeat: the stored job, if it is the same request. */
static int check_replay(struct creation *c, const struct manifest *m, struct err *e)
{
    if (strcmp(c->replay_fingerprint, m->fingerprint) != 0)
        return err_set_field(e, ERR_idempotency_key_reused, "Idempotency-Key",
                             "this key was used with other parameters or files");
    return 0;
}

static int create(struct creation *c, struct manifest *m, struct worker *w, struct err *e)
{
    int rc;

    if (create_check_body(c, e) || (c->json && create_take_json(c, w, e)) || create_take_named(c, w, e) ||
        create_check_parts(c, e) || fault_err("api.create.spooled", ERR_overloaded, e) || fill_manifest(c, m, w, e) ||
        fault_err("api.create.probed", ERR_overloaded, e))
        return -1;
    if (c->replay_id[0])
        return check_replay(c, m, e);
    rc = submit(c, m, w, e);
    if (rc != 1)
        return rc;
    /* The reservation had ended before we did, and somebody else made a job under the key. */
    if (create_reserve(c, w, e))
        return -1;
    return c->replay_id[0] ? check_replay(c, m, e)
                           : err_set(e, ERR_idempotency_in_progress, "another request with this key is running");
}

void creation_finish(void *user, struct req *r, struct worker *w)
{
    struct creation *c = user;
    struct manifest m;
    struct err e = {0};

    manifest_init(&m);
    if (create(c, &m, w, &e)) {
        creation_release(c, w);
        req_done_problem(r, &e);
        goto out;
    }
    if (!c->replay_id[0]) {
        const char *pool = m.pool;
        metrics_add(c->app->metrics, STATS_ACCEPTED, 1, &pool);
        log_event(LOG_INFO, "job.accepted", "job", "s", m.id, "pool", "s", m.pool, "bytes", "i", m.video.bytes, NULL);
    }
    jobs_created(r, w, c->replay_id, &m, c->wait_s);
out:
    manifest_free(&m);
}
