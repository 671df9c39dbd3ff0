/* app.h - what the parts of the api share. Made by main.c before any thread that reads it, constant from then on but
 * for the flags. */
#ifndef LONGANIM_API_APP_H
#define LONGANIM_API_APP_H

#include "base/config.h"
#include "base/metrics.h"
#include "cache.h"
#include "courier.h"
#include "house.h"
#include "keys.h"
#include "ledger/ledger.h"
#include "limit.h"
#include "pool.h"
#include "probe/probe_client.h"
#include "store/store.h"
#include "watch.h"

#include <stdatomic.h>
#include <stdbool.h>

struct server;

struct app {
    const struct config *config;
    struct keys *keys;
    struct limit *limit;
    struct metrics *metrics;
    struct store *store;
    struct probe_client *probe;
    struct cache *cache;
    struct watch *watch;
    struct house *house;
    struct courier *courier;
    struct pool *quick;  /* one Redis round trip */
    struct pool *slow;   /* the store, the prober, whole creations */
    struct pool *spool;  /* bodies to disk */
    char spool_dir[512]; /* where bodies wait */
    struct server *api, *ops;
    int64_t started_ms;
    atomic_bool draining; /* no new jobs; /readyz says 503 */
    atomic_bool stopping; /* answer what waits, now */
};

static inline struct ledger app_ledger(const struct app *app, struct queue *queue)
{
    return ledger_over(queue, app->store);
}

#endif
