/* The result, its preview and its receipt, under this epoch's own folder. Nothing here is visible before `complete`. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIPT_MAX = 16 << 20 };

enum step run_put_file(struct run *r, const char *key, const char *path, const char *sha256)
{
    int64_t pause_ms = 0;
    for (;;) {
        struct err e = {0};
        enum step s = run_check(r);
        if (s != STEP_GO_ON && s != STEP_CANCEL && s != STEP_OVERDUE)
            return s; /* a cancel is dealt with where the engine is asked to stop */
        if (store_put_file(r->w->store, key, path, sha256, false, &e) == 0) {
            r->store_away = false;
            return STEP_GO_ON;
        }
        s = run_patience(r, &e, &pause_ms);
        if (s != STEP_GO_ON)
            return s;
    }
}

static enum step put_bytes(struct run *r, const char *key, const void *data, size_t size)
{
    int64_t pause_ms = 0;
    for (;;) {
        struct err e = {0};
        enum step s = run_check(r);
        if (s != STEP_GO_ON)
            return s;
        if (store_put_bytes(r->w->store, key, data, size, &e) == 0)
            return STEP_GO_ON;
        s = run_patience(r, &e, &pause_ms);
        if (s != STEP_GO_ON)
            return s;
    }
}

void run_upload_preview(struct run *r, const char *path)
{
    struct err e = {0};
    if (run_key(r, r->preview_key, &e, "out/e%lld/preview.jpg", (long long)r->lease.epoch) != 0 ||
        store_put_file(r->w->store, r->preview_key, path, "", false, &e) != 0)
        log_err(LOG_DEBUG, "preview.skipped", r->lease.job_id, &e);
}

void run_upload_notes(struct run *r)
{
    char key[STORE_KEY_MAX];
    struct err e = {0};
    if (!r->has_manifest || r->store_away || r->w->signals > 1 || r->notes.size == 0)
        return;
    if (run_key(r, key, &e, "log/e%lld.ndjson", (long long)r->lease.epoch) != 0 ||
        store_put_bytes(r->w->store, key, r->notes.data, r->notes.size, &e) != 0)
        log_err(LOG_DEBUG, "notes.skipped", r->lease.job_id, &e);
}

/* ---- receipt ---- */

/* The epochs that made the segments, in order of n. Redis may be away: then it is only ours that we know of. */
static json_t *epochs(struct run *r)
{
    struct queue_segment *rows = NULL;
    json_t *list = json_array();
    int count = 0;
    if (queue_segments(r->w->queue, r->lease.job_id, r->plan_hash, &rows, &count, NULL) == 0)
        for (int i = 0; i < count; i++)
            json_array_append_new(list, json_integer(rows[i].epoch));
    free(rows);
    return list;
}

static json_t *timings(const struct run *r)
{
    json_t *o = json_object();
    int64_t now_ms = clock_wall_ms();
    json_put_time(o, "created_at", r->manifest.created_ms);
    json_put_time(o, "started_at", r->began_ms);
    json_put_time(o, "finished_at", now_ms);
    json_put_real(o, "run_seconds", (double)(now_ms - r->began_ms) / 1000);
    json_put_real(o, "engine_seconds", (double)r->colour_ms / 1000);
    return o;
}

static int complete_receipt(struct run *r, char **out, struct err *e)
{
    struct buf text;
    buf_init(&text, RECEIPT_MAX);
    json_t *receipt =
        fs_read(r->result.receipt_path, &text, e) == 0 ? json_parse(text.data, text.size, ERR_internal, e) : NULL;
    buf_free(&text);
    if (!receipt)
        return -1;
    json_t *job = json_object();
    json_put_str(job, "id", r->lease.job_id);
    json_put_int(job, "attempt", r->lease.attempt);
    json_put_int(job, "epoch", r->lease.epoch);
    json_put(job, "segment_epochs", epochs(r));
    json_put_str(job, "worker", r->w->id);
    json_put(receipt, "job", job);
    json_put(receipt, "timings", timings(r));
    *out = json_text(receipt, false);
    json_decref(receipt);
    return 0;
}

static int prepare(struct run *r, char receipt_key[STORE_KEY_MAX], char **receipt, struct err *e)
{
    const char *dot = strrchr(r->result.path, '.');
    long long epoch = (long long)r->lease.epoch;
    struct queue_result *q = &r->uploaded;
    *q = (struct queue_result){
        .bytes = r->result.bytes, .frames = r->result.frames, .width = r->result.width, .height = r->result.height};
    memcpy(q->sha256, r->result.sha256, sizeof q->sha256);
    memcpy(q->content_type, r->result.content_type, sizeof q->content_type);
    if (run_key(r, q->key, e, "out/e%lld/%s%s", epoch, r->result.sha256, dot ? dot : "") != 0 ||
        run_key(r, receipt_key, e, "out/e%lld/receipt.json", epoch) != 0 ||
        run_key(r, r->preview_key, e, "out/e%lld/preview.jpg", epoch) != 0)
        return -1;
    return complete_receipt(r, receipt, e);
}

/* What lies beside the result, under its own names. */
static enum step put_artifacts(struct run *r)
{
    char key[STORE_KEY_MAX], path[FS_PATH_MAX];
    for (int i = 0; i < ENGINE_ARTIFACTS; i++) {
        if (!(r->result.artifacts & 1 << i))
            continue;
        if (run_key(r, key, &r->why, "out/e%lld/%s", (long long)r->lease.epoch, engine_artifacts[i].name) != 0 ||
            fs_join(path, r->result.artifact_dir, engine_artifacts[i].name, &r->why) != 0)
            return STEP_FAIL;
        enum step s = run_put_file(r, key, path, "");
        if (s != STEP_GO_ON)
            return s;
    }
    return STEP_GO_ON;
}

enum step run_upload(struct run *r)
{
    struct job_progress p = {.stage = "upload",
                             .fraction_ppm = 1000000,
                             .frames_done = r->result.frames,
                             .eta_low_ms = 0,
                             .eta_high_ms = 1000};
    char receipt_key[STORE_KEY_MAX];
    char *receipt = NULL;
    lease_progress(r->w->lease, &p);
    if (prepare(r, receipt_key, &receipt, &r->why) != 0)
        return STEP_FAIL;
    enum step s = run_put_file(r, r->uploaded.key, r->result.path, r->result.sha256);
    fault("worker.upload.result");
    if (s == STEP_GO_ON)
        s = run_put_file(r, r->preview_key, r->result.preview_path, "");
    fault("worker.upload.preview");
    if (s == STEP_GO_ON)
        s = put_artifacts(r);
    if (s == STEP_GO_ON)
        s = put_bytes(r, receipt_key, receipt, strlen(receipt));
    fault("worker.upload.receipt");
    free(receipt);
    if (s == STEP_GO_ON)
        s = run_deliver(r);
    return s == STEP_GO_ON ? STEP_COMPLETE : s;
}
