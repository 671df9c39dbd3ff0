/* queue.h - the durable list of jobs. Every change is one Lua script: check, change, bump version, publish.
 *
 * Threads: a struct queue is one connection and belongs to one thread at a time. It connects lazily and again after
 * every failure; the scripts may be repeated after a lost reply, and queue.c does so once by itself.
 * Errors: dependency_redis when Redis cannot be reached (or says so); others are named at the function.
 * Time inside is Redis' clock only. Keys and scripts: docs/queue.md. */
#ifndef LONGANIM_QUEUE_QUEUE_H
#define LONGANIM_QUEUE_QUEUE_H

#include "base/err.h"
#include "job/job.h"
#include "job/manifest.h"

struct queue;

/* `url`: "redis://[user:pass@]host:port/db" or "unix:/path". Fails only when the URL is malformed (params_invalid). */
int queue_new(struct queue **out, const char *url, struct err *e);
void queue_free(struct queue *q);

/* Round trip; also refuses (dependency_redis) a server whose maxmemory-policy is not noeviction. */
int queue_ping(struct queue *q, struct err *e);

/* Run id of the server plus our marker key: differs after a restart or after the data was lost. */
int queue_generation(struct queue *q, char out[96], struct err *e);
int queue_mark_reconciled(struct queue *q, struct err *e);

enum queue_enqueued { QUEUE_NEW, QUEUE_DUPLICATE /* this id is known already */ };

/* Puts the job of a stored manifest in. quota_queued when the tenant has too many. */
int queue_enqueue(struct queue *q, const struct manifest *m, const char *manifest_key, int64_t max_queued,
                  enum queue_enqueued *out, struct err *e);

/* ---- idempotency: reserve before work, then commit or release ---- */
enum queue_idem { QUEUE_IDEM_RESERVED, QUEUE_IDEM_REPLAY, QUEUE_IDEM_IN_PROGRESS, QUEUE_IDEM_CONFLICT };
/* Reserves (tenant, key) for `holder` for ttl_ms. On REPLAY out_job_id and out_fingerprint are set. */
int queue_idem_reserve(struct queue *q, const char *tenant, const char *key, const char *holder, int64_t ttl_ms,
                       enum queue_idem *out, char out_job_id[ID_SIZE], char out_fingerprint[HASH_HEX_SIZE],
                       struct err *e);
int queue_idem_commit(struct queue *q, const char *tenant, const char *key, const char *holder, const char *job_id,
                      const char *fingerprint, int64_t keep_ms, struct err *e);
int queue_idem_release(struct queue *q, const char *tenant, const char *key, const char *holder, struct err *e);

/* ---- the worker's side ---- */
struct queue_lease {
    char job_id[ID_SIZE];
    char worker[64];
    int64_t epoch;
    int32_t attempt;
    char manifest_key[256];
};
/* Waits up to wait_ms for a job of one of the pools. 1 = claimed, 0 = none, -1 = error. `nonce` makes a repeat after
 * a lost reply return the same lease. */
int queue_claim(struct queue *q, const char *worker, const char *nonce, const char *const *pools, int pool_count,
                int64_t lease_ms, int64_t wait_ms, struct queue_lease *out, struct err *e);

enum queue_order { QUEUE_GO_ON, QUEUE_CANCEL, QUEUE_DEADLINE, QUEUE_LOST };
/* Extends the lease and records progress (NULL = none). */
int queue_beat(struct queue *q, const struct queue_lease *l, int64_t lease_ms, const struct job_progress *p,
               enum queue_order *out, struct err *e);

struct queue_segment {
    int32_t n;
    char key[256], sha256[HASH_HEX_SIZE];
    int64_t bytes;
    char state_key[256], state_sha256[HASH_HEX_SIZE]; /* the checkpoint object beside it; "" = none */
    int64_t state_bytes;
    int64_t first_frame;
    int32_t frames;
    int64_t epoch;
};
enum queue_segment_put { QUEUE_SEGMENT_NEW, QUEUE_SEGMENT_SAME, QUEUE_SEGMENT_KEPT_FIRST, QUEUE_SEGMENT_LOST };
/* First commit of n wins. `plan_hash` names the plan; a commit under another plan than the stored one resets. */
int queue_segment_commit(struct queue *q, const struct queue_lease *l, const char *plan_hash,
                         const struct queue_segment *s, enum queue_segment_put *out, struct err *e);
/* All committed segments in order of n; *out is malloc'ed (free it). plan_hash may be NULL: any. */
int queue_segments(struct queue *q, const char *job_id, const char *plan_hash, struct queue_segment **out, int *count,
                   struct err *e);

struct queue_result {
    char key[256], sha256[HASH_HEX_SIZE], content_type[48];
    int64_t bytes, frames;
    int32_t width, height;
};
enum queue_end { QUEUE_ENDED, QUEUE_END_LOST, QUEUE_END_CANCELED };
/* Refused with QUEUE_END_CANCELED when a cancel was accepted before; then call queue_canceled. */
int queue_complete(struct queue *q, const struct queue_lease *l, const struct queue_result *r, enum queue_end *out,
                   struct err *e);
/* The class of code decides: retry with backoff, or failed. */
int queue_fail(struct queue *q, const struct queue_lease *l, const struct err *why, enum queue_end *out, struct err *e);
int queue_release(struct queue *q, const struct queue_lease *l, enum queue_end *out, struct err *e); /* drain */
int queue_canceled(struct queue *q, const struct queue_lease *l, enum queue_end *out, struct err *e);

/* ---- the api's side ---- */
/* job_not_found, job_purged. *out is filled and must be job_free'd. */
int queue_get(struct queue *q, const char *job_id, struct job *out, struct err *e);
struct queue_filter {
    const char *tenant; /* NULL = any */
    int state;          /* -1 = any */
    const char *tag_key, *tag_value;
    const char *cursor; /* opaque, from a former page; NULL = start */
    bool backward;      /* the page before the cursor */
    bool ascending;     /* oldest first */
    int limit;          /* 1..100 */
};
struct queue_page {
    struct job *jobs; /* count of them; queue_page_free frees */
    int count;
    char next[64], prev[64]; /* "" = none */
};
int queue_list(struct queue *q, const struct queue_filter *f, struct queue_page *out, struct err *e);
void queue_page_free(struct queue_page *p);

enum queue_cancel { QUEUE_CANCEL_DONE, QUEUE_CANCEL_ASKED, QUEUE_CANCEL_TERMINAL };
int queue_cancel(struct queue *q, const char *job_id, const char *who, enum queue_cancel *out, struct err *e);
int queue_retry(struct queue *q, const char *job_id, struct err *e); /* job_not_failed */
int queue_delete(struct queue *q, const char *job_id, int64_t tombstone_ms,
                 struct err *e); /* job_not_terminal, job_purged */

/* ---- housekeeping; safe to run from many programs ---- */
struct queue_reaped {
    int lost, expired, canceled, promoted, poisoned;
};
int queue_reap(struct queue *q, int limit, struct queue_reaped *out, struct err *e); /* leases, deadlines, backoff */
struct queue_depth {
    char pool[64];
    int64_t queued, waiting, running;
    int64_t oldest_ms; /* age of the oldest queued job; 0 = none */
};
int queue_depths(struct queue *q, struct queue_depth *out, int max, int *count, struct err *e);

/* ---- models that workers announce ---- */
int queue_announce(struct queue *q, const char *worker, const char *models_json, int64_t ttl_ms, struct err *e);
int queue_models(struct queue *q, json_t **out_object, struct err *e); /* name -> description; new reference */

/* ---- events: one stream for all jobs ---- */
struct queue_event {
    char id[40]; /* stream id, "ms-seq" */
    char job_id[ID_SIZE];
    char type[24]; /* "state", "progress", "segment" */
    int64_t version;
};
/* Blocks up to wait_ms for events after `after` ("$" = from now). Returns how many (0..max) or -1. */
int queue_events(struct queue *q, const char *after, int64_t wait_ms, struct queue_event *out, int max, struct err *e);

/* Events of one job still retained, oldest first, after `after` ("" = from the first). *reset is set when `after` is
 * no longer there. Returns how many or -1. */
int queue_job_events(struct queue *q, const char *job_id, const char *after, struct queue_event *out, int max,
                     bool *reset, struct err *e);

#endif
