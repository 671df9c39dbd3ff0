/* The api's way in: jobs and their idempotency keys; the ledger's way back in. */
#include "queue/queue_int.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_json(struct queue_args *a, json_t *value)
{
    char *text = json_text(value, false);
    queue__str(a, text);
    free(text);
    json_decref(value);
}

/* A tenant's turn costs as much as its job has frames. */
static int64_t cost_of(const struct manifest *m)
{
    return m->video.frames > 1 ? m->video.frames : 1;
}

static int64_t input_bytes(const struct manifest *m)
{
    int64_t sum = m->video.bytes + m->palette.bytes + m->timesheet.bytes;
    for (int i = 0; i < m->reference_count; i++)
        sum += m->references[i].bytes;
    return sum;
}

static void add_manifest(struct queue_args *a, const struct manifest *m, const char *manifest_key)
{
    queue__str(a, m->id);
    queue__str(a, m->tenant);
    queue__str(a, m->pool);
    queue__int(a, m->priority);
    queue__int(a, m->max_attempts);
    queue__int(a, m->created_ms);
    queue__int(a, m->deadline_ms);
    queue__int(a, m->start_deadline_ms);
    queue__str(a, manifest_key);
    add_json(a, params_json(&m->params));
    add_json(a, manifest_input_json(m));
    add_json(a, json_deep_copy(m->params.tags));
    queue__str(a, m->trace_parent);
    queue__int(a, cost_of(m));
}

/* Small ones are not worth looking for. */
static void add_inputs(struct queue_args *a, const struct manifest *m)
{
    enum { MIN_BYTES = 4096 };
    if (m->video.bytes >= MIN_BYTES) {
        queue__str(a, m->video.sha256);
        queue__str(a, m->video.key);
    }
    for (int i = 0; i < m->reference_count; i++) {
        if (m->references[i].bytes < MIN_BYTES)
            continue;
        queue__str(a, m->references[i].sha256);
        queue__str(a, m->references[i].key);
    }
}

static int enqueue(struct queue *q, const struct manifest *m, const char *manifest_key, const struct queue_quota *quota,
                   int64_t idem_keep_ms, bool recovered, enum queue_enqueued *out, char out_other[ID_SIZE],
                   struct err *e)
{
    struct queue_args a = {0};
    int result = 0;
    add_manifest(&a, m, manifest_key);
    queue__int(&a, quota->queued > 0 ? quota->queued : INT64_MAX);
    queue__str(&a, m->idempotency_key);
    queue__str(&a, m->fingerprint);
    queue__int(&a, idem_keep_ms);
    queue__str(&a, recovered ? "1" : "0");
    queue__int(&a, id_random_seed() % 1000);
    queue__int(&a, input_bytes(m));
    queue__int(&a, quota->stored_bytes);
    queue__str(&a, m->trace_state);
    add_inputs(&a, m);
    redisReply *r = queue__run(q, SCRIPT_enqueue, &a, e);
    if (!r)
        return -1;
    const char *word = queue__text_at(r, 0);
    if (strcmp(word, "FULL") == 0)
        result = err_set(e, ERR_quota_queued, "%lld jobs are queued already", (long long)quota->queued);
    else if (strcmp(word, "STORED") == 0)
        result = err_set(e, ERR_quota_storage, "of the %lld bytes that this key may store too few are left",
                         (long long)quota->stored_bytes);
    else if (strcmp(word, "KEY") == 0 && text_copy(out_other, ID_SIZE, queue__text_at(r, 1)) == 0)
        *out = QUEUE_KEY_TAKEN;
    else if (strcmp(word, "DUP") == 0)
        *out = q->repeated ? QUEUE_NEW : QUEUE_DUPLICATE; /* our own first try, whose reply was lost */
    else
        *out = QUEUE_NEW;
    freeReplyObject(r);
    return result;
}

int queue_enqueue(struct queue *q, const struct manifest *m, const char *manifest_key, const struct queue_quota *quota,
                  int64_t idem_keep_ms, enum queue_enqueued *out, char out_other[ID_SIZE], struct err *e)
{
    return enqueue(q, m, manifest_key, quota, idem_keep_ms, false, out, out_other, e);
}

int queue_recover(struct queue *q, const struct manifest *m, const char *manifest_key, int64_t idem_keep_ms,
                  enum queue_enqueued *out, struct err *e)
{
    static const struct queue_quota none = {0};
    char other[ID_SIZE];
    return enqueue(q, m, manifest_key, &none, idem_keep_ms, true, out, other, e);
}

int queue_inputs(struct queue *q, const char *tenant, const char *const *sha256, int count,
                 char (*out_keys)[QUEUE_KEY_SIZE], struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, "MGET");
    for (int i = 0; i < count; i++) {
        char name[192];
        snprintf(name, sizeof name, QUEUE_PREFIX "input:%.63s:%.64s", tenant, sha256[i]);
        queue__str(&a, name);
    }
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    for (int i = 0; i < count; i++)
        if (text_copy(out_keys[i], QUEUE_KEY_SIZE, (size_t)i < r->elements ? queue__text_at(r, (size_t)i) : "") != 0)
            out_keys[i][0] = '\0';
    freeReplyObject(r);
    return 0;
}

/* ---- idempotency ---- */

int queue_idem_reserve(struct queue *q, const char *tenant, const char *key, const char *holder, int64_t ttl_ms,
                       enum queue_idem *out, char out_job_id[ID_SIZE], char out_fingerprint[HASH_HEX_SIZE],
                       struct err *e)
{
    struct queue_args a = {0};
    int result = 0;
    queue__str(&a, tenant);
    queue__str(&a, key);
    queue__str(&a, holder);
    queue__int(&a, ttl_ms);
    redisReply *r = queue__run(q, SCRIPT_idem_reserve, &a, e);
    if (!r)
        return -1;
    if (strcmp(queue__text_at(r, 0), "RESERVED") == 0) {
        *out = QUEUE_IDEM_RESERVED;
    } else if (strcmp(queue__text_at(r, 0), "BUSY") == 0) {
        *out = QUEUE_IDEM_IN_PROGRESS;
    } else if (text_copy(out_job_id, ID_SIZE, queue__text_at(r, 1)) == 0 &&
               text_copy(out_fingerprint, HASH_HEX_SIZE, queue__text_at(r, 2)) == 0) {
        *out = QUEUE_IDEM_REPLAY;
    } else {
        result = err_set(e, ERR_internal, "an idempotency key holds what it should not");
    }
    freeReplyObject(r);
    return result;
}

int queue_idem_release(struct queue *q, const char *tenant, const char *key, const char *holder, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, tenant);
    queue__str(&a, key);
    queue__str(&a, holder);
    redisReply *r = queue__run(q, SCRIPT_idem_release, &a, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    return 0;
}

/* ---- back from the store ---- */

static void pair(struct queue_args *a, const char *name, const char *value)
{
    queue__str(a, name);
    queue__str(a, value);
}

static void pair_int(struct queue_args *a, const char *name, int64_t value)
{
    queue__str(a, name);
    queue__int(a, value);
}

static void pair_json(struct queue_args *a, const char *name, json_t *value)
{
    queue__str(a, name);
    add_json(a, value);
}

static void add_held(struct queue_args *a, const struct manifest *m, const struct job *j,
                     const struct queue_segment *segments, int segment_count)
{
    int64_t of_segments = 0;
    for (int i = 0; i < segment_count; i++)
        of_segments += segments[i].bytes + segments[i].state_bytes;
    pair_int(a, "segbytes", of_segments);
    pair_int(a, "bytes", input_bytes(m) + of_segments + (j->state == JOB_SUCCEEDED ? j->result_bytes : 0));
}

static void add_ended_job(struct queue_args *a, const struct manifest *m, const struct job *j)
{
    pair(a, "state", job_state_name(j->state));
    pair(a, "tenant", m->tenant);
    pair(a, "pool", m->pool);
    pair_int(a, "prio", m->priority);
    pair_int(a, "max_attempts", m->max_attempts);
    pair_int(a, "created", m->created_ms);
    pair_int(a, "queued", j->queued_ms);
    pair_int(a, "started", j->started_ms);
    pair_int(a, "finished", j->finished_ms);
    pair_int(a, "expires", j->expires_ms);
    pair_int(a, "deadline", m->deadline_ms);
    pair(a, "manifest", j->manifest_key);
    pair_json(a, "params", params_json(&m->params));
    pair_json(a, "input", manifest_input_json(m));
    pair_json(a, "tags", json_deep_copy(m->params.tags));
    pair(a, "trace", m->trace_parent);
    if (m->trace_state[0])
        pair(a, "tstate", m->trace_state);
    pair_int(a, "cost", cost_of(m));
    pair(a, "rank", "0");
    pair_int(a, "version", j->version);
    pair_int(a, "epoch", j->epoch);
    pair_int(a, "attempt", j->attempt);
    pair_int(a, "lost", j->worker_losses);
    pair(a, "cancel", j->cancel_requested ? "1" : "0");
    pair(a, "stage", j->progress.stage);
    pair_int(a, "ppm", j->progress.fraction_ppm);
    pair_int(a, "segd", j->progress.segments_done);
    pair_int(a, "segt", j->progress.segments_total);
    pair_int(a, "step", j->progress.step);
    pair_int(a, "steps", j->progress.steps);
    pair_int(a, "frames", j->progress.frames_done);
    if (j->error_code[0]) {
        pair(a, "ecode", j->error_code);
        pair(a, "edetail", j->error_detail);
    }
    if (j->state != JOB_SUCCEEDED)
        return;
    pair(a, "rkey", j->result_key);
    pair(a, "rsha", j->result_sha256);
    pair_int(a, "rbytes", j->result_bytes);
    pair(a, "rtype", j->result_type);
    pair_int(a, "rw", j->result_width);
    pair_int(a, "rh", j->result_height);
    pair_int(a, "rframes", j->result_frames);
}

int queue_restore(struct queue *q, const struct manifest *m, const struct job *j, const struct queue_segment *segments,
                  int segment_count, char (*hooks)[40], int hook_count, int64_t idem_keep_ms, enum queue_enqueued *out,
                  struct err *e)
{
    static const char *const words[] = {"NEW", "DUP", NULL};
    struct queue_args job = {0}, a = {0};
    char text[1024];
    add_ended_job(&job, m, j);
    add_held(&job, m, j, segments, segment_count);
    queue__str(&a, m->id);
    queue__str(&a, m->tenant);
    queue__str(&a, job_state_name(j->state));
    queue__int(&a, j->expires_ms);
    queue__str(&a, m->idempotency_key);
    queue__str(&a, m->fingerprint);
    queue__int(&a, idem_keep_ms);
    queue__int(&a, job.count);
    queue__int(&a, hook_count);
    for (int i = 0; i < job.count; i++)
        queue__add(&a, job.words[i], job.sizes[i]);
    queue__args_fini(&job);
    for (int i = 0; i < hook_count; i++)
        queue__str(&a, hooks[i]);
    for (int i = 0; i < segment_count; i++) {
        queue__int(&a, segments[i].n);
        queue__segment_text(&segments[i], text, sizeof text);
        queue__str(&a, text);
    }
    int word = queue__run_word(q, SCRIPT_restore, &a, words, e);
    if (word >= 0)
        *out = word == 0 || q->repeated ? QUEUE_NEW : QUEUE_DUPLICATE;
    return word < 0 ? -1 : 0;
}

int queue_bury(struct queue *q, const char *job_id, const char *tenant, int64_t tombstone_ms, struct err *e)
{
    struct queue_args a = {0};
    char name[64], value[80];
    snprintf(name, sizeof name, QUEUE_PREFIX "tomb:%s", job_id);
    snprintf(value, sizeof value, "%.63s|", tenant);
    queue__str(&a, "SET");
    queue__str(&a, name);
    queue__str(&a, value);
    queue__str(&a, "PX");
    queue__int(&a, tombstone_ms);
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    return 0;
}
