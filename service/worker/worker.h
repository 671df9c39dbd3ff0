/* worker.h - the supervisor: claims jobs, runs one at a time in an engine child, reports, and drains on SIGTERM. */
#ifndef LONGANIM_WORKER_WORKER_H
#define LONGANIM_WORKER_WORKER_H

#include "base/config.h"
#include "ledger/ledger.h"
#include "queue/queue.h"
#include "store/store.h"
#include "worker/engine_link.h"
#include "worker/keeper.h"
#include "worker/lease.h"
#include "worker/scratch.h"

#include <stdbool.h>

struct worker {
    const struct config *conf;
    char id[64];
    struct queue *queue; /* the job thread's connection */
    struct store *store;
    struct ledger ledger;
    struct keeper *keeper;
    struct lease *lease;
    struct engine_link engine;
    struct scratch scratch;
    int signal_fd;
    int signals;            /* SIGTERM or SIGINT received: 1 = drain, 2 = now */
    int64_t drain_began_ms; /* mono */
    int64_t announced_ms;
    bool redis_away;     /* the last claim found none */
    int engine_failures; /* in a row, for the backoff */
    int64_t engine_retry_ms;
};

/* arguments: of main, handed on to the engine child. Returns the exit status. */
int worker_run(const struct config *c, char **arguments, int argument_count);

/* What must happen now and then whatever else is going on: signals are read, models announced. Call at least once a
 * second. */
void worker_tick(struct worker *w);

/* A drain that has taken all the time it may: leave things as they are. */
bool worker_must_leave(const struct worker *w);

/* Waits up to timeout_ms for a signal or a change of the lease's order, with ticks. */
void worker_wait(struct worker *w, int64_t timeout_ms);

#endif
