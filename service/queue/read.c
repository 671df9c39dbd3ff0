/* Reading jobs: one, a page, and the changes the api makes for people. */
#include "queue/queue_int.h"

#include "base/text.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCAN_MAX = 5000, NONCE_BYTES = 16 };

/* ---- from fields to a struct ---- */

enum kind { TEXT, INT32, INT64, FLAG, OWNED, STATE };

/* Field of the hash, and where it goes. */
static const struct column {
    const char *name;
    enum kind kind;
    size_t offset, size;
} columns[] = {
#define COLUMN(name, kind, member)                                                                                     \
    {                                                                                                                  \
        name, kind, offsetof(struct job, member), sizeof((struct job *)0)->member                                      \
    }
    COLUMN("state", STATE, state),
    COLUMN("tenant", TEXT, tenant),
    COLUMN("pool", TEXT, pool),
    COLUMN("cancel", FLAG, cancel_requested),
    COLUMN("version", INT64, version),
    COLUMN("created", INT64, created_ms),
    COLUMN("queued", INT64, queued_ms),
    COLUMN("started", INT64, started_ms),
    COLUMN("finished", INT64, finished_ms),
    COLUMN("expires", INT64, expires_ms),
    COLUMN("deadline", INT64, deadline_ms),
    COLUMN("start_deadline", INT64, start_deadline_ms),
    COLUMN("prio", INT32, priority),
    COLUMN("attempt", INT32, attempt),
    COLUMN("max_attempts", INT32, max_attempts),
    COLUMN("lost", INT32, worker_losses),
    COLUMN("epoch", INT64, epoch),
    COLUMN("ppm", INT32, progress.fraction_ppm),
    COLUMN("stage", TEXT, progress.stage),
    COLUMN("segd", INT32, progress.segments_done),
    COLUMN("segt", INT32, progress.segments_total),
    COLUMN("step", INT32, progress.step),
    COLUMN("steps", INT32, progress.steps),
    COLUMN("frames", INT64, progress.frames_done),
    COLUMN("eta_lo", INT64, progress.eta_low_ms),
    COLUMN("eta_hi", INT64, progress.eta_high_ms),
    COLUMN("prog_at", INT64, progress_at_ms),
    COLUMN("manifest", TEXT, manifest_key),
    COLUMN("params", OWNED, params_text),
    COLUMN("input", OWNED, input_text),
    COLUMN("tags", OWNED, tags_text),
    COLUMN("rkey", TEXT, result_key),
    COLUMN("rsha", TEXT, result_sha256),
    COLUMN("rbytes", INT64, result_bytes),
    COLUMN("rtype", TEXT, result_type),
    COLUMN("rw", INT32, result_width),
    COLUMN("rh", INT32, result_height),
    COLUMN("rframes", INT64, result_frames),
    COLUMN("ecode", TEXT, error_code),
    COLUMN("edetail", TEXT, error_detail),
    COLUMN("trace", TEXT, trace_parent),
    COLUMN("tstate", OWNED, trace_state),
#undef COLUMN
};

static void put(struct job *j, const struct column *c, const char *value)
{
    void *at = (char *)j + c->offset;
    int64_t number = strtoll(value, NULL, 10);
    int state;
    switch (c->kind) {
    case TEXT:
        text_clean(at, c->size, value);
        break;
    case INT32:
        *(int32_t *)at = (int32_t)number;
        break;
    case INT64:
        *(int64_t *)at = number;
        break;
    case FLAG:
        *(bool *)at = number != 0;
        break;
    case OWNED:
        job_set_text(at, value);
        break;
    case STATE:
        state = job_state_by_name(value);
        *(enum job_state *)at = state < 0 ? JOB_FAILED : (enum job_state)state;
        break;
    }
}

void queue__read_job(const char *id, const redisReply *fields, struct job *out)
{
    job_init(out);
    text_clean(out->id, sizeof out->id, id);
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
            if (strcmp(columns[c].name, queue__text_at(fields, i)) == 0)
                put(out, &columns[c], queue__text_at(fields, i + 1));
}

int queue_get(struct queue *q, const char *job_id, struct job *out, struct err *e)
{
    struct queue_args a = {0};
    int result = 0;
    queue__str(&a, job_id);
    redisReply *r = queue__run(q, SCRIPT_get, &a, e);
    if (!r)
        return -1;
    if (r->elements == 3 && r->element[0]->elements > 0) {
        queue__read_job(job_id, r->element[0], out);
        out->queue_position = queue__int_at(r, 1);
    } else if (queue__text_at(r, 2)[0] != '\0') {
        job_init(out);
        out->state = JOB_PURGED;
        text_clean(out->id, sizeof out->id, job_id);
        text_clean(out->tenant, sizeof out->tenant, queue__text_at(r, 2));
    } else {
        result = err_set(e, ERR_job_not_found, "there is no job %.40s", job_id);
    }
    freeReplyObject(r);
    return result;
}

/* ---- a page ---- */

/* The ids of a page as the script gives them: 0 more?, 1 last looked at, 2… ids. */
static redisReply *list_ids(struct queue *q, const struct queue_filter *f, struct err *e)
{
    struct queue_args a = {0};
    bool oldest_first = f->ascending != f->backward;
    queue__str(&a, f->tenant ? f->tenant : "*");
    queue__str(&a, f->state >= 0 ? job_state_name((enum job_state)f->state) : "any");
    queue__str(&a, f->cursor);
    queue__str(&a, oldest_first ? "1" : "0");
    queue__int(&a, f->limit);
    queue__str(&a, f->tag_key);
    queue__str(&a, f->tag_value);
    queue__int(&a, SCAN_MAX);
    return queue__run(q, SCRIPT_list, &a, e);
}

static void set_cursors(const struct queue_filter *f, const redisReply *ids, struct queue_page *out)
{
    bool more = queue__text_at(ids, 0)[0] == '1', from_middle = f->cursor && f->cursor[0];
    size_t found = ids->elements - 2;
    /* The far end in the direction that was read; a filter may have looked further than it found. */
    const char *far = more ? queue__text_at(ids, 1) : "";
    const char *near = from_middle && found > 0 ? queue__text_at(ids, 2) : "";
    text_clean(f->backward ? out->prev : out->next, sizeof out->next, far);
    text_clean(f->backward ? out->next : out->prev, sizeof out->next, near);
}

int queue_list(struct queue *q, const struct queue_filter *f, struct queue_page *out, struct err *e)
{
    struct queue_page page = {0};
    if (f->cursor && f->cursor[0] && !id_is_job(f->cursor))
        return err_set_field(e, ERR_params_invalid, "cursor", "the cursor is not one of ours");
    redisReply *ids = list_ids(q, f, e);
    if (!ids)
        return -1;
    size_t found = ids->elements >= 2 ? ids->elements - 2 : 0;
    page.jobs = calloc(found + 1, sizeof *page.jobs);
    if (!page.jobs)
        abort();
    int result = 0;
    for (size_t i = 0; i < found && result == 0; i++) {
        struct err why = {0};
        size_t at = f->backward ? found - 1 - i : i;
        if (queue_get(q, queue__text_at(ids, 2 + at), &page.jobs[page.count], &why) == 0)
            page.count++;
        else if (why.code != ERR_job_not_found) /* deleted meanwhile */
            result = err_set(e, why.code, "%s", why.detail);
    }
    if (result == 0 && ids->elements >= 2)
        set_cursors(f, ids, &page);
    freeReplyObject(ids);
    if (result == 0)
        *out = page;
    else
        queue_page_free(&page);
    return result;
}

void queue_page_free(struct queue_page *p)
{
    for (int i = 0; i < p->count; i++)
        job_free(&p->jobs[i]);
    free(p->jobs);
    *p = (struct queue_page){0};
}

/* ---- cancel, retry, delete ---- */

static int not_there(const char *job_id, bool purged, struct err *e)
{
    if (purged)
        return err_set(e, ERR_job_purged, "job %.40s was deleted", job_id);
    return err_set(e, ERR_job_not_found, "there is no job %.40s", job_id);
}

static void add_nonce(struct queue_args *a)
{
    char nonce[2 * NONCE_BYTES + 1];
    id_random_hex(nonce, NONCE_BYTES);
    queue__str(a, nonce);
}

int queue_cancel(struct queue *q, const char *job_id, const char *who, enum queue_cancel *out, struct err *e)
{
    static const char *const words[] = {"DONE", "ASKED", "TERMINAL", "PURGED", "NONE", NULL};
    static const enum queue_cancel answers[] = {QUEUE_CANCEL_DONE, QUEUE_CANCEL_ASKED, QUEUE_CANCEL_TERMINAL};
    struct queue_args a = {0};
    queue__str(&a, job_id);
    queue__edges(&a, JOB_EV_CANCEL);
    queue__str(&a, who);
    add_nonce(&a);
    queue__int(&a, q->conf.retention_ms);
    int word = queue__run_word(q, SCRIPT_cancel, &a, words, e);
    if (word < 0)
        return -1;
    if (word >= 3)
        return not_there(job_id, word == 3, e);
    *out = answers[word];
    return 0;
}

int queue_retry(struct queue *q, const char *job_id, struct err *e)
{
    static const char *const words[] = {"OK", "NOT_FAILED", "PURGED", "NONE", NULL};
    struct queue_args a = {0};
    queue__str(&a, job_id);
    queue__edges(&a, JOB_EV_RETRY);
    add_nonce(&a);
    int word = queue__run_word(q, SCRIPT_retry, &a, words, e);
    if (word == 1)
        return err_set(e, ERR_job_not_failed, "only a failed job can be tried again");
    return word < 0 ? -1 : word >= 2 ? not_there(job_id, word == 2, e) : 0;
}

int queue_delete(struct queue *q, const char *job_id, int64_t tombstone_ms, struct err *e)
{
    static const char *const words[] = {"OK", "NOT_TERMINAL", "PURGED", "NONE", NULL};
    struct queue_args a = {0};
    queue__str(&a, job_id);
    queue__edges(&a, JOB_EV_PURGE);
    queue__int(&a, tombstone_ms);
    add_nonce(&a);
    int word = queue__run_word(q, SCRIPT_delete, &a, words, e);
    if (word == 1)
        return err_set(e, ERR_job_not_terminal, "the job has not ended; cancel it first");
    return word < 0 ? -1 : word >= 2 ? not_there(job_id, word == 2, e) : 0;
}
