/* Jobs per second through the scripts: enqueue alone, then whole cycles (claim, beat, complete), one connection, a real
 * Redis that syncs every write. Prints one line each. usage: queue [jobs] [folder for Redis] */
#include "base/clock.h"
#include "base/id.h"
#include "queue/queue.h"
#include "tests/support/redis.h"

#include <stdint.h>
#include <time.h>

static struct redis_server redis;

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e->detail);
    redis_stop(&redis);
    exit(1);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void report(const char *name, int64_t *us, int count)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += us[i];
    qsort(us, (size_t)count, sizeof *us, by_number);
    printf("%-28s %6.0f /s  p50 %.2f ms  p99 %.2f ms\n", name, count * 1e6 / (double)sum, (double)us[count / 2] / 1000,
           (double)us[count * 99 / 100] / 1000);
}

static void enqueue(struct queue *q, int64_t *us, int count)
{
    struct err e = {0};
    for (int i = 0; i < count; i++) {
        struct manifest m;
        enum queue_enqueued how;
        char other[ID_SIZE];
        manifest_init(&m);
        id_new_job(m.id);
        snprintf(m.tenant, sizeof m.tenant, "tenant%d", i % 20);
        snprintf(m.pool, sizeof m.pool, "demo");
        int64_t before = now_us();
        if (queue_enqueue(q, &m, "v1/t/20261123/j/manifest.json", &(struct queue_quota){0}, 1000, &how, other, &e) != 0)
            die("enqueue", &e);
        us[i] = now_us() - before;
        manifest_free(&m);
    }
}

static void cycle(struct queue *q, int64_t *us, int count)
{
    static const char *const pools[] = {"demo"};
    struct queue_result r = {.key = "k", .sha256 = "s", .content_type = "video/mp4"};
    struct job_progress p = {.stage = "diffusion", .fraction_ppm = 500000};
    struct err e = {0};
    for (int i = 0; i < count; i++) {
        struct queue_lease l;
        enum queue_order order;
        enum queue_end end;
        char nonce[33];
        id_random_hex(nonce, 16);
        int64_t before = now_us();
        if (queue_claim(q, "w", nonce, pools, 1, 30000, 0, &l, &e) != 1 ||
            queue_beat(q, &l, 30000, &p, &order, &e) != 0 || queue_complete(q, &l, &r, &end, &e) != 0)
            die("cycle", &e);
        us[i] = now_us() - before;
    }
}

static void read_jobs(struct queue *q, int64_t *us, int count)
{
    struct queue_filter f = {.state = -1, .limit = 1};
    struct queue_page page;
    struct err e = {0};
    if (queue_list(q, &f, &page, &e) != 0)
        die("list", &e);
    for (int i = 0; i < count; i++) {
        struct job j;
        int64_t before = now_us();
        if (queue_get(q, page.jobs[0].id, &j, &e) != 0)
            die("get", &e);
        us[i] = now_us() - before;
        job_free(&j);
    }
    queue_page_free(&page);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5000;
    struct queue *q = NULL;
    struct err e = {0};
    int64_t *us = calloc((size_t)(count > 0 ? count : 1), sizeof *us);
    int started = argc > 2 ? redis_start_in(&redis, argv[2]) : redis_start(&redis);
    if (count < 1 || !us || started != 0 || queue_new(&q, redis.url, &e) != 0)
        die("start", &e);
    enqueue(q, us, count);
    report("enqueue", us, count);
    read_jobs(q, us, count);
    report("get", us, count);
    cycle(q, us, count);
    report("claim, beat, complete", us, count);
    queue_free(q);
    redis_stop(&redis);
    free(us);
    return 0;
}
