/* operator.c - queues and dead letters. A dead letter is a job that failed for good: it stays, with its inputs and
 * finished segments, until somebody drives it again, deletes it, or its retention is over. */
#include "operator.h"

#include "app.h"
#include "body.h"
#include "fields.h"
#include "jobs.h"

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { POOLS_MAX = 256, PAGE_DEFAULT = 20, PAGE_MAX = 100, BATCH_DEFAULT = 100, BATCH_MAX = 1000 };

/* ---- queues ---- */

static json_t *depth_json(const struct queue_depth *d)
{
    json_t *object = json_object();

    json_put_str(object, "pool", d->pool);
    json_put_bool(object, "paused", d->paused);
    json_put_int(object, "queued", d->queued);
    json_put_int(object, "waiting", d->waiting);
    json_put_int(object, "running", d->running);
    json_put_int(object, "oldest_ms", d->oldest_ms);
    json_put_int(object, "succeeded", d->succeeded);
    json_put_int(object, "failed", d->failed);
    json_put_int(object, "canceled", d->canceled);
    json_put_int(object, "expired", d->expired);
    return object;
}

static int read_depths(struct req *r, struct worker *w, struct queue_depth *out, int *count, struct err *e)
{
    return watch_check(r->app->watch, e) || queue_depths(w->queue, out, POOLS_MAX, count, e) ? -1 : 0;
}

void operator_queues(struct req *r, struct worker *w)
{
    struct queue_depth *depths = calloc(POOLS_MAX, sizeof *depths);
    json_t *object, *data;
    int count = 0;
    struct err e;

    if (!depths)
        abort();
    if (read_depths(r, w, depths, &count, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    object = json_object();
    data = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(data, depth_json(&depths[i]));
    json_put(object, "data", data);
    req_done_document(r, object);
out:
    free(depths);
}

static void set_paused(struct req *r, struct worker *w, bool paused)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    struct queue_depth *depths = calloc(POOLS_MAX, sizeof *depths), *found = NULL;
    int count = 0;
    struct err e;

    if (!depths)
        abort();
    if (watch_check(r->app->watch, &e) || ledger_pause(&ledger, r->params[0], paused, &e) ||
        read_depths(r, w, depths, &count, &e))
        goto problem;
    for (int i = 0; i < count; i++)
        if (strcmp(depths[i].pool, r->params[0]) == 0)
            found = &depths[i];
    if (!found) {
        err_set(&e, ERR_pool_not_found, "there is no such pool");
        goto problem;
    }
    log_event(LOG_INFO, "queue.paused", "pool", "s", found->pool, "paused", "b", paused, "by", "s", r->who.tenant,
              NULL);
    req_done_answer(r, answer_json(200, depth_json(found)));
    goto out;
problem:
    req_done_problem(r, &e);
out:
    free(depths);
}

void operator_pause(struct req *r, struct worker *w)
{
    set_paused(r, w, true);
}

void operator_resume(struct req *r, struct worker *w)
{
    set_paused(r, w, false);
}

/* ---- dead letters ---- */

static json_t *dead_json(const struct job *job)
{
    json_t *object = job_json(job, "");

    json_put_str(object, "key", job->tenant);
    return object;
}

static int read_page(const struct req *r, struct queue_filter *f, struct err *e)
{
    static const char *const known[] = {"after", "limit"};
    const char *limit = target_arg(&r->target, "limit");
    int64_t n = PAGE_DEFAULT;

    for (int i = 0; i < r->target.arg_count; i++) {
        const char *name = r->target.args[i].name, *nearest = text_nearest(name, known, 2);
        if (strcmp(name, nearest) != 0)
            return err_set_field(e, ERR_params_invalid, name, "no such query parameter; the nearest is %s", nearest);
    }
    if (limit && (fields_number(limit, &n) || n < 1 || n > PAGE_MAX))
        return err_set_field(e, ERR_params_invalid, "limit", "the limit must be 1 to %d", PAGE_MAX);
    *f = (struct queue_filter){.state = JOB_FAILED, .cursor = target_arg(&r->target, "after"), .limit = (int)n};
    return fields_cursor(f->cursor, "after", e);
}

void operator_dead(struct req *r, struct worker *w)
{
    struct queue_filter filter;
    struct queue_page page;
    json_t *object, *data;
    struct err e;

    if (read_page(r, &filter, &e) || watch_check(r->app->watch, &e) || queue_list(w->queue, &filter, &page, &e)) {
        req_done_problem(r, &e);
        return;
    }
    object = json_object();
    data = json_array();
    for (int i = 0; i < page.count; i++)
        json_array_append_new(data, dead_json(&page.jobs[i]));
    json_put(object, "data", data);
    json_put_str(object, "next", page.next[0] ? page.next : NULL);
    json_put_bool(object, "has_more", page.next[0] != 0);
    queue_page_free(&page);
    req_done_document(r, object);
}

/* Which dead letters: those named, or the oldest `limit` (that failed with `code`). */
struct selection {
    queue_id *ids;
    int count;
};

static int select_named(const json_t *names, struct selection *s, struct err *e)
{
    if (!json_is_array(names) || json_array_size(names) == 0 || json_array_size(names) > BATCH_MAX)
        return err_set_field(e, ERR_params_invalid, "ids", "an array of 1 to %d ids is needed", BATCH_MAX);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *id = json_string_value(json_array_get(names, i));
        if (!id || !id_is_job(id))
            return err_set_field(e, ERR_params_invalid, "ids", "number %zu is not the id of a job", i);
        text_copy(s->ids[s->count++], ID_SIZE, id);
    }
    return 0;
}

static int select_oldest(struct worker *w, const char *code, int64_t limit, struct selection *s, struct err *e)
{
    char cursor[64] = ""; /* of the next page */
    bool more = true;

    while (more && s->count < limit) {
        struct queue_filter f = {.state = JOB_FAILED, .cursor = cursor, .ascending = true, .limit = PAGE_MAX};
        struct queue_page page;
        if (queue_list(w->queue, &f, &page, e))
            return -1;
        for (int i = 0; i < page.count && s->count < limit; i++)
            if (!code || strcmp(page.jobs[i].error_code, code) == 0)
                text_copy(s->ids[s->count++], ID_SIZE, page.jobs[i].id);
        more = page.next[0] != 0;
        text_copy(cursor, sizeof cursor, page.next);
        queue_page_free(&page);
    }
    return 0;
}

static int select_dead(struct req *r, struct worker *w, struct selection *s, struct err *e)
{
    static const char *const known[] = {"ids", "code", "limit", NULL};
    const char *code = NULL;
    int64_t limit = BATCH_DEFAULT;
    json_t *body, *ids;
    int rc = -1;

    if (watch_check(r->app->watch, e) || body_object(r, false, known, &body, e))
        return -1;
    ids = json_object_get(body, "ids");
    if (ids && (json_object_get(body, "code") || json_object_get(body, "limit")))
        err_set_field(e, ERR_params_invalid, "ids", "ids are not to be combined with code or limit");
    else if (ids)
        rc = select_named(ids, s, e);
    else if (json_opt_str(body, "code", &code, e) || json_opt_int(body, "limit", &limit, e))
        rc = -1;
    else if (code && (code[0] == 0 || code[strspn(code, "abcdefghijklmnopqrstuvwxyz_")] || strlen(code) > 64))
        err_set_field(e, ERR_params_invalid, "code", "an error code is needed");
    else if (limit < 1 || limit > BATCH_MAX)
        err_set_field(e, ERR_params_invalid, "limit", "the limit must be 1 to %d", BATCH_MAX);
    else
        rc = select_oldest(w, code, limit, s, e);
    json_decref(body);
    return rc;
}

typedef int (*dead_fn)(const struct ledger *l, const char *job_id, struct err *e);

/* A job that is not dead any more is refused, not an error of the whole. */
static void for_dead(struct req *r, struct worker *w, dead_fn fn, const char *done_name)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    struct selection s = {calloc(BATCH_MAX, sizeof *s.ids), 0};
    json_t *object, *done, *refused;
    struct err e;

    if (!s.ids)
        abort();
    if (select_dead(r, w, &s, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    object = json_object();
    done = json_array();
    refused = json_array();
    for (int i = 0; i < s.count; i++) {
        json_t *item;
        if (fn(&ledger, s.ids[i], &e) == 0) {
            cache_drop(r->app->cache, s.ids[i]);
            json_array_append_new(done, json_string(s.ids[i]));
            continue;
        }
        item = json_object();
        json_put_str(item, "id", s.ids[i]);
        json_put_str(item, "code", err_info(e.code)->name);
        json_array_append_new(refused, item);
    }
    log_event(LOG_INFO, "dead", "what", "s", done_name, "jobs", "i", (int64_t)json_array_size(done), "by", "s",
              r->who.tenant, NULL);
    json_put(object, done_name, done);
    json_put(object, "refused", refused);
    req_done_document(r, object);
out:
    free(s.ids);
}

void operator_redrive(struct req *r, struct worker *w)
{
    for_dead(r, w, ledger_retry, "redriven");
}

/* Only what failed; the ids may name anything. */
static int purge_failed(const struct ledger *l, const char *job_id, struct err *e)
{
    struct job job;
    bool failed;

    if (queue_get(l->queue, job_id, &job, e))
        return -1;
    failed = job.state == JOB_FAILED || job.state == JOB_PURGED;
    job_free(&job);
    return failed ? ledger_delete(l, job_id, e) : err_set(e, ERR_job_not_failed, "the job has not failed");
}

void operator_purge_dead(struct req *r, struct worker *w)
{
    for_dead(r, w, purge_failed, "purged");
}

/* DELETE /jobs/{id}, whosever it is: the same deed, seen through the scope of this route. */
void operator_purge_job(struct req *r, struct worker *w)
{
    jobs_delete(r, w);
}
