/* ledger.h - what the store remembers about jobs, so that Redis may be lost: manifests of what was accepted, records of
 * what ended, tombstones of what was deleted. Redis is an index over these.
 *
 * Under a job's prefix "v1/<tenant>/<day>/<job>/": manifest.json (written before the enqueue), end.json (how it ended),
 * out/e<epoch>/end.json (a success about to be completed), tombstone.json (deleted). Schemas: docs/formats.md.
 * Who does what: the worker calls ledger_success before queue_complete; whoever ends a job (worker, api, reaper) calls
 * ledger_settle right after; api and worker run ledger_reconcile at start and when the generation changed, and
 * ledger_sweep every LONGANIM_SWEEP_MS.
 * Threads: as the queue and the store given. Errors: dependency_redis, dependency_storage, storage_full, internal. */
#ifndef LONGANIM_LEDGER_LEDGER_H
#define LONGANIM_LEDGER_LEDGER_H

#include "base/err.h"
#include "job/manifest.h"
#include "queue/queue.h"
#include "store/store.h"

struct ledger {
    struct queue *queue;  /* borrowed */
    struct store *store;  /* borrowed */
    int64_t idem_keep_ms; /* how long idempotency keys are kept */
    int64_t tombstone_ms; /* how long a deleted job answers 410 */
};
#define LEDGER_IDEM_KEEP_MS ((int64_t)24 * 3600 * 1000)
#define LEDGER_TOMBSTONE_MS ((int64_t)30 * 24 * 3600 * 1000)

/* Over these, with the times above. */
static inline struct ledger ledger_over(struct queue *q, struct store *s)
{
    return (struct ledger){q, s, LEDGER_IDEM_KEEP_MS, LEDGER_TOMBSTONE_MS};
}

/* The manifest's key and text (free it), for whoever puts it together with the inputs. */
int ledger_manifest_text(const struct manifest *m, char out_key[MANIFEST_KEY_MAX], char **out_text, struct err *e);
/* Writes the manifest at its place; *out_key is its key. */
int ledger_write_manifest(const struct ledger *l, const struct manifest *m, char out_key[MANIFEST_KEY_MAX],
                          struct err *e);
/* Reads one. job_not_found when it is not there; internal when it is broken. manifest_free after success. */
int ledger_read_manifest(const struct ledger *l, const char *key, struct manifest *out, struct err *e);

/* Before queue_complete: leaves word of the success under the attempt's own out/e<epoch>/. */
int ledger_success(const struct ledger *l, const struct queue_lease *lease, const struct queue_result *r,
                   struct err *e);

/* After the end of a job: writes end.json as the queue says it ended, and removes what the end left without a purpose:
 * after success everything under out/, seg/ and ckpt/ but the winning epoch's results and the committed segments; else
 * all of out/. A job that has not ended is left alone. */
int ledger_settle(const struct ledger *l, const char *job_id, struct err *e);

/* The same for every job that ended and is not settled yet, at most `max`; what reapers ended comes this way, so call
 * it after a queue_reap that ended something. *out_settled = how many. Goes on past single failures. */
int ledger_settle_all(const struct ledger *l, int max, int *out_settled, struct err *e);

/* POST …/retry: takes the record back, then the queue's retry. Errors of queue_retry. */
int ledger_retry(const struct ledger *l, const char *job_id, struct err *e);

/* Holds a pool back, or gives its jobs out again; the store remembers. Errors of queue_pause. */
int ledger_pause(const struct ledger *l, const char *pool, bool paused, struct err *e);

/* DELETE: the queue forgets the job (errors of queue_delete), then the store keeps only a tombstone. What a crash
 * leaves behind in between, the sweep finishes. */
int ledger_delete(const struct ledger *l, const char *job_id, struct err *e);

/* ---- webhooks ---- */
/* Makes an endpoint known to the store and the queue (errors of queue_hook_put), and unknown again (of
 * queue_hook_delete). The text is JSON with created_ms. */
int ledger_hook_put(const struct ledger *l, const char *tenant, const char *hook_id, const char *text, struct err *e);
int ledger_hook_delete(const struct ledger *l, const char *tenant, const char *hook_id, struct err *e);
/* The endpoint has heard of this job's end, or never will: a loss of Redis does not bring the delivery back. */
int ledger_hook_told(const struct ledger *l, const char *manifest_key, const char *hook_id, struct err *e);
/* It is to be told again. */
int ledger_hook_untold(const struct ledger *l, const char *manifest_key, const char *hook_id, struct err *e);

struct ledger_found {
    int manifests, requeued, restored, buried, broken;
};
/* Lists all manifests, records and tombstones, and tells the queue of those that it does not know. Manifests younger
 * than min_age_ms are left alone: whoever wrote one may be about to enqueue it. Marks the queue as reconciled. */
int ledger_reconcile(const struct ledger *l, int64_t min_age_ms, struct ledger_found *out, struct err *e);

/* ledger_reconcile of everything when the queue's generation is not `last` (it is updated; start with ""), or its
 * marker is missing: 1 = done, 0 = not needed, -1 = error. */
int ledger_check(const struct ledger *l, char last[96], struct ledger_found *out, struct err *e);

struct ledger_swept {
    int settled, expired, removed, temporaries;
    struct ledger_found found;
};
/* One round: ends that were not settled; jobs whose retention is over; what ledger_reconcile does; objects older than
 * age_ms that nothing refers to (of unfinished creations, of lost attempts, of half-done deletions); objects under
 * uploads/ older than upload_age_ms; temporaries of the store older than age_ms. Of many programs one at a time does
 * it, the others only settle. */
int ledger_sweep(const struct ledger *l, int64_t age_ms, int64_t upload_age_ms, struct ledger_swept *out,
                 struct err *e);

/* What an audit finds. Each says what is wrong, and whether ledger_repair can put it right. */
#define LEDGER_FINDINGS(X)                                                                                             \
    X(counter, true, "a counter or index of the queue is not what the jobs say")                                       \
    X(unknown_job, true, "a manifest whose job the queue does not know")                                               \
    X(manifest_missing, false, "a job whose manifest is not in the store")                                             \
    X(input_missing, false, "a job that has not ended, and an input that is not in the store")                         \
    X(result_missing, false, "a job that succeeded, and a result that is not in the store")                            \
    X(segment_missing, false, "a committed segment that is not in the store; a job that runs makes it again")          \
    X(end_missing, true, "a job that ended, and no record of that in the store")                                       \
    X(end_stale, true, "a record of an end, and a job that has not ended")                                             \
    X(not_buried, true, "a tombstone, and a queue that still knows the job")                                           \
    X(not_cleared, true, "a tombstone with other objects beside it")                                                   \
    X(unreferenced, true, "an object that nothing refers to")
enum ledger_finding_kind {
#define LEDGER_FINDING_ENUM(name, repairable, doc) LEDGER_FINDING_##name,
    LEDGER_FINDINGS(LEDGER_FINDING_ENUM)
#undef LEDGER_FINDING_ENUM
        LEDGER_FINDING_COUNT
};
const char *ledger_finding_name(enum ledger_finding_kind kind);
bool ledger_finding_repairable(enum ledger_finding_kind kind);

struct ledger_finding {
    enum ledger_finding_kind kind;
    const char *job, *key; /* "" = none */
    const char *detail;
};
struct ledger_audited {
    int jobs;     /* that the queue knows */
    int folders;  /* of jobs in the store */
    int objects;  /* in these */
    int findings; /* in all */
};
/* Compares the queue with itself, with the manifests and with the objects; changes nothing. What is younger than age_ms
 * may be on its way and is not looked at. fn gets every finding; its texts are borrowed. */
int ledger_audit(const struct ledger *l, int64_t age_ms, void (*fn)(void *user, const struct ledger_finding *f),
                 void *user, struct ledger_audited *out, struct err *e);

/* Puts right one finding of an audit (all counters at once). What cannot be put right is left alone. */
int ledger_repair(const struct ledger *l, const struct ledger_finding *f, struct err *e);

#endif
