#include "worker/keeper.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "ledger/ledger.h"
#include "queue/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { ROUND_MS = 500, REAP_LIMIT = 100 };

struct keeper {
    const struct config *conf;
    const struct scratch *scratch;
    struct ledger ledger; /* its queue is this thread's own */
    char generation[96];
    int64_t swept_ms;
    bool well; /* the last round found Redis and the store; said once per change */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stop; /* guarded by mutex */
};

static int sweep(struct keeper *k, struct err *e)
{
    struct ledger_swept swept;
    if (clock_mono_ms() - k->swept_ms < k->conf->sweep_ms)
        return 0;
    k->swept_ms = clock_mono_ms();
    scratch_sweep(k->scratch);
    /* As in the api: an expired upload says so for as long again as it could be used. */
    return ledger_sweep(&k->ledger, k->conf->sweep_age_ms, 2 * k->conf->upload_age_ms, &swept, e);
}

static void round_once(struct keeper *k)
{
    struct queue_reaped reaped;
    struct ledger_found found;
    struct err e = {0};
    int failed = ledger_check(&k->ledger, k->generation, &found, &e) < 0 ||
                 queue_reap(k->ledger.queue, REAP_LIMIT, &reaped, &e) != 0 || sweep(k, &e) != 0;
    if (failed && k->well)
        log_err(LOG_WARN, "keeper.trouble", NULL, &e);
    k->well = !failed;
}

static void *keep(void *user)
{
    struct keeper *k = user;
    int64_t pause_ms = k->conf->lease_ms / 4 < ROUND_MS ? k->conf->lease_ms / 4 : ROUND_MS;
    pthread_mutex_lock(&k->mutex);
    while (!k->stop) {
        pthread_mutex_unlock(&k->mutex);
        round_once(k);
        pthread_mutex_lock(&k->mutex);
        if (!k->stop)
            cond_wait_ms(&k->changed, &k->mutex, pause_ms);
    }
    pthread_mutex_unlock(&k->mutex);
    return NULL;
}

int keeper_start(struct keeper **out, const struct config *c, struct store *store, const struct scratch *scratch,
                 struct err *e)
{
    struct queue *queue = NULL;
    struct keeper *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    if (queue_open(&queue, c, e) != 0) {
        free(k);
        return -1;
    }
    k->conf = c;
    k->scratch = scratch;
    k->well = true;
    k->swept_ms = clock_mono_ms() - c->sweep_ms; /* what the last life left is looked for at once */
    k->ledger = ledger_over(queue, store);
    pthread_mutex_init(&k->mutex, NULL);
    cond_init(&k->changed);
    if (pthread_create(&k->thread, NULL, keep, k) != 0)
        abort(); /* nothing runs yet; there is no state to save */
    *out = k;
    return 0;
}

void keeper_stop(struct keeper *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->mutex);
    k->stop = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->mutex);
    pthread_join(k->thread, NULL);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->mutex);
    queue_free(k->ledger.queue);
    free(k);
}
