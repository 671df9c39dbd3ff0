#include "limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

struct entry {
    struct entry *next;
    char tenant[64];
    int64_t due_us;    /* the theoretical arrival time: when everything counted so far would have been due one by one */
    int64_t untold_us; /* of it, what other apis have not heard of */
    int64_t held;      /* event streams */
};

struct limit {
    pthread_mutex_t lock;
    /* guarded by lock */
    struct entry *buckets[BUCKETS]; /* as many entries as there are keys */
    int next;                       /* bucket at which the next collection begins */
};

struct limit *limit_new(void)
{
    struct limit *l = calloc(1, sizeof *l);

    if (!l)
        abort();
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void limit_free(struct limit *l)
{
    if (!l)
        return;
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = l->buckets[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static struct entry *find_locked(struct limit *l, const char *tenant)
{
    unsigned h = 2166136261u;
    struct entry *e;

    for (const char *s = tenant; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    for (e = l->buckets[h % BUCKETS]; e; e = e->next)
        if (strncmp(e->tenant, tenant, sizeof e->tenant - 1) == 0)
            return e;
    e = calloc(1, sizeof *e);
    if (!e)
        abort();
    strncpy(e->tenant, tenant, sizeof e->tenant - 1);
    e->next = l->buckets[h % BUCKETS];
    l->buckets[h % BUCKETS] = e;
    return e;
}

bool limit_take(struct limit *l, const char *tenant, int64_t per_minute, int64_t now_us, struct limit_state *out)
{
    int64_t interval_us = per_minute < 60000000 ? 60000000 / per_minute : 1;
    int64_t burst_us = interval_us * per_minute, due, wait_us;
    struct entry *e;

    pthread_mutex_lock(&l->lock);
    e = find_locked(l, tenant);
    due = (e->due_us > now_us ? e->due_us : now_us) + interval_us;
    wait_us = due - burst_us - now_us;
    if (wait_us <= 0) {
        e->due_us = due;
        e->untold_us += interval_us;
    }
    due = e->due_us;
    pthread_mutex_unlock(&l->lock);
    *out = (struct limit_state){
        .quota = per_minute,
        .remaining = burst_us > due - now_us ? (burst_us - (due - now_us)) / interval_us : 0,
        .reset_s = (due - now_us + 999999) / 1000000,
        .retry_after_s = wait_us > 0 ? (wait_us + 999999) / 1000000 : 0,
    };
    return wait_us <= 0;
}

/* ---- among apis ---- */

/* What is due by now needs no telling: nobody has to wait for it any more. */
static void take_rate(struct entry *e, int64_t now_us, struct queue_rate *out)
{
    int64_t ahead_us = e->due_us > now_us ? e->due_us - now_us : 0;

    *out = (struct queue_rate){.used_us = e->untold_us < ahead_us ? e->untold_us : ahead_us};
    memcpy(out->tenant, e->tenant, sizeof out->tenant);
    e->untold_us = 0;
}

int limit_collect(struct limit *l, int64_t now_us, struct queue_rate *out, int max)
{
    int count = 0, looked = 0;

    pthread_mutex_lock(&l->lock);
    for (; looked < BUCKETS && count < max; looked++) {
        for (struct entry *e = l->buckets[(l->next + looked) % BUCKETS]; e && count < max; e = e->next)
            if (e->due_us > now_us)
                take_rate(e, now_us, &out[count++]);
    }
    l->next = (l->next + looked) % BUCKETS;
    pthread_mutex_unlock(&l->lock);
    return count;
}

void limit_adopt(struct limit *l, int64_t now_us, const struct queue_rate *list, int count, bool told)
{
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < count; i++) {
        struct entry *e = find_locked(l, list[i].tenant);
        int64_t due_us = now_us + list[i].ahead_us + e->untold_us;
        if (!told)
            e->untold_us += list[i].used_us;
        else if (due_us > e->due_us)
            e->due_us = due_us;
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- event streams ---- */

bool limit_hold(struct limit *l, const char *tenant, int64_t max)
{
    pthread_mutex_lock(&l->lock);
    struct entry *e = find_locked(l, tenant);
    bool may = max == 0 || e->held < max;
    e->held += may;
    pthread_mutex_unlock(&l->lock);
    return may;
}

void limit_let_go(struct limit *l, const char *tenant)
{
    pthread_mutex_lock(&l->lock);
    find_locked(l, tenant)->held--;
    pthread_mutex_unlock(&l->lock);
}
