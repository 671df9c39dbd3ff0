/* pool.h - threads that may wait: for Redis, disks, the store and the prober, so that no loop thread does.
 * Every thread has its own queue connection. Any thread may submit. */
#ifndef LONGANIM_API_POOL_H
#define LONGANIM_API_POOL_H

#include "base/config.h"
#include "base/err.h"
#include "queue/queue.h"

struct pool;

/* What a task gets besides its argument. */
struct worker {
    struct queue *queue;
};

typedef void (*pool_fn)(void *arg, struct worker *w);

/* `name` (borrowed) becomes the threads' name. params_invalid when the Redis URL is malformed. */
int pool_start(struct pool **out, const char *name, int threads, int max_waiting, const struct config *config,
               struct err *e);

/* 0; or -1 when too many tasks wait (the caller answers `overloaded`). Tasks start in the order they came. */
int pool_submit(struct pool *p, pool_fn fn, void *arg);

/* The same for tasks that finish what was begun: takes them however many wait. */
void pool_must(struct pool *p, pool_fn fn, void *arg);

/* Runs what was submitted, then ends the threads and frees the pool. NULL is fine. */
void pool_stop(struct pool *p);

#endif
