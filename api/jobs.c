#include "jobs.h"

#include "app.h"
#include "fields.h"
#include "videos.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MAX_S = 60, LIST_DEFAULT = 20, LIST_MAX = 100 };

static int not_found(struct err *e)
{
    return err_set(e, ERR_job_not_found, "there is no job with this id");
}

static bool may_see(const struct req *r, const struct job *job)
{
    /* Operators act on every tenant's jobs, but only through the routes that ask for that scope. */
    return strcmp(job->tenant, r->who.tenant) == 0 || r->route->scope == SCOPE_ADMIN;
}

static int read_queue(struct req *r, struct worker *w, const char *id, struct snapshot **out, struct err *e)
{
    struct job job;

    job_init(&job);
    if (watch_check(r->app->watch, e))
        return -1;
    if (queue_get(w->queue, id, &job, e))
        return e->code == ERR_job_not_found ? not_found(e) : -1;
    if (!may_see(r, &job)) {
        job_free(&job);
        return not_found(e);
    }
    if (job.state == JOB_PURGED) {
        job_free(&job);
        return err_set(e, ERR_job_purged, "the job was deleted");
    }
    *out = cache_put(r->app->cache, &job);
    return 0;
}

int jobs_read(struct req *r, struct worker *w, struct snapshot **out, struct err *e)
{
    const char *id = r->params[0];
    struct snapshot *s;

    if (!id_is_job(id))
        return not_found(e);
    s = cache_get(r->app->cache, id);
    if (!s)
        return read_queue(r, w, id, out, e);
    if (!may_see(r, &s->job)) {
        snapshot_unref(s);
        return not_found(e);
    }
    *out = s;
    return 0;
}

/* A fresh look, for answers that must show what was just done. */
static int read_again(struct req *r, struct worker *w, struct snapshot **out, struct err *e)
{
    return read_queue(r, w, r->params[0], out, e);
}

/* ---- GET /jobs/{id} ---- */

static void answer_snapshot(struct req *r, const struct snapshot *s)
{
    bool same = fields_none_match(req_header(r, REQ_if_none_match), s->tag);

    req_answer(r, answer_ref(same ? s->unchanged : s->whole));
}

bool jobs_get_now(struct req *r)
{
    struct snapshot *s;
    struct err e;
    bool wants_wait = req_header(r, REQ_prefer) != NULL;

    if (!id_is_job(r->params[0])) {
        not_found(&e);
        req_problem(r, &e);
        return true;
    }
    s = wants_wait ? NULL : cache_get(r->app->cache, r->params[0]);
    if (!s) {
        /* No use in a pool thread finding out once more. */
        if (watch_check(r->app->watch, &e) == 0)
            return false;
        req_problem(r, &e);
        return true;
    }
    if (may_see(r, &s->job)) {
        answer_snapshot(r, s);
    } else {
        not_found(&e);
        req_problem(r, &e);
    }
    snapshot_unref(s);
    return true;
}

static void get_done(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct err e;

    if (jobs_read(r, w, &s, &e)) {
        req_done_problem(r, &e);
        return;
    }
    answer_snapshot(r, s);
    snapshot_unref(s);
    req_done(r);
}

static void park(struct req *r, const char *id, int64_t version, int64_t until_ms,
                 void (*done)(struct req *, struct worker *))
{
    if (id != r->park_id)
        text_copy(r->park_id, sizeof r->park_id, id);
    r->park_version = version;
    r->park_until_ms = until_ms;
    r->park_done = done;
    watch_park(r->app->watch, r);
}

void jobs_get(struct req *r, struct worker *w)
{
    int64_t wait_s = fields_prefer_wait(req_header(r, REQ_prefer), WAIT_MAX_S);
    const char *none_match = req_header(r, REQ_if_none_match);
    struct snapshot *s = NULL;
    struct err e;

    if (jobs_read(r, w, &s, &e)) {
        req_done_problem(r, &e);
        return;
    }
    /* The client knows the version of its tag, else the one on arrival; anything newer is news at once. */
    if (wait_s > 0 && !s->terminal && (!none_match || fields_none_match(none_match, s->tag))) {
        int64_t version = s->job.version;
        snapshot_unref(s);
        park(r, r->params[0], version, clock_mono_ms() + wait_s * 1000, get_done);
        return;
    }
    answer_snapshot(r, s);
    snapshot_unref(s);
    req_done(r);
}

/* ---- POST /jobs: the answer ---- */

static struct answer *job_answer(const struct snapshot *s, int status)
{
    struct answer *a = answer_text(status, "application/json", s->text);

    answer_header(a, "ETag", "%s", s->tag);
    answer_header(a, "Cache-Control", "private, no-cache");
    if (!s->terminal || status == 202)
        answer_header(a, "Retry-After", "%d", snapshot_retry_after_s(&s->job));
    return a;
}

static struct answer *created_answer(const struct req *r, const struct snapshot *s)
{
    struct answer *a = r->as_video ? videos_answer(snapshot_json(s), 200)
                                   : job_answer(s, s->terminal && r->park_until_ms > 0 ? 200 : 202);

    answer_header(a, "Location", "/v1/jobs/%s", s->job.id);
    if (r->park_replay)
        answer_header(a, "Idempotency-Replayed", "true");
    return a;
}

static void created_done(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct err e;

    text_copy(r->params[0], sizeof r->params[0], r->park_id);
    if (read_queue(r, w, r->park_id, &s, &e)) {
        /* A job just made stands whether or not it can be read back now: r->answer says so already. */
        if (!r->answer || e.code == ERR_job_purged)
            req_problem(r, &e);
        req_done(r);
        return;
    }
    if (!s->terminal && clock_mono_ms() < r->park_until_ms && !atomic_load(&r->app->stopping)) {
        int64_t version = s->job.version;
        snapshot_unref(s);
        park(r, r->park_id, version, r->park_until_ms, created_done);
        return;
    }
    req_done_answer(r, created_answer(r, s));
    snapshot_unref(s);
}

/* The job as the queue took it, without asking the queue. */
static struct answer *answer_from_manifest(const struct req *r, const struct manifest *m)
{
    json_t *params = params_json(&m->params), *input = manifest_input_json(m);
    struct job job;
    struct answer *a;
    json_t *object;

    job_init(&job);
    text_copy(job.id, sizeof job.id, m->id);
    text_copy(job.pool, sizeof job.pool, m->pool);
    text_copy(job.trace_parent, sizeof job.trace_parent, m->trace_parent);
    job.version = 1;
    job.created_ms = job.queued_ms = m->created_ms;
    job.priority = m->priority;
    job.max_attempts = m->max_attempts;
    job.params_text = json_text(params, false);
    job.input_text = json_text(input, false);
    job.tags_text = json_text(m->params.tags, false);
    object = job_json(&job, "");
    a = r->as_video ? videos_answer(object, 200) : answer_json(202, object);
    answer_header(a, "Location", "/v1/jobs/%s", m->id);
    answer_header(a, "Retry-After", "1");
    job_free(&job);
    json_decref(params);
    json_decref(input);
    return a;
}

void jobs_created(struct req *r, struct worker *w, const char *replay_id, const struct manifest *m, int64_t wait_s)
{
    r->park_replay = replay_id[0] != 0;
    text_copy(r->park_id, sizeof r->park_id, r->park_replay ? replay_id : m->id);
    r->park_until_ms = wait_s > 0 ? clock_mono_ms() + wait_s * 1000 : 0;
    if (!r->park_replay)
        req_answer(r, answer_from_manifest(r, m));
    created_done(r, w);
}

/* ---- GET /jobs ---- */

static int read_filter(const struct req *r, struct queue_filter *f, char tag_key[80], struct err *e)
{
    static const char *const known[] = {"state", "after", "before", "limit", "order", "tag"};
    const char *state = target_arg(&r->target, "state"), *order = target_arg(&r->target, "order");
    const char *limit = target_arg(&r->target, "limit"), *tag = target_arg(&r->target, "tag");
    const char *after = target_arg(&r->target, "after"), *before = target_arg(&r->target, "before"), *colon;
    int64_t n = LIST_DEFAULT;

    for (int i = 0; i < r->target.arg_count; i++) {
        const char *name = r->target.args[i].name, *nearest = text_nearest(name, known, 6);
        if (strcmp(name, nearest) != 0)
            return err_set_field(e, ERR_params_invalid, name, "no such query parameter; the nearest is %s", nearest);
    }
    *f = (struct queue_filter){.tenant = r->who.tenant, .state = -1};
    if (state && (f->state = job_state_by_name(state)) < 0)
        return err_set_field(e, ERR_params_invalid, "state", "no such state");
    if (limit && (fields_number(limit, &n) || n < 1 || n > LIST_MAX))
        return err_set_field(e, ERR_params_invalid, "limit", "the limit must be 1 to %d", LIST_MAX);
    f->limit = (int)n;
    if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
        return err_set_field(e, ERR_params_invalid, "order", "the order must be asc or desc");
    f->ascending = order && strcmp(order, "asc") == 0;
    if (after && before)
        return err_set_field(e, ERR_params_invalid, "before", "after and before exclude each other");
    if (fields_cursor(after, "after", e) || fields_cursor(before, "before", e))
        return -1;
    f->cursor = after ? after : before;
    f->backward = before != NULL;
    if (tag) {
        colon = strchr(tag, ':');
        if (!colon || colon == tag || colon - tag > 64)
            return err_set_field(e, ERR_params_invalid, "tag", "a tag must look like key:value");
        memcpy(tag_key, tag, (size_t)(colon - tag));
        tag_key[colon - tag] = 0;
        f->tag_key = tag_key;
        f->tag_value = colon + 1;
    }
    return 0;
}

void jobs_list(struct req *r, struct worker *w)
{
    struct queue_filter filter;
    struct queue_page page;
    struct err e;
    char tag_key[80];
    json_t *object, *data;

    if (read_filter(r, &filter, tag_key, &e) || watch_check(r->app->watch, &e) ||
        queue_list(w->queue, &filter, &page, &e)) {
        req_done_problem(r, &e);
        return;
    }
    object = json_object();
    data = json_array();
    for (int i = 0; i < page.count; i++)
        json_array_append_new(data, job_json(&page.jobs[i], ""));
    json_put(object, "data", data);
    json_put_str(object, "next", page.next[0] ? page.next : NULL);
    json_put_str(object, "prev", page.prev[0] ? page.prev : NULL);
    json_put_bool(object, "has_more", page.next[0] != 0);
    queue_page_free(&page);
    req_done_document(r, object);
}

/* ---- what changes a job ---- */

void jobs_cancel(struct req *r, struct worker *w)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    struct snapshot *s = NULL, *after = NULL;
    enum queue_cancel done;
    struct err e;

    if (jobs_read(r, w, &s, &e) || queue_cancel(w->queue, r->params[0], r->who.tenant, &done, &e) ||
        read_again(r, w, &after, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    log_event(LOG_INFO, "job.cancel", "job", "s", r->params[0], NULL);
    /* The store must know of the end, too; what fails here the reaper does again. */
    if (done == QUEUE_CANCEL_DONE && ledger_settle(&ledger, r->params[0], &e))
        log_err(LOG_WARN, "api.not_settled", r->params[0], &e);
    req_done_answer(r, job_answer(after, done == QUEUE_CANCEL_ASKED ? 202 : 200));
out:
    snapshot_unref(s);
    snapshot_unref(after);
}

int jobs_remove(struct req *r, struct worker *w, struct err *e)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    struct snapshot *s = NULL;
    int rc = jobs_read(r, w, &s, e) || ledger_delete(&ledger, r->params[0], e) ? -1 : 0;

    snapshot_unref(s);
    if (rc)
        return -1;
    cache_drop(r->app->cache, r->params[0]);
    log_event(LOG_INFO, "job.deleted", "job", "s", r->params[0], NULL);
    return 0;
}

void jobs_delete(struct req *r, struct worker *w)
{
    struct err e;

    if (jobs_remove(r, w, &e))
        req_done_problem(r, &e);
    else
        req_done_answer(r, answer_new(204));
}

void jobs_retry(struct req *r, struct worker *w)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    struct snapshot *s = NULL, *after = NULL;
    struct err e;

    if (jobs_read(r, w, &s, &e) || ledger_retry(&ledger, r->params[0], &e) || read_again(r, w, &after, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    log_event(LOG_INFO, "job.retry", "job", "s", r->params[0], NULL);
    req_done_answer(r, job_answer(after, 202));
out:
    snapshot_unref(s);
    snapshot_unref(after);
}
