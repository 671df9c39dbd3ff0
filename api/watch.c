#include "watch.h"

#include "app.h"
#include "stats.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1024,
    BATCH = 256,
    WAIT_MS = 100, /* how long one read of the stream blocks: well below CACHE_FRESH_MS */
    RETRY_MS = 200,
    TICK_MS = 1000,
};

struct subscriber {
    struct subscriber *next;
    const struct subscriber_ops *ops;
    void *stream;
    char job_id[ID_SIZE];
};

struct watch {
    struct app *app;
    pthread_t thread;
    struct queue *feed, *reader;
    char last_id[40];
    bool caught_up; /* what was in the stream before we came is not news */
    bool tick_soon;
    atomic_bool up;
    atomic_bool stopping;
    pthread_mutex_t lock;
    /* guarded by lock */
    struct req *parked[BUCKETS];
    struct subscriber *subscribers[BUCKETS];
    int subscriber_count;
};

static unsigned bucket_of(const char *id)
{
    unsigned h = 2166136261u;

    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 16777619u;
    return h % BUCKETS;
}

int watch_check(struct watch *w, struct err *e)
{
    return atomic_load(&w->up) ? 0 : err_set(e, ERR_dependency_redis, "the queue is not reachable at the moment");
}

/* ---- parked requests ---- */

static void run_parked(void *arg, struct worker *worker)
{
    struct req *r = arg;

    r->park_done(r, worker);
}

static void let_go(struct watch *w, struct req *list)
{
    while (list) {
        struct req *r = list;
        list = r->next_parked;
        pool_must(w->app->quick, run_parked, r);
    }
}

/* Takes out of a bucket those whose job has moved beyond what they know, or whose time is up. */
static struct req *pick_locked(struct watch *w, unsigned bucket, const char *id, int64_t version, int64_t now)
{
    struct req *picked = NULL, **at = &w->parked[bucket];

    while (*at) {
        struct req *r = *at;
        bool moved = id && strcmp(r->park_id, id) == 0 && version > r->park_version;
        if (moved || now >= r->park_until_ms) {
            *at = r->next_parked;
            r->next_parked = picked;
            picked = r;
        } else {
            at = &r->next_parked;
        }
    }
    return picked;
}

void watch_park(struct watch *w, struct req *r)
{
    unsigned bucket = bucket_of(r->park_id);
    struct req *picked;

    pthread_mutex_lock(&w->lock);
    r->next_parked = w->parked[bucket];
    w->parked[bucket] = r;
    /* The event may have come between reading the job and this line; it is in the cache's books then. */
    picked = pick_locked(w, bucket, r->park_id, cache_version(w->app->cache, r->park_id),
                         atomic_load(&w->stopping) ? INT64_MAX : clock_mono_ms());
    pthread_mutex_unlock(&w->lock);
    let_go(w, picked);
}

static void release_due(struct watch *w, int64_t now)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        pthread_mutex_lock(&w->lock);
        struct req *picked = w->parked[i] ? pick_locked(w, i, NULL, 0, now) : NULL;
        pthread_mutex_unlock(&w->lock);
        let_go(w, picked);
    }
}

/* ---- subscribers ---- */

void watch_subscribe(struct watch *w, const char *job_id, const struct subscriber_ops *ops, void *stream)
{
    struct subscriber *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->ops = ops;
    s->stream = stream;
    snprintf(s->job_id, sizeof s->job_id, "%s", job_id);
    pthread_mutex_lock(&w->lock);
    s->next = w->subscribers[bucket_of(job_id)];
    w->subscribers[bucket_of(job_id)] = s;
    w->subscriber_count++;
    pthread_mutex_unlock(&w->lock);
}

static bool listened_to(struct watch *w, const char *job_id)
{
    bool found = false;

    pthread_mutex_lock(&w->lock);
    for (struct subscriber *s = w->subscribers[bucket_of(job_id)]; s && !found; s = s->next)
        found = strcmp(s->job_id, job_id) == 0;
    pthread_mutex_unlock(&w->lock);
    return found;
}

static struct snapshot *job_now(struct watch *w, const char *job_id)
{
    struct snapshot *s = cache_get(w->app->cache, job_id);
    struct job job;
    struct err e;

    if (s)
        return s;
    job_init(&job);
    if (queue_get(w->reader, job_id, &job, &e)) {
        job_free(&job);
        return NULL;
    }
    return cache_put(w->app->cache, &job);
}

static void tell(struct watch *w, const struct queue_event *event)
{
    struct news news = {.event = event, .now = job_now(w, event->job_id)};

    buf_init(&news.frame, NEWS_FRAME_MAX_BYTES);
    pthread_mutex_lock(&w->lock);
    for (struct subscriber *s = w->subscribers[bucket_of(event->job_id)]; s; s = s->next)
        if (strcmp(s->job_id, event->job_id) == 0 && s->ops->hear(s->stream, &news))
            w->tick_soon = true;
    pthread_mutex_unlock(&w->lock);
    buf_free(&news.frame);
    snapshot_unref(news.now);
}

static void tick_subscribers(struct watch *w, int64_t now)
{
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct subscriber **at = &w->subscribers[i];
        while (*at) {
            struct subscriber *s = *at;
            if (s->ops->tick(s->stream, now)) {
                at = &s->next;
                continue;
            }
            *at = s->next;
            w->subscriber_count--;
            free(s);
        }
    }
    metrics_set(w->app->metrics, STATS_STREAMS, w->subscriber_count, NULL);
    pthread_mutex_unlock(&w->lock);
}

/* ---- the thread ---- */

static void handle(struct watch *w, const struct queue_event *event)
{
    struct req *picked;

    cache_event(w->app->cache, event->job_id, event->version);
    pthread_mutex_lock(&w->lock);
    picked = pick_locked(w, bucket_of(event->job_id), event->job_id, event->version, clock_mono_ms());
    pthread_mutex_unlock(&w->lock);
    let_go(w, picked);
    if (listened_to(w, event->job_id))
        tell(w, event);
}

static void set_up(struct watch *w, bool up, const struct err *e)
{
    if (atomic_exchange(&w->up, up) == up)
        return;
    if (up)
        log_event(LOG_INFO, "api.redis_up", NULL);
    else
        log_err(LOG_WARN, "api.redis_down", NULL, e);
}

/* One read of the stream. On failure everything cached is dropped: news may have been missed. */
static void read_once(struct watch *w, struct queue_event *events)
{
    struct err e;
    int count = queue_events(w->feed, w->last_id, w->caught_up ? WAIT_MS : 0, events, BATCH, &e);

    if (count < 0) {
        set_up(w, false, &e);
        cache_flush(w->app->cache);
        clock_sleep_ms(RETRY_MS);
        return;
    }
    for (int i = 0; i < count; i++)
        handle(w, &events[i]);
    if (count > 0)
        snprintf(w->last_id, sizeof w->last_id, "%s", events[count - 1].id);
    w->caught_up = count < BATCH;
    if (w->caught_up) {
        cache_alive(w->app->cache);
        set_up(w, true, NULL);
    }
}

static void *run(void *arg)
{
    struct watch *w = arg;
    struct queue_event *events = calloc(BATCH, sizeof *events);
    int64_t last_tick = 0;

    if (!events)
        abort();
    while (!atomic_load(&w->stopping)) {
        int64_t now;
        bool soon = w->tick_soon; /* not before the next read: who has just been told goes first */
        w->tick_soon = false;
        read_once(w, events);
        now = clock_mono_ms();
        release_due(w, now);
        if (soon || now - last_tick >= TICK_MS) {
            tick_subscribers(w, now);
            last_tick = now;
        }
    }
    free(events);
    return NULL;
}

int watch_start(struct watch **out, struct app *app, struct err *e)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w)
        abort();
    w->app = app;
    pthread_mutex_init(&w->lock, NULL);
    snprintf(w->last_id, sizeof w->last_id, "0-0");
    if (queue_open(&w->feed, app->config, e) || queue_open(&w->reader, app->config, e))
        goto out;
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        err_set(e, ERR_internal, "no thread for the event stream");
        goto out;
    }
    pthread_setname_np(w->thread, "watch");
    *out = w;
    return 0;
out:
    queue_free(w->feed);
    queue_free(w->reader);
    free(w);
    return -1;
}

void watch_halt(struct watch *w)
{
    if (!w)
        return;
    atomic_store(&w->stopping, true);
    pthread_join(w->thread, NULL);
    release_due(w, INT64_MAX);
    tick_subscribers(w, INT64_MAX);
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    tick_subscribers(w, INT64_MAX);
    queue_free(w->feed);
    queue_free(w->reader);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
