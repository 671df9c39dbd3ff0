/* house.h - what runs by itself: health checks, the reaper, the janitor.
 *
 * A thread each, so that none waits for another: two ask Redis and the store how they are; the reaper ends leases and
 * promotes; the janitor reconciles manifests with the queue, sweeps, and takes out what a failed creation may have
 * left. Any thread may ask. */
#ifndef LONGANIM_API_HOUSE_H
#define LONGANIM_API_HOUSE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct app;
struct house;

int house_start(struct house **out, struct app *app, struct err *e);
void house_stop(struct house *h); /* NULL is fine */

/* The last word on the store: dependency_storage, storage_full. */
int house_store_check(struct house *h, struct err *e);

/* The same for Redis, with the reason: dependency_redis. Not well before the store was asked once whether jobs are
 * missing. */
int house_redis_check(struct house *h, struct err *e);

/* Waits until both are well and all keys are known, at most so long: a server that just started need not begin with a
 * 503. */
void house_await(struct house *h, int64_t at_most_ms);

/* A job whose client was told of a failure must not run: cancels and deletes it as soon as Redis can be reached. */
void house_disown(struct house *h, const char *job_id);

#endif
