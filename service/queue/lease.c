/* The worker's side: claim, beat, commit segments, end. */
#include "queue/queue_int.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOLS_MAX = 64, WAKE_MS = 1000, BACKOFF_CAP_MS = 600000, STORAGE_CAP_MS = 60000 };

/* ---- claim ---- */

static int try_claim(struct queue *q, const char *worker, const char *nonce, const char *const *pools, int pool_count,
                     int64_t lease_ms, struct queue_lease *out, struct err *e)
{
    struct queue_args a = {0};
    struct queue_lease l = {0};
    queue__str(&a, worker);
    queue__str(&a, nonce);
    queue__int(&a, lease_ms);
    queue__edges(&a, JOB_EV_CLAIM);
    queue__edges(&a, JOB_EV_EXPIRE);
    queue__int(&a, q->conf.retention_ms);
    for (int i = 0; i < pool_count; i++)
        queue__str(&a, pools[(q->turn + (unsigned)i) % (unsigned)pool_count]);
    redisReply *r = queue__run(q, SCRIPT_claim, &a, e);
    if (!r)
        return -1;
    int result = r->type == REDIS_REPLY_ARRAY && r->elements == 5;
    if (result == 1 && (text_copy(l.job_id, sizeof l.job_id, queue__text_at(r, 0)) != 0 ||
                        text_copy(l.manifest_key, sizeof l.manifest_key, queue__text_at(r, 4)) != 0 ||
                        text_copy(l.worker, sizeof l.worker, worker) != 0))
        result = err_set(e, ERR_internal, "a claimed job does not read well");
    l.epoch = queue__int_at(r, 1);
    l.attempt = (int32_t)queue__int_at(r, 2);
    l.low_memory = queue__int_at(r, 3) != 0;
    freeReplyObject(r);
    if (result == 1) {
        *out = l;
        q->turn++; /* the next claim looks into the next pool first */
    }
    return result;
}

/* Waits for somebody to say that there is work. It is only a hint: time also ends the wait. */
static int await_work(struct queue *q, const char *const *pools, int pool_count, int64_t wait_ms, struct err *e)
{
    struct queue_args a = {0};
    char name[128];
    queue__str(&a, "BLPOP");
    for (int i = 0; i < pool_count; i++) {
        snprintf(name, sizeof name, QUEUE_PREFIX "wake:%.63s", pools[i]);
        queue__str(&a, name);
    }
    snprintf(name, sizeof name, "%.3f", (double)wait_ms / 1000);
    queue__str(&a, name);
    redisReply *r = queue__command(q, &a, wait_ms, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    return 0;
}

int queue_claim(struct queue *q, const char *worker, const char *nonce, const char *const *pools, int pool_count,
                int64_t lease_ms, int64_t wait_ms, struct queue_lease *out, struct err *e)
{
    int64_t until_ms = clock_mono_ms() + wait_ms;
    if (pool_count < 1 || pool_count > POOLS_MAX)
        return err_set(e, ERR_internal, "a worker serves 1 to %d pools", POOLS_MAX);
    for (;;) {
        int got = try_claim(q, worker, nonce, pools, pool_count, lease_ms, out, e);
        int64_t left_ms = until_ms - clock_mono_ms();
        if (got != 0 || left_ms <= 0)
            return got;
        if (await_work(q, pools, pool_count, left_ms < WAKE_MS ? left_ms : WAKE_MS, e) != 0)
            return -1;
    }
}

/* ---- beat ---- */

int queue_beat(struct queue *q, const struct queue_lease *l, int64_t lease_ms, const struct job_progress *p,
               enum queue_order *out, struct err *e)
{
    static const char *const words[] = {"OK", "CANCEL", "DEADLINE", "LOST", NULL};
    static const enum queue_order orders[] = {QUEUE_GO_ON, QUEUE_CANCEL, QUEUE_DEADLINE, QUEUE_LOST};
    struct queue_args a = {0};
    queue__str(&a, l->job_id);
    queue__int(&a, l->epoch);
    queue__int(&a, lease_ms);
    if (p) {
        queue__str(&a, p->stage);
        queue__int(&a, p->fraction_ppm);
        queue__int(&a, p->segments_done);
        queue__int(&a, p->segments_total);
        queue__int(&a, p->step);
        queue__int(&a, p->steps);
        queue__int(&a, p->frames_done);
        queue__int(&a, p->eta_low_ms);
        queue__int(&a, p->eta_high_ms);
    }
    int word = queue__run_word(q, SCRIPT_beat, &a, words, e);
    if (word >= 0)
        *out = orders[word];
    return word < 0 ? -1 : 0;
}

/* ---- segments ---- */

void queue__segment_text(const struct queue_segment *s, char *out, size_t size)
{
    snprintf(out, size, "%s|%s|%" PRId64 "|%" PRId64 "|%d|%" PRId64 "|%s|%s|%" PRId64, s->key, s->sha256, s->bytes,
             s->first_frame, (int)s->frames, s->epoch, s->state_key, s->state_sha256, s->state_bytes);
}

/* The part of text up to the next '|'; moves on. */
static int next_part(const char **text, char *out, size_t size)
{
    size_t length = strcspn(*text, "|");
    if (length >= size)
        return -1;
    memcpy(out, *text, length);
    out[length] = '\0';
    *text += length + ((*text)[length] == '|');
    return 0;
}

static int next_number(const char **text, int64_t *out)
{
    char digits[24];
    if (next_part(text, digits, sizeof digits) != 0)
        return -1;
    *out = strtoll(digits, NULL, 10);
    return 0;
}

/* "key|sha256|bytes|…" of a segment; -1 when it is not of that form. */
static int read_segment(int32_t n, const char *text, struct queue_segment *out)
{
    struct queue_segment s = {.n = n};
    int64_t frames;
    if (next_part(&text, s.key, sizeof s.key) != 0 || next_part(&text, s.sha256, sizeof s.sha256) != 0 ||
        next_number(&text, &s.bytes) != 0 || next_number(&text, &s.first_frame) != 0 ||
        next_number(&text, &frames) != 0 || next_number(&text, &s.epoch) != 0 ||
        next_part(&text, s.state_key, sizeof s.state_key) != 0 ||
        next_part(&text, s.state_sha256, sizeof s.state_sha256) != 0 || next_number(&text, &s.state_bytes) != 0)
        return -1;
    s.frames = (int32_t)frames;
    *out = s;
    return 0;
}

int queue_segment_commit(struct queue *q, const struct queue_lease *l, const char *plan_hash,
                         const struct queue_segment *s, enum queue_segment_put *out, struct err *e)
{
    static const char *const words[] = {"NEW", "SAME", "KEPT", "LOST", NULL};
    static const enum queue_segment_put puts[] = {QUEUE_SEGMENT_NEW, QUEUE_SEGMENT_SAME, QUEUE_SEGMENT_KEPT_FIRST,
                                                  QUEUE_SEGMENT_LOST};
    struct queue_args a = {0};
    char text[1024];
    queue__segment_text(s, text, sizeof text);
    queue__str(&a, l->job_id);
    queue__int(&a, l->epoch);
    queue__str(&a, plan_hash);
    queue__int(&a, s->n);
    queue__str(&a, text);
    int word = queue__run_word(q, SCRIPT_segment, &a, words, e);
    if (word >= 0)
        *out = puts[word];
    return word < 0 ? -1 : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct queue_segment *x = a, *y = b;
    return (x->n > y->n) - (x->n < y->n);
}

int queue_segments(struct queue *q, const char *job_id, const char *plan_hash, struct queue_segment **out, int *count,
                   struct err *e)
{
    struct queue_args a = {0};
    struct queue_segment *list = NULL;
    char name[64];
    int used = 0;
    bool other_plan = false;
    snprintf(name, sizeof name, QUEUE_PREFIX "seg:%.*s", ID_SIZE - 1, job_id);
    queue__str(&a, "HGETALL");
    queue__str(&a, name);
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    list = calloc(r->elements / 2 + 1, sizeof *list);
    if (!list)
        abort();
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        const char *field = queue__text_at(r, i), *value = queue__text_at(r, i + 1);
        if (strcmp(field, "_plan") == 0)
            other_plan = plan_hash && strcmp(plan_hash, value) != 0;
        else if (read_segment((int32_t)strtol(field, NULL, 10), value, &list[used]) == 0)
            used++;
    }
    freeReplyObject(r);
    qsort(list, (size_t)used, sizeof *list, by_number);
    *out = list;
    *count = other_plan ? 0 : used;
    return 0;
}

/* ---- ends ---- */

static int end_word(struct queue *q, enum queue_script script, struct queue_args *a, enum queue_end *out, struct err *e)
{
    static const char *const words[] = {"OK", "LOST", "CANCELED", NULL};
    static const enum queue_end ends[] = {QUEUE_ENDED, QUEUE_END_LOST, QUEUE_END_CANCELED};
    int word = queue__run_word(q, script, a, words, e);
    if (word >= 0)
        *out = ends[word];
    return word < 0 ? -1 : 0;
}

int queue_complete(struct queue *q, const struct queue_lease *l, const struct queue_result *r, enum queue_end *out,
                   struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, l->job_id);
    queue__int(&a, l->epoch);
    queue__edges(&a, JOB_EV_COMPLETE);
    queue__int(&a, q->conf.retention_ms);
    queue__str(&a, r->key);
    queue__str(&a, r->sha256);
    queue__int(&a, r->bytes);
    queue__str(&a, r->content_type);
    queue__int(&a, r->width);
    queue__int(&a, r->height);
    queue__int(&a, r->frames);
    return end_word(q, SCRIPT_complete, &a, out, e);
}

static const char *what_to_do(enum err_code code)
{
    switch (err_info(code)->class) {
    case ERR_CLASS_STORAGE:
        return "storage";
    case ERR_CLASS_OOM:
        return "oom";
    case ERR_CLASS_RETRY:
    case ERR_CLASS_TRANSIENT:
        return "retry";
    case ERR_CLASS_CLIENT:
    case ERR_CLASS_MEDIA:
    case ERR_CLASS_FATAL:
        break;
    }
    return "final";
}

int queue_fail(struct queue *q, const struct queue_lease *l, const struct err *why, enum queue_end *out, struct err *e)
{
    struct queue_args a = {0};
    const struct err_info *info = err_info(why->code);
    const char *what = what_to_do(why->code);
    queue__str(&a, l->job_id);
    queue__int(&a, l->epoch);
    queue__edges(&a, JOB_EV_FAIL_RETRY);
    queue__edges(&a, JOB_EV_FAIL_FINAL);
    queue__str(&a, what);
    queue__str(&a, info->name);
    queue__str(&a, why->detail[0] ? why->detail : info->title);
    queue__int(&a, q->conf.retry_base_ms);
    queue__int(&a, strcmp(what, "storage") == 0 ? STORAGE_CAP_MS : BACKOFF_CAP_MS);
    queue__int(&a, id_random_seed() % 1000000);
    queue__int(&a, q->conf.retention_ms);
    return end_word(q, SCRIPT_fail, &a, out, e);
}

int queue_release(struct queue *q, const struct queue_lease *l, enum queue_end *out, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, l->job_id);
    queue__int(&a, l->epoch);
    queue__edges(&a, JOB_EV_RELEASE);
    return end_word(q, SCRIPT_release, &a, out, e);
}

int queue_canceled(struct queue *q, const struct queue_lease *l, enum queue_end *out, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, l->job_id);
    queue__int(&a, l->epoch);
    queue__edges(&a, JOB_EV_CANCELED);
    queue__int(&a, q->conf.retention_ms);
    return end_word(q, SCRIPT_canceled, &a, out, e);
}
