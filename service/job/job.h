/* job.h - one job as the queue knows it. Plain data; no I/O, no clock. */
#ifndef LONGANIM_JOB_JOB_H
#define LONGANIM_JOB_JOB_H

#include "base/hash.h"
#include "base/id.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*            enqueue               claim                complete
 *  (none) ──────────▶ queued ──────────────▶ running ──────────▶ succeeded
 *                       │  ▲                 │ │ │
 *        start deadline │  │ promote         │ │ └─ fail: not retryable or budget spent ──▶ failed
 *                       ▼  │ (backoff over)  │ └─── cancel seen ───────────────────────▶ canceled
 *                   expired └── waiting ◀────┘ fail: retryable; lease lost. (release goes back to queued)
 *  cancel while queued or waiting ─────────▶ canceled             terminal + retention over ──▶ purged (410) */
enum job_state {
    JOB_QUEUED,
    JOB_WAITING,
    JOB_RUNNING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELED,
    JOB_EXPIRED,
    JOB_PURGED
};
#define JOB_STATE_COUNT 8

/* How a job got there; one Lua script each. */
enum job_event {
    JOB_EV_CLAIM,
    JOB_EV_COMPLETE,
    JOB_EV_FAIL_RETRY,
    JOB_EV_FAIL_FINAL,
    JOB_EV_RELEASE,
    JOB_EV_LOST,
    JOB_EV_PROMOTE,
    JOB_EV_CANCEL,
    JOB_EV_CANCELED,
    JOB_EV_EXPIRE,
    JOB_EV_RETRY,
    JOB_EV_PURGE
};
#define JOB_EVENT_COUNT 12
const char *job_event_name(enum job_event event); /* "claim", "complete", … */

const char *job_state_name(enum job_state s);
int job_state_by_name(const char *name); /* -1 when unknown */
bool job_state_terminal(enum job_state s);

/* The table of edges: the state after `event` in `from`, or -1 when it may not happen. The scripts get their allowed
 * from-states out of this table, so it exists once. */
int job_next(enum job_state from, enum job_event event);

struct job_progress {
    int32_t fraction_ppm; /* 0..1,000,000 */
    char stage[24];       /* "fetch", "decode", "text", "memory", "encode", "diffusion", "render", "upload", … */
    int32_t segments_done, segments_total, step, steps;
    int64_t frames_done;
    int64_t eta_low_ms, eta_high_ms; /* from when this was recorded; -1 = not known yet */
};

struct job {
    char id[ID_SIZE];
    char tenant[64];
    char pool[64];
    enum job_state state;
    bool cancel_requested;
    int64_t version;
    int64_t created_ms, queued_ms, started_ms, finished_ms, expires_ms; /* wall; 0 = not yet */
    int64_t deadline_ms, start_deadline_ms;                             /* wall; 0 = none */
    int32_t priority, attempt, max_attempts, worker_losses;
    int64_t epoch;
    int64_t queue_position; /* 1-based while queued, an estimate where tenants share; 0 = unknown or not queued */
    struct job_progress progress;
    int64_t progress_at_ms; /* when it was recorded; wall */
    char manifest_key[256];
    char *params_text, *input_text, *tags_text; /* JSON texts as stored by the manifest; owned */
    char *trace_state;                          /* owned; NULL = none */
    char result_key[256], result_sha256[HASH_HEX_SIZE], result_type[48];
    int64_t result_bytes;
    int32_t result_width, result_height;
    int64_t result_frames;
    char error_code[40];
    char error_detail[400];
    char trace_parent[64];
};

void job_init(struct job *j);
void job_free(struct job *j);

/* Replaces an owned text of a job; aborts when memory is out. NULL = none. */
void job_set_text(char **slot, const char *text_or_null);

/* The job object of the HTTP contract; new reference. `base_url` is put in front of urls ("" = relative). At most 4 kB
 * as compact text, prompts and tags not counted. */
json_t *job_json(const struct job *j, const char *base_url);

#endif
