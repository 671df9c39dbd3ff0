/* watch.h - follows the queue's event stream for everybody in this process.
 *
 * One thread reads the stream with its own connections. It keeps the cache honest, lets parked requests (long polls)
 * go when their job has moved or their time is up, and hands events to subscribers (event streams). */
#ifndef LONGANIM_API_WATCH_H
#define LONGANIM_API_WATCH_H

#include "cache.h"
#include "queue/queue.h"
#include "req.h"

struct watch;

int watch_start(struct watch **out, struct app *app, struct err *e);

/* Ends the thread, every event stream and every wait; whoever parks after that is let go at once. NULL is fine. */
void watch_halt(struct watch *w);
void watch_free(struct watch *w); /* after watch_halt, when nobody can park any more */

/* dependency_redis while the last contact with Redis failed, and before the first one, so that requests need not find
 * out each for itself. */
int watch_check(struct watch *w, struct err *e);

/* Takes a suspended request until its job (park_id) has a version above park_version or park_until_ms (monotonic) has
 * come. Then park_done runs in a pool thread. Any thread. */
void watch_park(struct watch *w, struct req *r);

enum { NEWS_FRAME_MAX_BYTES = 1 << 17 };

/* An event of a job, the same for all who listen to it. */
struct news {
    const struct queue_event *event;
    struct snapshot *now; /* the job as it is; NULL = Redis could not be asked */
    struct buf frame;     /* empty at first: the first who needs the event as text leaves it here for the others */
};

/* What an event stream wants to hear. Both run in the watch's thread and must not wait. */
struct subscriber_ops {
    bool (*hear)(void *stream, struct news *news); /* true = tick me soon */
    /* Once a second, or soon; false = the stream is over, forget it (its reference is the callee's to drop). */
    bool (*tick)(void *stream, int64_t mono_ms);
};

void watch_subscribe(struct watch *w, const char *job_id, const struct subscriber_ops *ops, void *stream);

#endif
