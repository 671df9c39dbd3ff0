/* Puts jobs into a queue, over several connections at once, and prints their ids; on stderr the rate as JSON.
 * usage: fill redis-url jobs connections */
#include "base/clock.h"
#include "base/id.h"
#include "queue/queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct filler {
    pthread_t thread;
    struct queue *queue;
    int64_t *us; /* of each job */
    queue_id *ids;
    int count, failed;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *fill(void *user)
{
    struct filler *f = user;
    struct err e = {0};
    for (int i = 0; i < f->count; i++) {
        struct manifest m;
        enum queue_enqueued how;
        char other[ID_SIZE], key[MANIFEST_KEY_MAX];
        manifest_init(&m);
        id_new_job(m.id);
        snprintf(m.tenant, sizeof m.tenant, "local");
        snprintf(m.pool, sizeof m.pool, "bench");
        snprintf(m.video.container, sizeof m.video.container, "mp4");
        m.video.width = m.video.height = 64;
        m.video.frames = 8;
        m.created_ms = clock_wall_ms();
        m.max_attempts = 3;
        snprintf(key, sizeof key, "v1/local/20260101/%s/manifest.json", m.id);
        int64_t before = now_us();
        if (queue_enqueue(f->queue, &m, key, &(struct queue_quota){0}, 1000, &how, other, &e) != 0)
            f->failed++;
        f->us[i] = now_us() - before;
        snprintf(f->ids[i], sizeof f->ids[i], "%s", m.id);
        manifest_free(&m);
    }
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0, threads = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1;
    struct err e = {0};
    signal(SIGPIPE, SIG_IGN);
    if (count < 1 || threads < 1 || threads > 64)
        return 2;
    struct filler *fillers = calloc((size_t)threads, sizeof *fillers);
    int64_t *us = calloc((size_t)count, sizeof *us);
    queue_id *ids = calloc((size_t)count, sizeof *ids);
    if (!fillers || !us || !ids)
        abort();
    int share = count / threads, failed = 0;
    int64_t began = now_us();
    for (int i = 0; i < threads; i++) {
        fillers[i] = (struct filler){.us = us + i * share, .ids = ids + i * share, .count = share};
        if (queue_new(&fillers[i].queue, argv[1], &e) != 0 || queue_mark_reconciled(fillers[i].queue, &e) != 0) {
            fprintf(stderr, "%s\n", e.detail);
            return 1;
        }
        pthread_create(&fillers[i].thread, NULL, fill, &fillers[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(fillers[i].thread, NULL);
        failed += fillers[i].failed;
        queue_free(fillers[i].queue);
    }
    double seconds = (double)(now_us() - began) / 1e6;
    int done = share * threads;
    for (int i = 0; i < done; i++)
        puts(ids[i]);
    qsort(us, (size_t)done, sizeof *us, by_number);
    fprintf(stderr, "{\"per_second\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"failed\":%d}\n", done / seconds,
            (double)us[done / 2] / 1000, (double)us[(int64_t)done * 99 / 100] / 1000, failed);
    free(fillers);
    free(us);
    free(ids);
    return failed ? 1 : 0;
}
