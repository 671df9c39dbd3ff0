#include "house.h"

#include "app.h"
#include "key_routes.h"
#include "stats.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    REDIS_MS = 500,      /* between looks at Redis while it is well; rates are told then, too */
    REDIS_AWAY_MS = 200, /* and while it is away */
    STORE_MS = 2000,     /* the same for the store */
    STORE_AWAY_MS = 500,
    PING_MAX_MS = 250,
    THREADS = 4,
    REAP_MAX_MS = 5000,
    REAP_LIMIT = 200,
    SETTLE_MAX = 64,
    DISOWNED_MAX = 256,
    JANITOR_MS = 250,
    SHARES_MAX = 2 * KEYS_MAX,
    RATES_MAX = 512,
    KEYS_MS = 60000, /* keys are read again after that even without word of a change */
    RESTORE_MS = 50, /* between tries of the first reconciling */
};

struct shares {
    struct queue_share *list;
    int count;
};

struct house {
    struct app *app;
    pthread_t threads[THREADS];
    int started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    bool stopping;
    bool restored;           /* the store was asked once whether Redis knows all jobs */
    struct err redis, store; /* code ERR_none = well */
    queue_id disowned[DISOWNED_MAX];
    int disowned_count;
};

/* Sleeps; false when it is time to end. */
static bool rest(struct house *h, int64_t ms)
{
    struct timespec until = cond_after_ms(ms);

    pthread_mutex_lock(&h->lock);
    while (!h->stopping && pthread_cond_timedwait(&h->changed, &h->lock, &until) == 0)
        continue;
    bool go_on = !h->stopping;
    pthread_mutex_unlock(&h->lock);
    return go_on;
}

static int current(struct house *h, const struct err *which, struct err *e)
{
    pthread_mutex_lock(&h->lock);
    struct err now = *which;
    pthread_mutex_unlock(&h->lock);
    if (now.code == ERR_none)
        return 0;
    *e = now;
    return -1;
}

int house_store_check(struct house *h, struct err *e)
{
    return current(h, &h->store, e);
}

static bool is_restored(struct house *h)
{
    pthread_mutex_lock(&h->lock);
    bool restored = h->restored;
    pthread_mutex_unlock(&h->lock);
    return restored;
}

int house_redis_check(struct house *h, struct err *e)
{
    if (current(h, &h->redis, e))
        return -1;
    return is_restored(h) ? 0 : err_set(e, ERR_dependency_redis, "jobs are still being compared with the store");
}

void house_await(struct house *h, int64_t at_most_ms)
{
    int64_t until = clock_mono_ms() + at_most_ms;
    struct err e;

    while ((house_redis_check(h, &e) || house_store_check(h, &e) || !keys_complete(h->app->keys)) &&
           clock_mono_ms() < until)
        clock_sleep_ms(5);
}

/* ---- the pulse ---- */

static void note(struct house *h, struct err *which, const char *event, const char *check, const struct err *e)
{
    bool was_well, well = e->code == ERR_none;

    pthread_mutex_lock(&h->lock);
    was_well = which->code == ERR_none;
    *which = *e;
    pthread_mutex_unlock(&h->lock);
    metrics_set(h->app->metrics, STATS_READY, well, &check);
    if (well && !was_well)
        log_event(LOG_INFO, event, "well", "b", 1, NULL);
    else if (!well && was_well)
        log_err(LOG_WARN, event, NULL, e);
}

/* A round trip that takes longer than this is as bad as none: callers would wait for it one by one. */
static int ping(struct house *h, struct queue *queue, struct err *e)
{
    int64_t start = clock_mono_ms(), took;

    if (queue_ping(queue, e))
        return -1;
    took = clock_mono_ms() - start;
    metrics_set(h->app->metrics, STATS_PING, (double)took / 1000, NULL);
    return took > PING_MAX_MS ? err_set(e, ERR_dependency_redis, "Redis took %lld ms to answer", (long long)took) : 0;
}

/* Other apis hear what keys have done here, and this one what they did there. */
static void tell_rates(struct house *h, struct queue *queue, struct queue_rate *rates)
{
    int count = limit_collect(h->app->limit, clock_mono_us(), rates, RATES_MAX);
    struct err e;

    if (count == 0)
        return;
    bool told = queue_rates(queue, rates, count, &e) == 0;
    if (!told)
        log_err(LOG_DEBUG, "api.rates_not_told", NULL, &e);
    limit_adopt(h->app->limit, clock_mono_us(), rates, count, told);
}

static void *redis_pulse(void *arg)
{
    struct house *h = arg;
    struct queue *queue = NULL;
    struct queue_rate *rates = calloc(RATES_MAX, sizeof *rates);
    struct err e = {0};

    if (!rates)
        abort();
    if (queue_open(&queue, h->app->config, &e)) {
        log_err(LOG_ERROR, "api.redis", NULL, &e);
        free(rates);
        return NULL;
    }
    do {
        e = (struct err){0};
        ping(h, queue, &e);
        note(h, &h->redis, "api.redis", "redis", &e);
        if (e.code == ERR_none)
            tell_rates(h, queue, rates);
    } while (rest(h, e.code == ERR_none ? REDIS_MS : REDIS_AWAY_MS));
    queue_free(queue);
    free(rates);
    return NULL;
}

static void *store_pulse(void *arg)
{
    struct house *h = arg;
    struct err e;

    do {
        e = (struct err){0};
        store_probe(h->app->store, &e);
        note(h, &h->store, "api.store", "store", &e);
    } while (rest(h, e.code == ERR_none ? STORE_MS : STORE_AWAY_MS));
    return NULL;
}

/* ---- the reaper ---- */

/* Every end must be known to the store, or a lost Redis would run the job again. */
static void settle(struct house *h, struct queue *queue)
{
    struct ledger ledger = app_ledger(h->app, queue);
    struct err e;
    int count;

    if (ledger_settle_all(&ledger, SETTLE_MAX, &count, &e))
        log_err(LOG_WARN, "api.not_settled", NULL, &e);
}

static void count_reaped(struct house *h, const struct queue_reaped *r)
{
    const struct {
        const char *what;
        int count;
    } rows[] = {{"lost", r->lost},         {"expired", r->expired},   {"canceled", r->canceled},
                {"promoted", r->promoted}, {"poisoned", r->poisoned}, {"overdue", r->overdue}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].count > 0)
            metrics_add(h->app->metrics, STATS_REAPED, rows[i].count, &rows[i].what);
    if (r->lost > 0 || r->poisoned > 0)
        log_event(LOG_WARN, "api.leases_lost", "lost", "i", (int64_t)r->lost, "poisoned", "i", (int64_t)r->poisoned,
                  NULL);
}

static void *reaper(void *arg)
{
    struct house *h = arg;
    struct queue *queue = NULL;
    int64_t period = h->app->config->lease_ms / 4 < REAP_MAX_MS ? h->app->config->lease_ms / 4 : REAP_MAX_MS;
    struct err e = {0};

    if (queue_open(&queue, h->app->config, &e)) {
        log_err(LOG_ERROR, "api.reaper", NULL, &e);
        return NULL;
    }
    do {
        struct queue_reaped reaped = {0};
        if (queue_reap(queue, REAP_LIMIT, &reaped, &e))
            continue;
        count_reaped(h, &reaped);
        settle(h, queue);
    } while (rest(h, period));
    queue_free(queue);
    return NULL;
}

/* ---- the janitor ---- */

void house_disown(struct house *h, const char *job_id)
{
    pthread_mutex_lock(&h->lock);
    if (h->disowned_count < DISOWNED_MAX)
        text_copy(h->disowned[h->disowned_count++], ID_SIZE, job_id);
    else
        log_event(LOG_ERROR, "api.disowned_forgotten", "job", "s", job_id, NULL);
    pthread_mutex_unlock(&h->lock);
}

/* 0 = the job is not or no more there. */
static int remove_job(struct house *h, struct queue *queue, const char *job_id, struct err *e)
{
    struct ledger ledger = app_ledger(h->app, queue);
    enum queue_cancel canceled;

    if (queue_cancel(queue, job_id, "creation", &canceled, e) && e->code != ERR_job_not_found)
        return -1;
    if (ledger_delete(&ledger, job_id, e) == 0 || e->code == ERR_job_not_found || e->code == ERR_job_purged)
        return 0;
    return -1;
}

static void remove_disowned(struct house *h, struct queue *queue)
{
    queue_id ids[DISOWNED_MAX];
    struct err e;
    int count, kept = 0;

    pthread_mutex_lock(&h->lock);
    count = h->disowned_count;
    memcpy(ids, h->disowned, sizeof ids);
    h->disowned_count = 0;
    pthread_mutex_unlock(&h->lock);
    for (int i = 0; i < count; i++)
        if (remove_job(h, queue, ids[i], &e))
            memmove(ids[kept++], ids[i], ID_SIZE);
    for (int i = 0; i < kept; i++)
        house_disown(h, ids[i]);
}

/* Bodies whose process died while they came. */
static void sweep_spool(struct house *h)
{
    DIR *dir = opendir(h->app->spool_dir);
    int64_t now = clock_wall_ms();
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            now - (int64_t)st.st_mtime * 1000 > h->app->config->sweep_age_ms)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static void sweep(struct house *h, struct queue *queue)
{
    struct ledger ledger = app_ledger(h->app, queue);
    struct ledger_swept swept = {0};
    struct err e;

    sweep_spool(h);
    /* An expired upload says so for as long again as it could be used. */
    if (ledger_sweep(&ledger, h->app->config->sweep_age_ms, 2 * h->app->config->upload_age_ms, &swept, &e)) {
        log_err(LOG_WARN, "api.sweep", NULL, &e);
        return;
    }
    if (swept.removed + swept.expired + swept.temporaries > 0)
        log_event(LOG_INFO, "api.swept", "removed", "i", (int64_t)swept.removed, "expired", "i", (int64_t)swept.expired,
                  "temporaries", "i", (int64_t)swept.temporaries, NULL);
}

static void reconcile(struct house *h, struct queue *queue, char generation[96])
{
    struct ledger ledger = app_ledger(h->app, queue);
    struct ledger_found found = {0};
    struct err e;

    int done = ledger_check(&ledger, generation, &found, &e);
    if (done >= 0 && !is_restored(h)) {
        pthread_mutex_lock(&h->lock);
        h->restored = true;
        pthread_mutex_unlock(&h->lock);
    }
    if (done == 1)
        log_event(LOG_INFO, "api.reconciled", "manifests", "i", (int64_t)found.manifests, "requeued", "i",
                  (int64_t)found.requeued, "restored", "i", (int64_t)found.restored, "buried", "i",
                  (int64_t)found.buried, NULL);
}

/* ---- keys ---- */

/* What this process knows of keys, and what Redis was told of them. */
struct followed {
    int64_t counter, read_ms; /* read_ms 0 = never */
    int64_t told;             /* the generation */
    char redis[96];           /* "" = not told yet */
};

static void add_share(void *user, const struct key *key, bool from_file, const struct key_limits *defaults)
{
    struct shares *s = user;
    struct key_limits limits = key_limits_or(&key->limits, defaults);
    struct queue_share *share;

    (void)from_file;
    if (s->count == SHARES_MAX)
        return;
    share = &s->list[s->count++];
    text_copy(share->tenant, sizeof share->tenant, key->id);
    share->weight = limits.weight;
    share->max_running = limits.running;
}

/* Claims look at a tenant's weight and bound in Redis. */
static int tell_shares(struct house *h, struct queue *queue, struct err *e)
{
    struct shares s = {calloc(SHARES_MAX, sizeof *s.list), 0};
    int rc;

    if (!s.list)
        abort();
    keys_each(h->app->keys, add_share, &s);
    rc = queue_shares(queue, s.list, s.count, e);
    free(s.list);
    return rc;
}

static void follow_keys(struct house *h, struct queue *queue, const char *redis, struct followed *f)
{
    int64_t counter = f->counter, now = clock_mono_ms(), generation;
    struct err e = {0};

    /* Without Redis there is no word of changes, but those of the start must be had. */
    if (queue_counter(queue, KEY_ROUTES_COUNTER, &counter, &e) && f->read_ms)
        return;
    if (f->read_ms == 0 || counter != f->counter || now - f->read_ms > KEYS_MS) {
        if (key_routes_reload(h->app, &e))
            return;
        f->counter = counter;
        f->read_ms = now;
    }
    generation = keys_generation(h->app->keys);
    if (!keys_required(h->app->keys) || (generation == f->told && strcmp(redis, f->redis) == 0))
        return;
    if (tell_shares(h, queue, &e)) {
        log_err(LOG_WARN, "api.shares", NULL, &e);
        return;
    }
    f->told = generation;
    text_copy(f->redis, sizeof f->redis, redis);
}

static void *janitor(void *arg)
{
    struct house *h = arg;
    struct queue *queue = NULL;
    int64_t last_sweep = clock_mono_ms();
    char generation[96] = "";
    struct followed keys = {0};
    struct err e = {0};

    if (queue_open(&queue, h->app->config, &e)) {
        log_err(LOG_ERROR, "api.janitor", NULL, &e);
        return NULL;
    }
    do {
        reconcile(h, queue, generation);
        follow_keys(h, queue, generation, &keys);
        if (house_redis_check(h, &e))
            continue;
        remove_disowned(h, queue);
        if (clock_mono_ms() - last_sweep >= h->app->config->sweep_ms) {
            sweep(h, queue);
            last_sweep = clock_mono_ms();
        }
    } while (rest(h, !is_restored(h)                         ? RESTORE_MS
                     : h->app->config->sweep_ms < JANITOR_MS ? h->app->config->sweep_ms
                                                             : JANITOR_MS));
    queue_free(queue);
    return NULL;
}

/* ---- life ---- */

int house_start(struct house **out, struct app *app, struct err *e)
{
    static void *(*const bodies[THREADS])(void *) = {redis_pulse, store_pulse, reaper, janitor};
    static const char *const names[THREADS] = {"redis-pulse", "store-pulse", "reaper", "janitor"};
    struct house *h = calloc(1, sizeof *h);

    if (!h)
        abort();
    h->app = app;
    pthread_mutex_init(&h->lock, NULL);
    cond_init(&h->changed);
    err_set(&h->redis, ERR_dependency_redis, "not asked yet");
    err_set(&h->store, ERR_dependency_storage, "not asked yet");
    for (; h->started < THREADS; h->started++) {
        if (pthread_create(&h->threads[h->started], NULL, bodies[h->started], h) != 0) {
            house_stop(h);
            return err_set(e, ERR_internal, "no thread for the %s", names[h->started]);
        }
        pthread_setname_np(h->threads[h->started], names[h->started]);
    }
    *out = h;
    return 0;
}

void house_stop(struct house *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    for (int i = 0; i < h->started; i++)
        pthread_join(h->threads[i], NULL);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
