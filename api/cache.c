#include "cache.h"

#include "base/clock.h"
#include "base/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 16, BUCKETS = 1024, RETRY_MAX_S = 15 };

/* Known without a snapshot, too: then it holds back snapshots older than the news. */
struct entry {
    struct entry *next;          /* in the bucket */
    struct entry *newer, *older; /* by use */
    char id[ID_SIZE];
    int64_t version;
    struct snapshot *snapshot; /* NULL = none that may be served */
};

struct shard {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest;
    int count;
};

struct cache {
    int max_per_shard;
    atomic_llong alive_ms;
    struct shard shards[SHARDS];
};

struct cache *cache_new(int max_entries)
{
    struct cache *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->max_per_shard = max_entries / SHARDS + 1;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&c->shards[i].lock, NULL);
    return c;
}

/* ---- snapshots ---- */

int snapshot_retry_after_s(const struct job *job)
{
    int64_t seconds;

    if (job_state_terminal(job->state))
        return RETRY_MAX_S; /* nothing will ever change */
    if (job->state == JOB_RUNNING)
        return 1;
    if (job->state == JOB_WAITING)
        return 2;
    seconds = 1 + job->queue_position / 4;
    return seconds > RETRY_MAX_S ? RETRY_MAX_S : (int)seconds;
}

static struct answer *make_answer(int status, const struct snapshot *s)
{
    struct answer *a = answer_new(status);

    answer_header(a, "ETag", "%s", s->tag);
    answer_header(a, "Cache-Control", "private, no-cache");
    if (!s->terminal || status == 304)
        answer_header(a, "Retry-After", "%d", snapshot_retry_after_s(&s->job));
    return a;
}

static struct snapshot *snapshot_new(struct job *job)
{
    struct snapshot *s = calloc(1, sizeof *s);
    json_t *object;

    if (!s)
        abort();
    object = job_json(job, "");
    atomic_init(&s->refs, 1);
    s->fetched_ms = clock_mono_ms();
    s->terminal = job_state_terminal(job->state);
    snprintf(s->tag, sizeof s->tag, "\"v%lld\"", (long long)job->version);
    s->job = *job;
    s->job.params_text = s->job.input_text = s->job.tags_text = NULL;
    job_free(job);
    s->unchanged = make_answer(304, s);
    s->whole = make_answer(200, s);
    answer_header(s->whole, "Content-Type", "application/json");
    s->whole->data = json_text(object, false);
    s->whole->size = strlen(s->whole->data);
    s->text = s->whole->data;
    json_decref(object);
    return s;
}

static struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    answer_unref(s->whole);
    answer_unref(s->unchanged);
    free(s);
}

/* ---- entries ---- */

static uint32_t hash_of(const char *id)
{
    uint32_t h = 2166136261u;

    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 16777619u;
    return h;
}

static struct shard *shard_of(struct cache *c, const char *id)
{
    return &c->shards[hash_of(id) % SHARDS];
}

static struct entry **slot_locked(struct shard *s, const char *id)
{
    struct entry **at = &s->buckets[hash_of(id) / SHARDS % BUCKETS];

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static void unlink_locked(struct shard *s, struct entry *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        s->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        s->oldest = e->newer;
}

static void use_locked(struct shard *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    if (s->newest)
        s->newest->newer = e;
    else
        s->oldest = e;
    s->newest = e;
}

static void drop_locked(struct shard *s, struct entry *e)
{
    *slot_locked(s, e->id) = e->next;
    unlink_locked(s, e);
    snapshot_unref(e->snapshot);
    free(e);
    s->count--;
}

static struct entry *entry_locked(struct cache *c, struct shard *s, const char *id)
{
    struct entry **at = slot_locked(s, id), *e = *at;

    if (e) {
        unlink_locked(s, e);
    } else {
        if ((e = calloc(1, sizeof *e)) == NULL)
            abort();
        snprintf(e->id, sizeof e->id, "%s", id);
        *at = e;
        s->count++;
    }
    use_locked(s, e);
    if (s->count > c->max_per_shard)
        drop_locked(s, s->oldest);
    return e;
}

struct snapshot *cache_get(struct cache *c, const char *job_id)
{
    struct shard *s = shard_of(c, job_id);
    struct snapshot *found = NULL;
    int64_t now = clock_mono_ms();

    if (now - atomic_load(&c->alive_ms) > CACHE_FRESH_MS)
        return NULL;
    pthread_mutex_lock(&s->lock);
    struct entry *e = *slot_locked(s, job_id);
    if (e && e->snapshot &&
        (e->snapshot->job.state != JOB_QUEUED || now - e->snapshot->fetched_ms <= CACHE_QUEUED_MS)) {
        found = snapshot_ref(e->snapshot);
        unlink_locked(s, e);
        use_locked(s, e);
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

struct snapshot *cache_put(struct cache *c, struct job *job)
{
    struct snapshot *made = snapshot_new(job);
    struct shard *s = shard_of(c, made->job.id);

    pthread_mutex_lock(&s->lock);
    struct entry *e = entry_locked(c, s, made->job.id);
    if (made->job.version >= e->version) {
        e->version = made->job.version;
        snapshot_unref(e->snapshot);
        e->snapshot = snapshot_ref(made);
    }
    pthread_mutex_unlock(&s->lock);
    return made;
}

void cache_event(struct cache *c, const char *job_id, int64_t version)
{
    struct shard *s = shard_of(c, job_id);

    pthread_mutex_lock(&s->lock);
    struct entry *e = entry_locked(c, s, job_id);
    if (version > e->version) {
        e->version = version;
        snapshot_unref(e->snapshot);
        e->snapshot = NULL;
    }
    pthread_mutex_unlock(&s->lock);
}

int64_t cache_version(struct cache *c, const char *job_id)
{
    struct shard *s = shard_of(c, job_id);

    pthread_mutex_lock(&s->lock);
    struct entry *e = *slot_locked(s, job_id);
    int64_t version = e ? e->version : 0;
    pthread_mutex_unlock(&s->lock);
    return version;
}

void cache_drop(struct cache *c, const char *job_id)
{
    struct shard *s = shard_of(c, job_id);

    pthread_mutex_lock(&s->lock);
    struct entry *e = *slot_locked(s, job_id);
    if (e)
        drop_locked(s, e);
    pthread_mutex_unlock(&s->lock);
}

void cache_alive(struct cache *c)
{
    atomic_store(&c->alive_ms, clock_mono_ms());
}

void cache_flush(struct cache *c)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        while (s->oldest)
            drop_locked(s, s->oldest);
        pthread_mutex_unlock(&s->lock);
    }
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    cache_flush(c);
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&c->shards[i].lock);
    free(c);
}

json_t *snapshot_json(const struct snapshot *s)
{
    json_t *object = json_parse(s->text, strlen(s->text), ERR_internal, NULL);

    if (!object)
        abort(); /* it is our own text */
    return object;
}
