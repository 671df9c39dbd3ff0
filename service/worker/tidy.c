/* After a lost lease: what this attempt uploaded and nobody refers to is removed by the loser itself; what is missed
 * here (a worker that was killed, a store that was away) is found by the sweeper. */
#include "worker/run.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 200000 };

struct litter {
    char mine[2][32];                 /* what marks a key as this epoch's: "/out/e7/", ".e7." */
    const struct queue_segment *rows; /* committed */
    int row_count;
    char (*keys)[STORE_KEY_MAX]; /* to be removed; owned */
    int count, capacity;
};

static int collect(void *user, const char *key, const struct store_info *info)
{
    struct litter *l = user;
    (void)info;
    if (!strstr(key, l->mine[0]) && !strstr(key, l->mine[1]))
        return 0;
    for (int i = 0; i < l->row_count; i++)
        if (strcmp(l->rows[i].key, key) == 0 || strcmp(l->rows[i].state_key, key) == 0)
            return 0;
    if (l->count == l->capacity) {
        int capacity = l->capacity ? l->capacity * 2 : 64;
        void *grown = capacity <= KEYS_MAX ? realloc(l->keys, (size_t)capacity * sizeof *l->keys) : NULL;
        if (!grown)
            return -1;
        l->keys = grown;
        l->capacity = capacity;
    }
    snprintf(l->keys[l->count++], STORE_KEY_MAX, "%s", key);
    return 0;
}

/* The winner may have been this very epoch: its own complete was carried out and only the answer was lost. */
static bool is_winner(struct run *r, struct err *e)
{
    struct job job;
    if (queue_get(r->w->queue, r->lease.job_id, &job, e) != 0)
        return true; /* not known: better litter than a hole */
    bool winner = job.state == JOB_SUCCEEDED && job.epoch == r->lease.epoch;
    job_free(&job);
    return winner;
}

void run_tidy(struct run *r)
{
    struct litter l = {0};
    struct queue_segment *rows = NULL;
    struct err e = {0};
    if (!r->has_manifest || is_winner(r, &e))
        return;
    snprintf(l.mine[0], sizeof l.mine[0], "/out/e%lld/", (long long)r->lease.epoch);
    snprintf(l.mine[1], sizeof l.mine[1], ".e%lld.", (long long)r->lease.epoch);
    int failed = queue_segments(r->w->queue, r->lease.job_id, NULL, &rows, &l.row_count, &e) != 0;
    l.rows = rows;
    failed = failed || store_list(r->w->store, r->prefix, "", collect, &l, &e) != 0;
    for (int i = 0; i < l.count && !failed; i++)
        failed = store_delete(r->w->store, l.keys[i], &e) != 0;
    if (failed)
        log_err(LOG_WARN, "store.left", r->lease.job_id, &e);
    free(l.keys);
    free(rows);
}
