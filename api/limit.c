#include "limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

struct entry {
    struct entry *next;
    char tenant[64];
    int64_t due_us; /* the theoretical arrival time: when everything counted so far would have been due one by one */
};

struct limit {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS]; /* guarded by lock; as many entries as there are keys */
};

struct limit *limit_new(void)
{
    struct limit *l = calloc(1, sizeof(*l));

    if (l == NULL)
        abort();
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void limit_free(struct limit *l)
{
    if (l == NULL)
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
        if (strncmp(e->tenant, tenant, sizeof(e->tenant) - 1) == 0)
            return e;
    e = calloc(1, sizeof(*e));
    if (e == NULL)
        abort();
    strncpy(e->tenant, tenant, sizeof(e->tenant) - 1);
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
    if (wait_us <= 0)
        e->due_us = due;
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
