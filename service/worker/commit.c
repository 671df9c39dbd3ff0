/* Segments: made durable and known one by one as they finish, and fetched again by whoever goes on with the job. */
#include "worker/run.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int segment_keys(const struct run *r, const struct engine_segment *s, struct queue_segment *out, struct err *e)
{
    *out = (struct queue_segment){.n = s->n,
                                  .bytes = s->bytes,
                                  .state_bytes = s->state_bytes,
                                  .first_frame = s->first_frame,
                                  .frames = s->frames,
                                  .epoch = r->lease.epoch};
    memcpy(out->sha256, s->sha256, sizeof out->sha256);
    memcpy(out->state_sha256, s->state_sha256, sizeof out->state_sha256);
    long long epoch = (long long)r->lease.epoch;
    if (run_key(r, out->key, e, "seg/%05d.e%lld.%.12s.mkv", s->n, epoch, s->sha256) != 0)
        return -1;
    return s->state_path[0] ? run_key(r, out->state_key, e, "ckpt/%05d.e%lld.%.12s.bin", s->n, epoch, s->state_sha256)
                            : 0;
}

static void drop(struct run *r, const struct queue_segment *s)
{
    struct err e = {0};
    if (store_delete(r->w->store, s->key, &e) != 0 ||
        (s->state_key[0] && store_delete(r->w->store, s->state_key, &e) != 0))
        log_err(LOG_WARN, "store.left", r->lease.job_id, &e); /* the sweeper finds it */
}

enum step run_commit(struct run *r, const struct engine_segment *s)
{
    struct queue_segment q;
    enum queue_segment_put put;
    struct err e = {0};
    int64_t pause_ms = 0;
    if (segment_keys(r, s, &q, &e) != 0) {
        r->why = e;
        return STEP_FAIL;
    }
    enum step step = run_put_file(r, q.key, s->path, s->sha256);
    fault("worker.segment.stored");
    if (step == STEP_GO_ON && q.state_key[0])
        step = run_put_file(r, q.state_key, s->state_path, s->state_sha256);
    if (step != STEP_GO_ON)
        return step;
    fault("worker.segment.checkpointed");
    while (queue_segment_commit(r->w->queue, &r->lease, r->plan_hash, &q, &put, &e) != 0) {
        step = run_patience(r, &e, &pause_ms);
        if (step != STEP_GO_ON)
            return step;
        e = (struct err){0};
    }
    fault("worker.segment.committed");
    log_event_to(&r->notes, LOG_INFO, "segment.committed", "job", "s", r->lease.job_id, "n", "i", (int64_t)s->n,
                 "epoch", "i", r->lease.epoch, "sha256", "s", s->sha256, "put", "i", (int64_t)put, NULL);
    if (put == QUEUE_SEGMENT_KEPT_FIRST || put == QUEUE_SEGMENT_LOST)
        drop(r, &q);
    return put == QUEUE_SEGMENT_LOST ? STEP_LOST : STEP_GO_ON;
}

/* One committed segment onto local disk. 1 = there, 0 = not in the store as it should be: it is made again. */
static int fetch_segment(struct run *r, const struct queue_segment *q, struct engine_segment *out, struct err *e)
{
    char name[64];
    struct err why = {0};
    int n = q->n;
    *out = (struct engine_segment){
        .n = n, .first_frame = q->first_frame, .frames = q->frames, .bytes = q->bytes, .state_bytes = q->state_bytes};
    memcpy(out->sha256, q->sha256, sizeof out->sha256);
    memcpy(out->state_sha256, q->state_sha256, sizeof out->state_sha256);
    for (int state = 0; state < 2; state++) {
        const char *key = state ? q->state_key : q->key;
        char *path = state ? out->state_path : out->path;
        char full[FS_PATH_MAX];
        if (!key[0])
            continue;
        snprintf(name, sizeof name, "kept-%05d.%s", n, state ? "bin" : "mkv");
        if (fs_join(full, r->dir, name, e) != 0)
            return -1;
        if (text_copy(path, ENGINE_PATH_MAX, full) != 0)
            return err_set(e, ERR_internal, "a path is too long");
        if (store_get_file(r->w->store, key, path, &why) == 0)
            continue;
        if (why.code == ERR_job_not_found)
            return 0;
        if (e)
            *e = why;
        return -1;
    }
    return 1;
}

enum step run_committed(struct run *r, struct engine_segment **out, int *count)
{
    struct queue_segment *rows = NULL;
    struct err e = {0};
    int64_t pause_ms = 0;
    int known = 0, n = 0;
    enum step step = STEP_GO_ON;
    while (queue_segments(r->w->queue, r->lease.job_id, r->plan_hash, &rows, &known, &e) != 0) {
        step = run_patience(r, &e, &pause_ms);
        if (step != STEP_GO_ON)
            return step;
        e = (struct err){0};
    }
    struct engine_segment *kept = calloc(known > 0 ? (size_t)known : 1, sizeof *kept);
    if (!kept)
        abort();
    while (step == STEP_GO_ON && n < known && rows[n].n == n) {
        int got = fetch_segment(r, &rows[n], &kept[n], &e);
        if (got == 0)
            break;
        if (got == 1)
            n++;
        else
            step = run_patience(r, &e, &pause_ms);
    }
    free(rows);
    if (n > 0)
        log_event_to(&r->notes, LOG_INFO, "job.resumes", "job", "s", r->lease.job_id, "segments", "i", (int64_t)n,
                     NULL);
    *out = kept;
    *count = n;
    return step;
}
