/* The step with the engine: one "run" message out, events in, until it is done, has failed, is gone, or must stop. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 200,
    STOP_GRACE_MS = 30000,      /* from "cancel" to SIGKILL */
    STOP_GRACE_DRAIN_MS = 4000, /* the same when the program is to end */
};

static enum step fail(struct run *r, const struct err *why)
{
    r->why = *why;
    return STEP_FAIL;
}

/* ---- starting ---- */

static enum step await_ready(struct run *r)
{
    struct engine_link *l = &r->w->engine;
    while (!l->ready) {
        struct err e = {0};
        json_t *m = NULL;
        int got = engine_link_next(l, TICK_MS, &m, &e);
        if (got > 0)
            json_decref(m);
        if (got < 0)
            return fail(r, &e);
        enum step s = run_check(r);
        if (s != STEP_GO_ON)
            return s;
        if (l->pid == 0)
            return STEP_COLOUR; /* a fence took it, and passed */
        worker_tick(r->w);
    }
    return STEP_GO_ON;
}

static json_t *run_message(const struct run *r, struct err *e)
{
    char path[FS_PATH_MAX];
    json_t *m = wire_op("run"), *references = json_array();
    int failed = fs_join(path, r->dir, "video", e);
    json_put_str(m, "video", path);
    for (int i = 0; i < r->manifest.reference_count && !failed; i++) {
        char name[32];
        snprintf(name, sizeof name, "reference-%d", i);
        failed = fs_join(path, r->dir, name, e);
        json_array_append_new(references, json_safe_string(path));
    }
    json_put(m, "references", references);
    if (!failed && r->manifest.palette.key[0] && !(failed = fs_join(path, r->dir, "palette", e)))
        json_put_str(m, "palette", path);
    if (!failed && r->manifest.timesheet.key[0] && !(failed = fs_join(path, r->dir, "timesheet", e)))
        json_put_str(m, "timesheet", path);
    json_put(m, "params", params_json(&r->manifest.params));
    if (!failed)
        failed = fs_join(path, r->dir, "work", e) != 0 || fs_remove_tree(path, e) != 0 || fs_mkdirs(path, e) != 0;
    json_put_str(m, "work_dir", path);
    if (!failed)
        return m;
    json_decref(m);
    return NULL;
}

static enum step start(struct run *r)
{
    struct engine_link *l = &r->w->engine;
    struct err e = {0};
    bool low = r->lease.low_memory;
    r->fences = lease_fences(r->w->lease);
    if ((l->pid == 0 || l->low_memory != low) && engine_link_start(l, low, &e) != 0)
        return fail(r, &e);
    enum step s = await_ready(r);
    if (s != STEP_GO_ON)
        return s;
    fault("worker.engine.started");
    json_t *m = run_message(r, &e);
    if (!m)
        return fail(r, &e);
    if (engine_link_send(l, m, &e) != 0) {
        engine_link_kill(l);
        return fail(r, &e);
    }
    r->stop = STEP_GO_ON;
    r->idle = false;
    r->last_event_ms = clock_mono_ms();
    return STEP_GO_ON;
}

/* ---- events ---- */

static enum step on_plan(struct run *r, const json_t *m)
{
    struct engine_plan plan;
    struct engine_segment *keep = NULL;
    struct err e = {0};
    int count = 0;
    if (wire_get_plan(m, &plan, &e) != 0)
        return fail(r, &e);
    memcpy(r->plan_hash, plan.hash, sizeof r->plan_hash);
    fault("worker.planned");
    enum step s = run_committed(r, &keep, &count);
    fault("worker.resumed");
    if (s == STEP_GO_ON) {
        json_t *answer = wire_op("keep"), *list = json_array();
        for (int i = 0; i < count; i++) {
            json_t *one = json_object();
            wire_put_segment(one, &keep[i]);
            json_array_append_new(list, one);
        }
        json_put(answer, "segments", list);
        r->segments_kept = count;
        if (engine_link_send(&r->w->engine, answer, &e) != 0)
            log_err(LOG_DEBUG, "engine.deaf", r->lease.job_id, &e);
    }
    free(keep);
    return s; /* a child that does not listen is found dead by the next receive */
}

static enum step on_progress(struct run *r, const json_t *m)
{
    struct engine_progress p;
    struct job_progress to = {0};
    struct err e = {0};
    if (wire_get_progress(m, &p, &e) != 0)
        return fail(r, &e);
    text_clean(to.stage, sizeof to.stage, p.stage);
    to.fraction_ppm = p.fraction_ppm;
    to.segments_done = (int32_t)(r->segments_kept + r->segments_made); /* durable, not only finished */
    to.segments_total = p.segments_total;
    to.step = p.step;
    to.steps = p.steps;
    to.frames_done = p.frames_done;
    to.eta_low_ms = p.eta_low_ms;
    to.eta_high_ms = p.eta_high_ms;
    r->progress = to;
    lease_progress(r->w->lease, &to);
    return STEP_GO_ON;
}

static enum step on_segment(struct run *r, const json_t *m)
{
    struct engine_segment s;
    struct err e = {0};
    if (wire_get_segment(m, &s, &e) != 0)
        return fail(r, &e);
    enum step next = run_commit(r, &s);
    if (next != STEP_GO_ON)
        return next;
    r->segments_made++;
    run_span_segment(r, &s);
    r->progress.segments_done = (int32_t)(r->segments_kept + r->segments_made);
    lease_progress(r->w->lease, &r->progress);
    return STEP_GO_ON;
}

static enum step on_preview(struct run *r, const json_t *m)
{
    const char *path;
    if (json_need_str(m, "path", &path, NULL) == 0)
        run_upload_preview(r, path);
    return STEP_GO_ON;
}

static enum step on_done(struct run *r, const json_t *m)
{
    struct err e = {0};
    r->idle = true;
    if (wire_get_result(m, &r->result, &e) != 0)
        return fail(r, &e);
    fault("worker.coloured");
    return r->stop == STEP_GO_ON || r->stop == STEP_RELEASE ? STEP_UPLOAD : r->stop; /* done is better than released */
}

static enum step on_error(struct run *r, const json_t *m)
{
    struct err e = {0};
    r->idle = true;
    wire_get_err(m, &e);
    if (e.code == ERR_canceled_by_user && r->stop != STEP_GO_ON)
        return r->stop;
    if (e.code == ERR_overloaded) /* its decoder was killed */
        e.code = ERR_worker_lost;
    if (e.code == ERR_gpu_fault || e.code == ERR_gpu_oom)
        engine_link_kill(&r->w->engine);
    return fail(r, &e);
}

/* clang-format off */
static const struct {
    const char *ev;
    enum step (*on)(struct run *r, const json_t *m);
} events[] = {
    {"plan", on_plan}, {"progress", on_progress}, {"segment", on_segment},
    {"preview", on_preview}, {"done", on_done}, {"error", on_error},
};
/* clang-format on */

static enum step dispatch(struct run *r, const json_t *m)
{
    const char *ev = "";
    if (json_opt_str(m, "ev", &ev, NULL) == 0)
        for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
            if (strcmp(ev, events[i].ev) == 0)
                return events[i].on(r, m);
    return STEP_GO_ON;
}

/* ---- stopping ---- */

static void ask_to_stop(struct run *r, enum step why)
{
    if (r->stop != STEP_GO_ON)
        return;
    struct err e = {0};
    r->stop = why;
    r->stop_ms = clock_mono_ms();
    if (engine_link_send(&r->w->engine, wire_op("cancel"), &e) != 0)
        log_err(LOG_DEBUG, "engine.deaf", r->lease.job_id, &e);
}

/* A drain lets the segment at hand finish, within limits. */
static bool drain_due(const struct run *r, bool segment_just_done)
{
    const struct worker *w = r->w;
    return w->signals > 1 ||
           (w->signals == 1 && (segment_just_done || clock_mono_ms() - w->drain_began_ms >= w->conf->drain_ms));
}

/* What ends a run from outside. STEP_GO_ON: nothing does. */
static enum step look_around(struct run *r, bool segment_just_done)
{
    struct engine_link *l = &r->w->engine;
    enum step s = run_check(r);
    int64_t now_ms = clock_mono_ms();
    if (s == STEP_LOST || s == STEP_RELEASE)
        return s;
    if (s == STEP_CANCEL || s == STEP_OVERDUE)
        ask_to_stop(r, s);
    if (drain_due(r, segment_just_done))
        ask_to_stop(r, STEP_RELEASE);
    int64_t grace_ms = r->stop == STEP_RELEASE || r->w->signals > 0 ? STOP_GRACE_DRAIN_MS : STOP_GRACE_MS;
    if (r->stop != STEP_GO_ON && now_ms - r->stop_ms >= grace_ms) {
        log_event_to(&r->notes, LOG_WARN, "engine.killed", "job", "s", r->lease.job_id, "why", "s", "it did not stop",
                     NULL);
        engine_link_kill(l);
        return r->stop;
    }
    if (r->stop == STEP_GO_ON && now_ms - r->last_event_ms >= r->w->conf->stall_ms) {
        log_event_to(&r->notes, LOG_WARN, "engine.killed", "job", "s", r->lease.job_id, "why", "s",
                     "it made no progress", NULL);
        engine_link_kill(l);
        err_set(&r->why, ERR_worker_lost, "the engine made no progress for %lld s and was killed",
                (long long)(r->w->conf->stall_ms / 1000));
        return STEP_FAIL;
    }
    return STEP_GO_ON;
}

static enum step gone(struct run *r, const struct err *e)
{
    enum step s = run_check(r);
    if (r->stop != STEP_GO_ON)
        return r->stop;
    if (s != STEP_GO_ON)
        return s;
    if (lease_fences(r->w->lease) != r->fences)
        return STEP_COLOUR; /* a fence killed it, and the job still is ours */
    return fail(r, e);
}

enum step run_colour(struct run *r)
{
    struct engine_link *l = &r->w->engine;
    int64_t began_ms = clock_mono_ms();
    enum step s = start(r);
    while (s == STEP_GO_ON) {
        struct err e = {0};
        json_t *m = NULL;
        int64_t segments = r->segments_made;
        int got = engine_link_next(l, TICK_MS, &m, &e);
        if (got < 0) {
            s = gone(r, &e);
            break;
        }
        if (got > 0) {
            s = dispatch(r, m);
            json_decref(m);
            r->last_event_ms = clock_mono_ms(); /* after it: waiting for the store is not the engine's stall */
        }
        worker_tick(r->w);
        if (s == STEP_GO_ON)
            s = look_around(r, r->segments_made > segments);
    }
    if (!r->idle)
        engine_link_kill(l); /* whatever ended this, the child must not go on with it */
    r->colour_ms += clock_mono_ms() - began_ms;
    return s;
}
