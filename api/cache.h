/* cache.h - jobs as last seen, so that reading one costs no round trip.
 *
 * The event stream says which job changed; between its news a snapshot is as good as asking. A snapshot is served only
 * while the stream has been read within the last 250 ms, and a queued one no longer than a second, because its place
 * in the queue moves without an event of its own. Any thread; snapshots are counted references and never change. */
#ifndef LONGANIM_API_CACHE_H
#define LONGANIM_API_CACHE_H

#include "answer.h"
#include "job/job.h"

#include <stdatomic.h>

#define CACHE_FRESH_MS 250
#define CACHE_QUEUED_MS 1000

struct snapshot {
    atomic_int refs;
    struct job job; /* without params, input and tags */
    bool terminal;
    char tag[32]; /* entity tag, quotes included */
    int64_t fetched_ms;
    struct answer *whole;     /* 200 */
    struct answer *unchanged; /* 304 */
    const char *text;         /* the job as JSON, one line; belongs to `whole` */
};

struct cache;

struct cache *cache_new(int max_entries);
void cache_free(struct cache *c);

/* A usable snapshot, or NULL: ask the queue. */
struct snapshot *cache_get(struct cache *c, const char *job_id);

/* Makes the snapshot of a job just read (takes its content; the struct is the caller's) and remembers it unless an
 * event has told of a newer version meanwhile. Returns a reference. */
struct snapshot *cache_put(struct cache *c, struct job *job);

/* An event: this job has (at least) this version now. */
void cache_event(struct cache *c, const char *job_id, int64_t version);
/* The newest version that an event or a snapshot told of; 0 = not known. */
int64_t cache_version(struct cache *c, const char *job_id);

void cache_drop(struct cache *c, const char *job_id);
void cache_alive(struct cache *c); /* the event stream has been read up to now */
void cache_flush(struct cache *c); /* events may have been missed */

void snapshot_unref(struct snapshot *s); /* NULL is fine */

/* The job object as JSON again (a snapshot keeps the text only); a new reference. */
json_t *snapshot_json(const struct snapshot *s);

/* Seconds after which a client may look again: 1 while running, longer far back in the queue. */
int snapshot_retry_after_s(const struct job *job);

#endif
