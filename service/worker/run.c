#include "worker/run.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/trace.h"
#include "ledger/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- waiting and deciding ---- */

static enum step step_of(enum lease_order o)
{
    switch (o) {
    case LEASE_CANCEL:
        return STEP_CANCEL;
    case LEASE_DEADLINE:
        return STEP_OVERDUE;
    case LEASE_LOST:
        return STEP_LOST;
    case LEASE_GO_ON:
    case LEASE_FENCED:
        break;
    }
    return STEP_GO_ON;
}

enum step run_check(struct run *r)
{
    enum lease_order o;
    while ((o = lease_order(r->w->lease)) == LEASE_FENCED) {
        if (r->w->signals > 0)
            return STEP_RELEASE;
        worker_wait(r->w, 1000);
    }
    return step_of(o);
}

enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 2000, NOTES_MAX_BYTES = 256 << 10 };

enum step run_patience(struct run *r, const struct err *e, int64_t *pause_ms)
{
    bool redis = e->code == ERR_dependency_redis;
    if (!redis && err_info(e->code)->class != ERR_CLASS_STORAGE) {
        r->why = *e;
        return STEP_FAIL;
    }
    if (*pause_ms == 0)
        run_note(r, LOG_WARN, "job.waits", e);
    r->store_away = !redis;
    *pause_ms = *pause_ms ? *pause_ms * 2 : PAUSE_MIN_MS;
    if (*pause_ms > PAUSE_MAX_MS)
        *pause_ms = PAUSE_MAX_MS;
    int64_t until_ms = clock_mono_ms() + *pause_ms;
    while (clock_mono_ms() < until_ms) {
        enum step s = run_check(r);
        if (s != STEP_GO_ON)
            return s;
        if (r->w->signals > 0 && !redis)
            return STEP_RELEASE; /* a drain does not wait for the store */
        worker_wait(r->w, until_ms - clock_mono_ms());
    }
    return STEP_GO_ON;
}

void run_note(struct run *r, enum log_level level, const char *event, const struct err *e)
{
    log_event_to(&r->notes, level, event, "job", "s", r->lease.job_id, "code", "s", err_info(e->code)->name, "detail",
                 "s", e->detail, NULL);
}

int run_key(const struct run *r, char out[STORE_KEY_MAX], struct err *e, const char *format, ...)
{
    char rest[STORE_KEY_MAX];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(rest, sizeof rest, format, list);
    va_end(list);
    int all = n < 0 ? -1 : snprintf(out, STORE_KEY_MAX, "%s%s", r->prefix, rest);
    return n < 0 || n >= (int)sizeof rest || all < 0 || all >= STORE_KEY_MAX
               ? err_set(e, ERR_internal, "a key of the store is too long")
               : 0;
}

/* ---- fetch ---- */

static int read_manifest(struct run *r, struct err *e)
{
    struct err why = {0};
    if (r->has_manifest)
        return 0;
    if (ledger_read_manifest(&r->w->ledger, r->lease.manifest_key, &r->manifest, &why) == 0) {
        r->has_manifest = true;
        manifest_prefix(&r->manifest, r->prefix);
        return 0;
    }
    if (why.code == ERR_job_not_found)
        why.code = ERR_internal; /* the queue knows a job whose manifest is gone */
    if (e)
        *e = why;
    return -1;
}

static int fetch_file(struct run *r, const struct manifest_file *f, const char *name, struct err *e)
{
    char path[FS_PATH_MAX], sha256[HASH_HEX_SIZE];
    int64_t bytes = 0;
    struct err why = {0};
    if (fs_join(path, r->dir, name, e) != 0)
        return -1;
    if (store_get_file(r->w->store, f->key, path, &why) != 0) {
        if (why.code == ERR_job_not_found)
            why.code = ERR_internal;
        if (e)
            *e = why;
        return -1;
    }
    if (hash_file(path, sha256, &bytes, e) != 0)
        return -1;
    if (bytes != f->bytes || strcmp(sha256, f->sha256) != 0)
        return err_set(e, ERR_internal, "%s in the store is not what was uploaded", name);
    return 0;
}

static int fetch_all(struct run *r, struct err *e)
{
    if (read_manifest(r, e) != 0 || fs_mkdirs(r->dir, e) != 0 || fetch_file(r, &r->manifest.video, "video", e) != 0)
        return -1;
    for (int i = 0; i < r->manifest.reference_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "reference-%d", i);
        if (fetch_file(r, &r->manifest.references[i], name, e) != 0)
            return -1;
    }
    if (r->manifest.palette.key[0] && fetch_file(r, &r->manifest.palette, "palette", e) != 0)
        return -1;
    return r->manifest.timesheet.key[0] ? fetch_file(r, &r->manifest.timesheet, "timesheet", e) : 0;
}

static enum step step_fetch(struct run *r)
{
    struct job_progress p = {.stage = "fetch", .eta_low_ms = -1, .eta_high_ms = -1};
    int64_t pause_ms = 0;
    struct err e = {0};
    worker_tick(r->w);
    if (r->w->signals > 0)
        return STEP_RELEASE;
    lease_progress(r->w->lease, &p);
    while (fetch_all(r, &e) != 0) {
        enum step s = run_patience(r, &e, &pause_ms);
        if (s != STEP_GO_ON)
            return s;
        e = (struct err){0};
    }
    fault("worker.fetched");
    run_span_begin(r);
    return STEP_COLOUR;
}

/* ---- ends; each asks Redis until it has an answer ---- */

typedef int (*end_fn)(struct run *r, enum queue_end *out, struct err *e);

/* Every end is fenced by the epoch inside Redis, so it may be asked for at any time, fenced or not. */
static enum step report(struct run *r, const char *as, end_fn end, enum queue_end *out)
{
    log_event_to(&r->notes, LOG_DEBUG, "job.ends", "job", "s", r->lease.job_id, "as", "s", as, "ms", "i",
                 clock_wall_ms() - r->began_ms, NULL);
    if (lease_order(r->w->lease) != LEASE_LOST) /* else the job may be gone, and this would be left over */
        run_upload_notes(r);
    for (int64_t pause_ms = PAUSE_MIN_MS;; pause_ms = pause_ms < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS) {
        struct err e = {0};
        if (end(r, out, &e) == 0)
            return *out == QUEUE_END_LOST ? STEP_LOST : STEP_GO_ON;
        log_err(LOG_WARN, "job.report_failed", r->lease.job_id, &e);
        if (e.code != ERR_dependency_redis)
            return STEP_LOST; /* the lease will run out and be reaped */
        if (lease_order(r->w->lease) == LEASE_LOST || worker_must_leave(r->w))
            return STEP_LOST;
        worker_wait(r->w, pause_ms);
    }
}

static int end_complete(struct run *r, enum queue_end *out, struct err *e)
{
    return queue_complete(r->w->queue, &r->lease, &r->uploaded, out, e);
}

static int end_fail(struct run *r, enum queue_end *out, struct err *e)
{
    return queue_fail(r->w->queue, &r->lease, &r->why, out, e);
}

static int end_canceled(struct run *r, enum queue_end *out, struct err *e)
{
    return queue_canceled(r->w->queue, &r->lease, out, e);
}

static int end_release(struct run *r, enum queue_end *out, struct err *e)
{
    return queue_release(r->w->queue, &r->lease, out, e);
}

/* Writes the end's record and removes what it leaves without a purpose; the sweeper does what fails here. */
static enum step settle(struct run *r)
{
    struct err e = {0};
    if (ledger_settle(&r->w->ledger, r->lease.job_id, &e) != 0)
        log_err(LOG_WARN, "job.unsettled", r->lease.job_id, &e);
    return STEP_END;
}

static enum step step_complete(struct run *r)
{
    enum queue_end end;
    struct err e = {0};
    int64_t pause_ms = 0;
    while (ledger_success(&r->w->ledger, &r->lease, &r->uploaded, &e) != 0) {
        enum step s = run_patience(r, &e, &pause_ms);
        if (s != STEP_GO_ON)
            return s;
        e = (struct err){0};
    }
    enum step s = report(r, "complete", end_complete, &end);
    if (s != STEP_GO_ON)
        return s;
    fault("worker.completed");
    return end == QUEUE_END_CANCELED ? STEP_CANCEL : settle(r);
}

static enum step step_fail(struct run *r)
{
    enum queue_end end;
    run_note(r, LOG_WARN, "job.failed", &r->why);
    enum step s = report(r, "fail", end_fail, &end);
    if (s != STEP_GO_ON)
        return s;
    fault("worker.failed");
    return end == QUEUE_END_CANCELED ? STEP_CANCEL : settle(r);
}

static enum step step_overdue(struct run *r)
{
    err_set(&r->why, ERR_deadline_exceeded, "the deadline passed while the job was running");
    return STEP_FAIL;
}

static enum step step_cancel(struct run *r)
{
    enum queue_end end;
    enum step s = report(r, "canceled", end_canceled, &end);
    if (s != STEP_GO_ON)
        return s;
    fault("worker.canceled");
    return settle(r);
}

static enum step step_release(struct run *r)
{
    enum queue_end end;
    enum step s = report(r, "release", end_release, &end);
    if (s != STEP_GO_ON)
        return s;
    fault("worker.released");
    return end == QUEUE_END_CANCELED ? STEP_CANCEL : STEP_END;
}

static enum step step_lost(struct run *r)
{
    log_event(LOG_WARN, "job.lost", "job", "s", r->lease.job_id, "epoch", "i", r->lease.epoch, NULL);
    run_tidy(r);
    fault("worker.tidied");
    return STEP_END;
}

/* clang-format off */
static const struct {
    const char *name;
    enum step (*go)(struct run *r);
} steps[] = {
    [STEP_FETCH]    = {"fetch",    step_fetch},
    [STEP_COLOUR]   = {"colour",   run_colour},
    [STEP_UPLOAD]   = {"upload",   run_upload},
    [STEP_COMPLETE] = {"complete", step_complete},
    [STEP_FAIL]     = {"fail",     step_fail},
    [STEP_OVERDUE]  = {"overdue",  step_overdue},
    [STEP_CANCEL]   = {"cancel",   step_cancel},
    [STEP_RELEASE]  = {"release",  step_release},
    [STEP_LOST]     = {"lost",     step_lost},
};
/* clang-format on */

void run_job(struct worker *w, const struct queue_lease *lease)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->w = w;
    r->lease = *lease;
    r->began_ms = clock_wall_ms();
    r->stop = STEP_GO_ON;
    fault("worker.claimed");
    buf_init(&r->notes, NOTES_MAX_BYTES);
    log_event_to(&r->notes, LOG_INFO, "job.claimed", "job", "s", lease->job_id, "epoch", "i", lease->epoch, "attempt",
                 "i", (int64_t)lease->attempt, NULL);
    lease_hold(w->lease, lease);
    enum step s = STEP_FETCH, last = STEP_FETCH;
    if (fs_join(r->dir, w->scratch.path, lease->job_id, &r->why) != 0)
        s = STEP_FAIL;
    while (s != STEP_END) {
        log_event(LOG_DEBUG, "job.step", "job", "s", lease->job_id, "step", "s", steps[s].name, NULL);
        last = s;
        s = steps[s].go(r);
    }
    lease_drop(w->lease);
    run_span_end(r, steps[last].name);
    char trace_id[33] = "", caller[17];
    bool sampled;
    if (r->has_manifest)
        trace_parse(r->manifest.trace_parent, trace_id, caller, &sampled);
    log_event(LOG_INFO, "job.ended", "job", "s", lease->job_id, "trace_id", "s", trace_id, "epoch", "i", lease->epoch,
              "by", "s", steps[last].name, "ms", "i", clock_wall_ms() - r->began_ms, "segments_kept", "i",
              r->segments_kept, "segments_made", "i", r->segments_made, NULL);
    struct err e = {0};
    if (fs_remove_tree(r->dir, &e) != 0)
        log_err(LOG_WARN, "scratch.left", lease->job_id, &e);
    if (r->has_manifest)
        manifest_free(&r->manifest);
    buf_free(&r->notes);
    free(r);
}
