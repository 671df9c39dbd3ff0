/* One job at a time: its manifest, its end, its deletion. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENT_MAX = 64 << 20, SETTLE_BATCH = 64 };

/* ---- documents ---- */

int ledger__read(const struct ledger *l, const char *key, json_t **out, struct err *e)
{
    struct buf b;
    buf_init(&b, DOCUMENT_MAX);
    int result = store_get_bytes(l->store, key, &b, e);
    json_t *object = result == 0 ? json_parse(b.data, b.size, ERR_internal, e) : NULL;
    buf_free(&b);
    if (!object)
        return -1;
    *out = object;
    return 0;
}

int ledger__write(const struct ledger *l, const char *key, json_t *take, struct err *e)
{
    char *text = json_text(take, false);
    int result = store_put_bytes(l->store, key, text, strlen(text), e);
    free(text);
    json_decref(take);
    return result;
}

int ledger_manifest_text(const struct manifest *m, char out_key[MANIFEST_KEY_MAX], char **out_text, struct err *e)
{
    char prefix[MANIFEST_KEY_MAX], key[MANIFEST_KEY_MAX];
    manifest_prefix(m, prefix);
    if (manifest_sibling(prefix, LEDGER_MANIFEST, key) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", prefix);
    json_t *object = manifest_json(m);
    *out_text = json_text(object, false);
    json_decref(object);
    memcpy(out_key, key, sizeof key);
    return 0;
}

int ledger_write_manifest(const struct ledger *l, const struct manifest *m, char out_key[MANIFEST_KEY_MAX],
                          struct err *e)
{
    char *text;
    if (ledger_manifest_text(m, out_key, &text, e) != 0)
        return -1;
    int result = store_put_bytes(l->store, out_key, text, strlen(text), e);
    free(text);
    return result;
}

int ledger_read_manifest(const struct ledger *l, const char *key, struct manifest *out, struct err *e)
{
    json_t *object;
    if (ledger__read(l, key, &object, e) != 0)
        return -1;
    int result = manifest_parse(out, object, e);
    json_decref(object);
    return result;
}

/* ---- ends ---- */

/* The job and its segments as the queue has them. */
static int load_record(const struct ledger *l, const char *job_id, struct ledger_record *out, struct err *e)
{
    struct ledger_record r = {0};
    if (queue_get(l->queue, job_id, &r.job, e) != 0)
        return -1;
    if (queue_segments(l->queue, job_id, NULL, &r.segments, &r.segment_count, e) != 0) {
        job_free(&r.job);
        return -1;
    }
    *out = r;
    return 0;
}

int ledger_success(const struct ledger *l, const struct queue_lease *lease, const struct queue_result *r, struct err *e)
{
    /* More may happen to the job before it is completed; what is restored from here must not be older than that. */
    enum { VERSIONS_AHEAD = 1000 };
    struct ledger_record record;
    char name[64], key[MANIFEST_KEY_MAX];
    snprintf(name, sizeof name, "out/e%lld/" LEDGER_END, (long long)lease->epoch);
    if (manifest_sibling(lease->manifest_key, name, key) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", lease->manifest_key);
    if (load_record(l, lease->job_id, &record, e) != 0)
        return -1;
    struct job *j = &record.job;
    j->state = JOB_SUCCEEDED;
    j->version += VERSIONS_AHEAD;
    j->epoch = lease->epoch;
    j->finished_ms = clock_wall_ms();
    j->expires_ms = j->finished_ms + queue_configured(l->queue)->retention_ms;
    j->progress.fraction_ppm = 1000000;
    j->error_code[0] = j->error_detail[0] = '\0';
    text_copy(j->result_key, sizeof j->result_key, r->key);
    text_copy(j->result_sha256, sizeof j->result_sha256, r->sha256);
    text_copy(j->result_type, sizeof j->result_type, r->content_type);
    j->result_bytes = r->bytes;
    j->result_width = r->width;
    j->result_height = r->height;
    j->result_frames = r->frames;
    int result = ledger__write(l, key, ledger__record_json(&record), e);
    ledger__record_free(&record);
    return result == 0 ? fault_err("ledger.success.written", ERR_dependency_storage, e) : -1;
}

/* DELETE may come between the reading of a job and the writing of its record. It writes the tombstone first and lists
 * the folder last, so one of the two always sees what the other wrote: 1 when the folder was cleared here. */
static int clear_if_deleted(const struct ledger *l, const struct ledger_folder *f, const char *job_id, int *removed,
                            struct err *e)
{
    struct job now;
    struct err why = {0};
    bool deleted = false;
    if (!ledger__folder_has(f, LEDGER_TOMBSTONE))
        return 0;
    if (queue_get(l->queue, job_id, &now, &why) == 0) {
        deleted = now.state == JOB_PURGED;
        job_free(&now);
    } else if (why.code == ERR_job_not_found)
        deleted = true;
    else
        return err_set(e, why.code, "%s", why.detail);
    if (!deleted)
        return 0;
    return ledger__clear(l, f, removed, e) == 0 ? 1 : -1;
}

/* A retry that came in between makes the record wrong again. */
static int take_back_if_moved(const struct ledger *l, const struct job *j, const char *end_key, struct err *e)
{
    struct job now;
    struct err why = {0};
    if (queue_get(l->queue, j->id, &now, &why) != 0)
        return why.code == ERR_job_not_found ? 0 : err_set(e, why.code, "%s", why.detail);
    bool moved = !job_state_terminal(now.state);
    job_free(&now);
    return moved ? store_delete(l->store, end_key, e) : queue_settled(l->queue, j->id, j->version, e);
}

int ledger_settle(const struct ledger *l, const char *job_id, struct err *e)
{
    struct ledger_record record;
    struct ledger_folder folder = {0};
    char end_key[MANIFEST_KEY_MAX];
    int result = -1, cleared = 0, removed = 0;
    if (load_record(l, job_id, &record, e) != 0)
        return -1;
    fault("ledger.settle.loaded");
    const struct job *j = &record.job;
    if (!job_state_terminal(j->state) || j->state == JOB_PURGED) {
        ledger__record_free(&record);
        return 0;
    }
    if (manifest_sibling(j->manifest_key, LEDGER_END, end_key) != 0)
        err_set(e, ERR_internal, "key too long: %.200s", j->manifest_key);
    else if (ledger__write(l, end_key, ledger__record_json(&record), e) == 0 &&
             fault_err("ledger.settle.recorded", ERR_dependency_storage, e) == 0 &&
             ledger__folder_read(l, j->manifest_key, &folder, e) == 0 &&
             (cleared = clear_if_deleted(l, &folder, j->id, &removed, e)) == 0 &&
             ledger__tidy(l, &folder, j, INT64_MAX, &removed, e) == 0 &&
             fault_err("ledger.settle.tidied", ERR_dependency_storage, e) == 0)
        result = take_back_if_moved(l, j, end_key, e);
    if (cleared == 1)
        result = queue_settled(l->queue, j->id, j->version, e);
    ledger__folder_free(&folder);
    ledger__record_free(&record);
    return result;
}

int ledger_settle_all(const struct ledger *l, int max, int *out_settled, struct err *e)
{
    queue_id ids[SETTLE_BATCH];
    int settled = 0;
    int count = queue_unsettled(l->queue, ids, max < SETTLE_BATCH ? max : SETTLE_BATCH, e);
    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        struct err why = {0};
        if (ledger_settle(l, ids[i], &why) == 0)
            settled++;
        else if (why.code == ERR_job_not_found)
            queue_settled(l->queue, ids[i], 0, &why);
        else
            log_err(LOG_WARN, "ledger.not_settled", ids[i], &why);
    }
    *out_settled = settled;
    return 0;
}

int ledger_retry(const struct ledger *l, const char *job_id, struct err *e)
{
    struct job j;
    char end_key[MANIFEST_KEY_MAX];
    int result = 0;
    if (queue_get(l->queue, job_id, &j, e) != 0)
        return -1;
    /* The record goes first: a crash in between leaves a failed job that would run again after Redis was lost, which
     * is what was asked for. */
    if (j.state == JOB_FAILED && manifest_sibling(j.manifest_key, LEDGER_END, end_key) == 0)
        result = store_delete(l->store, end_key, e) == 0 ? ledger__untell_all(l, j.manifest_key, e) : -1;
    fault("ledger.retry.taken_back");
    job_free(&j);
    return result == 0 ? queue_retry(l->queue, job_id, e) : -1;
}

/* ---- deletion ---- */

static json_t *tombstone_json(const struct job *j)
{
    json_t *object = json_object();
    json_put_str(object, "format", "longanimation-tombstone");
    json_put_int(object, "format_version", 1);
    json_put_str(object, "id", j->id);
    json_put_str(object, "tenant", j->tenant);
    json_put_int(object, "deleted_ms", clock_wall_ms());
    return object;
}

/* The tombstone is written before the queue forgets the job, so that no moment is without a memory of it. */
static int forget(const struct ledger *l, const struct job *j, struct err *e)
{
    char tombstone[MANIFEST_KEY_MAX];
    struct err why = {0};
    if (manifest_sibling(j->manifest_key, LEDGER_TOMBSTONE, tombstone) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", j->manifest_key);
    if (ledger__write(l, tombstone, tombstone_json(j), e) != 0 ||
        fault_err("ledger.delete.buried", ERR_dependency_storage, e) != 0)
        return -1;
    if (queue_delete(l->queue, j->id, l->tombstone_ms, &why) == 0)
        return 0;
    if (why.code == ERR_job_not_terminal && store_delete(l->store, tombstone, e) != 0)
        return -1;
    return err_set(e, why.code, "%s", why.detail);
}

int ledger_delete(const struct ledger *l, const char *job_id, struct err *e)
{
    struct ledger_folder folder = {0};
    struct job j;
    struct err why = {0};
    int result = 0, removed = 0;
    if (queue_get(l->queue, job_id, &j, e) != 0)
        return -1;
    if (j.state == JOB_PURGED)
        result = err_set(e, ERR_job_purged, "job %s was deleted", j.id);
    else if (!job_state_terminal(j.state))
        result = err_set(e, ERR_job_not_terminal, "the job has not ended; cancel it first");
    else
        result = forget(l, &j, e);
    fault("ledger.delete.forgotten");
    /* From here on the job is deleted; objects that cannot be removed now are removed by the sweep. */
    if (result == 0 &&
        (ledger__folder_read(l, j.manifest_key, &folder, &why) != 0 || ledger__clear(l, &folder, &removed, &why) != 0))
        log_err(LOG_WARN, "ledger.not_cleared", j.id, &why);
    ledger__folder_free(&folder);
    job_free(&j);
    return result;
}
