/* queue.h - the durable list of jobs. Every change is one Lua script: check, change, bump version, publish.
 *
 * Threads: a struct queue is one connection and belongs to one thread at a time. It connects lazily and again after
 * every failure; a script whose reply was lost is repeated once by queue.c itself, and callers may repeat any call.
 * The program must ignore SIGPIPE (proc_signals does).
 * Errors: dependency_redis when Redis cannot be reached (or says so), and for questions about what is not there while
 * the data may have been lost (no queue_mark_reconciled yet); others are named at the function.
 * Time inside is Redis' clock only. Keys and scripts: docs/queue.md. */
#ifndef LONGANIM_QUEUE_QUEUE_H
#define LONGANIM_QUEUE_QUEUE_H

#include "base/config.h"
#include "base/err.h"
#include "job/job.h"
#include "job/manifest.h"

struct queue;

/* `url`: "redis://[user:pass@]host:port/db" or "unix:/path". Fails only when the URL is malformed (params_invalid). */
int queue_new(struct queue **out, const char *url, struct err *e);
void queue_free(struct queue *q);

/* What the scripts are told; the defaults are those of config_table.h. Call before the first use. */
struct queue_conf {
    int64_t retry_base_ms; /* backoff: random up to base * 2^n */
    int64_t retention_ms;  /* from the end of a job to its expires_at */
    int64_t lease_ms;      /* the longest lease that workers take; what the reaper waits after an outage */
};
void queue_configure(struct queue *q, const struct queue_conf *c);
const struct queue_conf *queue_configured(const struct queue *q);

/* The queue of these settings, told what they say. */
int queue_open(struct queue **out, const struct config *c, struct err *e);

/* Round trip; also refuses (dependency_redis) a server whose maxmemory-policy is not noeviction. */
int queue_ping(struct queue *q, struct err *e);

/* Run id of the server plus our marker key: differs after a restart or after the data was lost. */
int queue_generation(struct queue *q, char out[96], struct err *e);
int queue_mark_reconciled(struct queue *q, struct err *e); /* sets the marker where there is none */

/* ---- creating ---- */
enum queue_enqueued {
    QUEUE_NEW,
    QUEUE_DUPLICATE, /* this id is known already (or was deleted) */
    QUEUE_KEY_TAKEN, /* another job has this idempotency key; nothing was enqueued */
};
#define QUEUE_KEY_SIZE 256 /* of a name in the store */

/* What one tenant may have; 0 = no bound. */
struct queue_quota {
    int64_t queued;       /* jobs queued or waiting */
    int64_t stored_bytes; /* of inputs, segments, results and uploads */
};
/* Puts the job of a stored manifest in, and with it, in the same step, the manifest's idempotency key for idem_keep_ms
 * (whoever holds the reservation). quota_queued, quota_storage. out_other: the job that has the key, on
 * QUEUE_KEY_TAKEN. */
int queue_enqueue(struct queue *q, const struct manifest *m, const char *manifest_key, const struct queue_quota *quota,
                  int64_t idem_keep_ms, enum queue_enqueued *out, char out_other[ID_SIZE], struct err *e);

struct queue_usage {
    int64_t queued, waiting, running, stored_bytes;
};
int queue_usage(struct queue *q, const char *tenant, struct queue_usage *out, struct err *e);
/* Counts a resumable upload against its tenant until expires_ms (wall). quota_storage when it would go past
 * max_stored_bytes (0 = no bound). Counts are forgotten with Redis. */
int queue_upload_count(struct queue *q, const char *tenant, const char *upload_id, int64_t bytes, int64_t expires_ms,
                       int64_t max_stored_bytes, struct err *e);
int queue_upload_forget(struct queue *q, const char *tenant, const char *upload_id, struct err *e);

/* For each of these files (by SHA-256) the key of an object that had the same content for this tenant, "" = not known;
 * it may be gone. Known are the inputs of enqueued jobs, for a week. */
int queue_inputs(struct queue *q, const char *tenant, const char *const *sha256, int count,
                 char (*out_keys)[QUEUE_KEY_SIZE], struct err *e);

/* ---- idempotency: reserve before work; enqueue commits; release where no job came of it ---- */
enum queue_idem { QUEUE_IDEM_RESERVED, QUEUE_IDEM_REPLAY, QUEUE_IDEM_IN_PROGRESS };
/* Reserves (tenant, key) for `holder` (a random text) for ttl_ms; the holder may do so again to extend it. On REPLAY
 * out_job_id and out_fingerprint are set; another fingerprint than the request's means idempotency_key_reused. */
int queue_idem_reserve(struct queue *q, const char *tenant, const char *key, const char *holder, int64_t ttl_ms,
                       enum queue_idem *out, char out_job_id[ID_SIZE], char out_fingerprint[HASH_HEX_SIZE],
                       struct err *e);
int queue_idem_release(struct queue *q, const char *tenant, const char *key, const char *holder, struct err *e);

/* ---- the worker's side ---- */
struct queue_lease {
    char job_id[ID_SIZE];
    char worker[64];
    int64_t epoch; /* rises with every claim of the job; part of every object key that an attempt writes */
    int32_t attempt;
    bool low_memory; /* the attempt before ended in gpu_oom */
    char manifest_key[256];
};
/* Waits up to wait_ms for a job of one of the pools. 1 = claimed, 0 = none, -1 = error. `nonce`: a new random text for
 * every claim; the same one again (after an error) gives the same lease if the first try had got one. */
int queue_claim(struct queue *q, const char *worker, const char *nonce, const char *const *pools, int pool_count,
                int64_t lease_ms, int64_t wait_ms, struct queue_lease *out, struct err *e);

enum queue_order { QUEUE_GO_ON, QUEUE_CANCEL, QUEUE_DEADLINE /* end it with deadline_exceeded */, QUEUE_LOST };
/* Extends the lease and records progress (NULL = none; small steps within a second are not recorded). */
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
enum queue_end {
    QUEUE_ENDED,
    QUEUE_END_LOST,     /* the lease is another's, or the job has ended otherwise */
    QUEUE_END_CANCELED, /* a cancel was accepted before; nothing changed, call queue_canceled */
};
int queue_complete(struct queue *q, const struct queue_lease *l, const struct queue_result *r, enum queue_end *out,
                   struct err *e);
/* The class of the code decides: waiting with backoff (STORAGE: no attempt counted; OOM: once, with low_memory), or
 * failed. */
int queue_fail(struct queue *q, const struct queue_lease *l, const struct err *why, enum queue_end *out, struct err *e);
int queue_release(struct queue *q, const struct queue_lease *l, enum queue_end *out, struct err *e); /* drain */
int queue_canceled(struct queue *q, const struct queue_lease *l, enum queue_end *out, struct err *e);

/* ---- the api's side ---- */
/* job_not_found. A deleted job is returned with state JOB_PURGED and nothing but id and tenant. *out must be job_free'd
 * after success. */
int queue_get(struct queue *q, const char *job_id, struct job *out, struct err *e);
struct queue_filter {
    const char *tenant; /* NULL = any */
    int state;          /* -1 = any */
    const char *tag_key, *tag_value;
    const char *cursor; /* opaque, from a former page; NULL = start; params_invalid when it is not one */
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
/* job_not_found, job_purged. */
int queue_cancel(struct queue *q, const char *job_id, const char *who, enum queue_cancel *out, struct err *e);
/* job_not_found, job_purged, job_not_failed. Callers use ledger_retry and ledger_delete, which keep the store right. */
int queue_retry(struct queue *q, const char *job_id, struct err *e);
/* job_not_found, job_not_terminal, job_purged. */
int queue_delete(struct queue *q, const char *job_id, int64_t tombstone_ms, struct err *e);

/* ---- housekeeping; safe to run from many programs ---- */
struct queue_reaped {
    int lost, expired, canceled, promoted, poisoned, overdue; /* overdue: running jobs told of their deadline */
};
/* Ended leases, deadlines, ended backoffs; at most `limit` of each. Run it every lease/2 or more often: a longer gap is
 * taken for an outage of Redis, and then leases are left alone for one lease. */
int queue_reap(struct queue *q, int limit, struct queue_reaped *out, struct err *e);

struct queue_depth {
    char pool[64];
    bool paused;
    int64_t queued, waiting, running;
    int64_t oldest_ms;                            /* age of the oldest queued job; 0 = none */
    int64_t succeeded, failed, canceled, expired; /* ended so far */
    int64_t started, wait_ms;                     /* jobs started so far, and how long they had waited */
    int64_t run_ms;                               /* from start to success, of all that succeeded */
    int64_t segments, frames, retries, lost;      /* so far; lost: leases that ran out */
};
int queue_depths(struct queue *q, struct queue_depth *out, int max, int *count, struct err *e);
int queue_pause(struct queue *q, const char *pool, bool paused, struct err *e); /* pool_not_found */
/* The same for a pool that Redis has forgotten; one that it knows is left as it is. */
int queue_pause_again(struct queue *q, const char *pool, struct err *e);
struct queue_share {
    char tenant[64];
    int64_t weight, max_running;
};
/* Shares of tenants: weight (1 = as everyone) and most jobs at once (0 = no bound). Only what is new is written. */
int queue_shares(struct queue *q, const struct queue_share *shares, int count, struct err *e);
struct queue_rate {
    char tenant[64];
    int64_t used_us;  /* what it used of its rate since the last call, as the time that this takes to come back */
    int64_t ahead_us; /* answer: how long until everything that all apis counted has come back */
};
/* Adds up what keys used at all apis. After a lost reply it is counted twice, which passes as all of it does. */
int queue_rates(struct queue *q, struct queue_rate *list, int count, struct err *e);
/* A number that all programs see: how often queue_bump was called with this name. */
int queue_counter(struct queue *q, const char *name, int64_t *out, struct err *e);
int queue_bump(struct queue *q, const char *name, struct err *e);

/* Compares every counter and index with the jobs themselves; *out_drift = how many differ (0 is healthy). Each is
 * told to fn (may be NULL). Meant for a quiet queue: what moves meanwhile may be counted. */
int queue_audit(struct queue *q, void (*fn)(void *user, const char *what), void *user, int *out_drift, struct err *e);

/* Makes counters, indexes and sets what the jobs themselves say, in one step; *out_changed = how many entries were
 * wrong. overloaded when there are more than 200,000 jobs. */
int queue_recount(struct queue *q, int *out_changed, struct err *e);

/* ---- for the ledger (service/ledger) ---- */
typedef char queue_id[ID_SIZE];
/* Jobs that ended and whose end the store does not know yet, oldest first; how many (0..max) or -1. */
int queue_unsettled(struct queue *q, queue_id *out, int max, struct err *e);
/* The store knows of the end that had this version. */
int queue_settled(struct queue *q, const char *job_id, int64_t version, struct err *e);
/* Jobs whose retention is over; how many (0..max) or -1. */
int queue_outdated(struct queue *q, queue_id *out, int max, struct err *e);
enum queue_knows { QUEUE_UNKNOWN, QUEUE_KNOWN, QUEUE_DELETED };
int queue_knows(struct queue *q, const char *job_id, enum queue_knows *out, struct err *e);
/* Puts back a job whose manifest is in the store. It starts anew, with an epoch and a version above all former ones. */
int queue_recover(struct queue *q, const struct manifest *m, const char *manifest_key, int64_t idem_keep_ms,
                  enum queue_enqueued *out, struct err *e);
/* Puts back a job that had ended, as `j` says, with its segments and the endpoints that have yet to hear of that. */
#define QUEUE_HOOKS_MAX 16
int queue_restore(struct queue *q, const struct manifest *m, const struct job *j, const struct queue_segment *segments,
                  int segment_count, char (*hooks)[40], int hook_count, int64_t idem_keep_ms, enum queue_enqueued *out,
                  struct err *e);
/* Puts back the memory of a deleted job. */
int queue_bury(struct queue *q, const char *job_id, const char *tenant, int64_t tombstone_ms, struct err *e);

/* ---- models that workers announce ---- */
int queue_announce(struct queue *q, const char *worker, const char *models_json, int64_t ttl_ms, struct err *e);
int queue_models(struct queue *q, json_t **out_object, struct err *e); /* name -> description; new reference */

/* ---- events: one stream for all jobs ---- */
struct queue_event {
    char id[40]; /* stream id, "ms-seq" */
    char job_id[ID_SIZE];
    char type[24]; /* "state", "progress", "segment", "cancel" */
    int64_t version;
};
/* Blocks up to wait_ms for events after `after` ("$" = from now). Returns how many (0..max) or -1. */
int queue_events(struct queue *q, const char *after, int64_t wait_ms, struct queue_event *out, int max, struct err *e);

/* Events of one job still retained, oldest first, after `after` ("" = from the first). *reset is set, and all retained
 * ones are given, when `after` is not among them. Returns how many (0..max) or -1. */
int queue_job_events(struct queue *q, const char *job_id, const char *after, struct queue_event *out, int max,
                     bool *reset, struct err *e);

/* ---- webhooks: endpoints of a tenant, and an outbox filled by the same scripts that end jobs ---- */
#define QUEUE_HOOK_TEXT_MAX 4096
int queue_hook_put(struct queue *q, const char *tenant, const char *hook_id, const char *text, struct err *e);
int queue_hook_delete(struct queue *q, const char *tenant, const char *hook_id, struct err *e); /* webhook_not_found */
/* Calls fn for every endpoint of the tenant; its text is what queue_hook_put got. */
int queue_hooks(struct queue *q, const char *tenant, void (*fn)(void *user, const char *hook_id, const char *text),
                void *user, struct err *e);
struct queue_delivery {
    char id[80]; /* "<hook>|<job>|<version>", the same at every try */
    char hook_id[40], tenant[64];
    char job_id[ID_SIZE];
    int32_t tries;                  /* before this one */
    char text[QUEUE_HOOK_TEXT_MAX]; /* of the endpoint */
};
/* Takes the next due delivery for hold_ms (after that another may take it). 1 = one, 0 = none due, -1 = error. */
int queue_hook_claim(struct queue *q, int64_t hold_ms, struct queue_delivery *out, struct err *e);
/* Ends the try: again in retry_ms, or never (-1). `log_text` is kept among the endpoint's last deliveries. */
int queue_hook_done(struct queue *q, const struct queue_delivery *d, int64_t retry_ms, const char *log_text,
                    struct err *e);
/* The last deliveries of an endpoint, newest first. */
int queue_hook_log(struct queue *q, const char *tenant, const char *hook_id, void (*fn)(void *user, const char *text),
                   void *user, struct err *e);
/* Puts a delivery in again, due now. webhook_not_found, job_not_found. */
int queue_hook_send(struct queue *q, const char *tenant, const char *hook_id, const char *job_id, struct err *e);

/* ---- locks across programs, for uploads ---- */
/* *got: taken (or already ours) for ttl_ms. */
int queue_lock(struct queue *q, const char *name, const char *token, int64_t ttl_ms, bool *got, struct err *e);
int queue_unlock(struct queue *q, const char *name, const char *token, struct err *e); /* another's lock is left */

#endif
