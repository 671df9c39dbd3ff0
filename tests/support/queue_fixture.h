/* queue_fixture.h - one Redis for a group of cmocka tests, emptied before each; jobs in one line. */
#ifndef LONGANIM_TESTS_QUEUE_FIXTURE_H
#define LONGANIM_TESTS_QUEUE_FIXTURE_H

#include "queue/queue.h"
#include "tests/support/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct redis_server redis;
static struct queue *queue;

enum { LEASE_MS = 60000 };

static inline struct queue *open_queue(const char *url)
{
    static const struct queue_conf conf = {.retry_base_ms = 1, .retention_ms = 3600000, .lease_ms = 1000};
    struct queue *q = NULL;
    struct err e;
    if (queue_new(&q, url, &e) != 0)
        fail_msg("%s", e.detail);
    queue_configure(q, &conf);
    return q;
}

static inline int group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (redis_start(&redis) != 0)
        return -1;
    queue = open_queue(redis.url);
    return 0;
}

static inline int group_teardown(void **state)
{
    (void)state;
    queue_free(queue);
    redis_stop(&redis);
    return 0;
}

/* As a Redis that lost its data. */
static inline int lose_everything(void)
{
    char reply[64];
    redis_ask(&redis, reply, sizeof reply, 1, (const char *[]){"FLUSHALL"});
    return strcmp(reply, "OK") == 0 ? 0 : -1;
}

/* As a new Redis that has been reconciled with an empty store. */
static inline int flush(void **state)
{
    (void)state;
    return lose_everything() == 0 ? queue_mark_reconciled(queue, NULL) : -1;
}

static inline void fill_manifest(struct manifest *m, const char *tenant, const char *pool)
{
    manifest_init(m);
    id_new_job(m->id);
    snprintf(m->tenant, sizeof m->tenant, "%s", tenant);
    snprintf(m->pool, sizeof m->pool, "%s", pool);
    m->created_ms = 1795411597123;
    snprintf(m->video.sha256, sizeof m->video.sha256, "%064d", 1);
}

/* Enqueues m and remembers its id in out (may be NULL). */
static inline void put_manifest(struct queue *q, struct manifest *m, char out[ID_SIZE])
{
    enum queue_enqueued how;
    char key[MANIFEST_KEY_MAX], other[ID_SIZE];
    struct err e = {0};
    snprintf(key, sizeof key, "v1/%s/20261123/%s/manifest.json", m->tenant, m->id);
    if (queue_enqueue(q, m, key, &(struct queue_quota){.queued = 1000000}, 60000, &how, other, &e) != 0)
        fail_msg("enqueue: %s", e.detail);
    assert_int_equal(how, QUEUE_NEW);
    if (out)
        memcpy(out, m->id, ID_SIZE);
    manifest_free(m);
}

static inline void put_job(const char *tenant, char out[ID_SIZE])
{
    struct manifest m;
    fill_manifest(&m, tenant, "demo");
    put_manifest(queue, &m, out);
}

/* A claim under a new nonce, without waiting. */
static inline int claim_as(struct queue *q, const char *worker, int64_t lease_ms, struct queue_lease *out)
{
    static const char *const pools[] = {"demo"};
    char nonce[33];
    struct err e = {0};
    id_random_hex(nonce, 16);
    int got = queue_claim(q, worker, nonce, pools, 1, lease_ms, 0, out, &e);
    if (got < 0)
        fail_msg("claim: %s", e.detail);
    return got;
}

static inline void claim(struct queue_lease *out)
{
    assert_int_equal(claim_as(queue, "w1", LEASE_MS, out), 1);
}

static inline void result_of(struct queue_result *r, const char *sha)
{
    *r = (struct queue_result){.bytes = 10, .frames = 8, .width = 64, .height = 48};
    snprintf(r->key, sizeof r->key, "out/%s.mp4", sha);
    snprintf(r->sha256, sizeof r->sha256, "%s", sha);
    snprintf(r->content_type, sizeof r->content_type, "video/mp4");
}

static inline void get_job(const char *id, struct job *out)
{
    struct err e = {0};
    if (queue_get(queue, id, out, &e) != 0)
        fail_msg("get %s: %s", id, e.detail);
}

static inline enum job_state state_of(const char *id)
{
    struct job j;
    get_job(id, &j);
    enum job_state s = j.state;
    job_free(&j);
    return s;
}

static inline void reap(struct queue_reaped *out)
{
    struct err e = {0};
    if (queue_reap(queue, 100, out, &e) != 0)
        fail_msg("reap: %s", e.detail);
}

static inline void print_drift(void *user, const char *what)
{
    (void)user;
    print_message("drift: %s\n", what);
}

static inline void no_drift(void)
{
    int drift = -1;
    struct err e = {0};
    if (queue_audit(queue, print_drift, NULL, &drift, &e) != 0)
        fail_msg("audit: %s", e.detail);
    assert_int_equal(drift, 0);
}

#endif
