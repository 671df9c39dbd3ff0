/* run.h - one claimed job, from the claim to its end. */
#ifndef LONGANIM_WORKER_RUN_H
#define LONGANIM_WORKER_RUN_H

#include "base/buf.h"
#include "base/log.h"
#include "job/manifest.h"
#include "worker/worker.h"

/* The steps of a job, see the table in run.c. */
enum step {
    STEP_FETCH,    /* manifest and inputs */
    STEP_COLOUR,   /* the engine, segments becoming durable as they finish */
    STEP_UPLOAD,   /* result, preview, receipt */
    STEP_COMPLETE, /* the pointer moves: from here on the result is visible */
    STEP_FAIL,
    STEP_OVERDUE, /* its deadline has passed */
    STEP_CANCEL,
    STEP_RELEASE, /* back to the queue, at the last segment */
    STEP_LOST,    /* somebody else's job now */
    STEP_END,
    STEP_GO_ON, /* of helpers: nothing in the way */
};

struct run {
    struct worker *w;
    struct queue_lease lease;
    struct manifest manifest;
    bool has_manifest;
    char prefix[MANIFEST_KEY_MAX];
    char dir[FS_PATH_MAX]; /* of this job, inside the scratch folder */
    int64_t began_ms;      /* wall */
    int64_t colour_ms;     /* mono time spent with the engine */
    int64_t segments_kept, segments_made;

    char plan_hash[HASH_HEX_SIZE];
    struct job_progress progress; /* as last reported */
    struct engine_result result;
    struct queue_result uploaded;
    enum step stop;        /* why the engine was asked to stop; STEP_GO_ON = it was not */
    int64_t stop_ms;       /* mono, when */
    int64_t last_event_ms; /* mono, of the engine */
    bool idle;             /* the engine has answered and works on nothing */
    int64_t fences;        /* lease_fences when the engine was started on this */
    struct err why;        /* of STEP_FAIL */
    struct buf notes;      /* the log of this attempt, a JSON object a line; what does not fit is left out */
    bool store_away;       /* the last call to the store was in vain */
    char span[17];         /* of the trace; "" = none */
    int64_t segment_began_us;
    char preview_key[STORE_KEY_MAX];
};

/* Runs the job of this lease to its end, whatever that is. */
void run_job(struct worker *w, const struct queue_lease *lease);

/* ---- for the files of this folder ---- */

/* What stands in the way of going on: a cancel, a lost lease, a drain that cannot wait. A fence is waited for here
 * until Redis says whose the job is. */
enum step run_check(struct run *r);

/* After a failed call: an error of the store or of Redis is waited out (STEP_GO_ON: try again), anything else fails the
 * job. *pause_ms grows from call to call; start with 0. */
enum step run_patience(struct run *r, const struct err *e, int64_t *pause_ms);

enum step run_colour(struct run *r); /* colour.c */

/* commit.c: makes one finished segment durable and known. */
enum step run_commit(struct run *r, const struct engine_segment *s);
/* Fetches what was committed under this plan: *out is malloc'ed. */
enum step run_committed(struct run *r, struct engine_segment **out, int *count);

/* spans.c: the run's part of the trace, where one is wanted. */
void run_span_begin(struct run *r);
void run_span_segment(struct run *r, const struct engine_segment *made);
void run_span_end(const struct run *r, const char *by);

/* deliver.c: a copy of the result where the job wants one. */
enum step run_deliver(struct run *r);

/* upload.c */
enum step run_upload(struct run *r);
void run_upload_preview(struct run *r, const char *path); /* while it runs: never in the way */
void run_upload_notes(struct run *r);                     /* so is this */
enum step run_put_file(struct run *r, const char *key, const char *path, const char *sha256);

/* tidy.c: after a lost lease, removes what this epoch uploaded and nobody refers to. */
void run_tidy(struct run *r);

/* An error into the log and the notes. */
void run_note(struct run *r, enum log_level level, const char *event, const struct err *e);

/* "<prefix of the job><format…>" */
int run_key(const struct run *r, char out[STORE_KEY_MAX], struct err *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
