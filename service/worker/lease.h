/* lease.h - the heartbeat: extends the lease of the job at hand and hears what the queue wants of it.
 *
 * One thread beats and does nothing else. A second one only fences: when the last good beat is older than the lease
 * less a margin, it kills the engine, so that a worker cut off from Redis has stopped before somebody else may start.
 * Threads: all functions are for the job's thread. */
#ifndef LONGANIM_WORKER_LEASE_H
#define LONGANIM_WORKER_LEASE_H

#include "base/err.h"
#include "queue/queue.h"

#include <sys/types.h>

struct lease;

enum lease_order {
    LEASE_GO_ON,
    LEASE_CANCEL,   /* a cancel was accepted */
    LEASE_DEADLINE, /* the job's deadline has passed */
    LEASE_FENCED,   /* no good beat for too long: the engine was killed, write nothing; may become GO_ON or LOST */
    LEASE_LOST,     /* the job is somebody else's, or gone */
};

/* Starts the threads; takes `queue`, a connection for beats alone, also when it fails. */
int lease_start(struct lease **out, struct queue *queue, int64_t lease_ms, int64_t beat_ms, struct err *e);
void lease_stop(struct lease *l); /* NULL is fine */

/* A readiness descriptor: readable after the order changed; lease_order clears it. */
int lease_fd(const struct lease *l);
enum lease_order lease_order(struct lease *l);
int64_t lease_fences(struct lease *l); /* how often the engine was killed so far because no beat came through */

void lease_hold(struct lease *l, const struct queue_lease *q); /* right after a claim */
void lease_drop(struct lease *l);                              /* the job has ended for us */

/* What the next beat reports. */
void lease_progress(struct lease *l, const struct job_progress *p);

/* The process that a fence kills; 0 = none. After lease_engine(l, 0) returns no signal is sent any more, so reap only
 * then. */
void lease_engine(struct lease *l, pid_t pid);

#endif
