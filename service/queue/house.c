/* Housekeeping: ended leases, deadlines, backoffs; depths, shares, models, locks; what the ledger asks for. */
#include "queue/queue_int.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOST_WAIT_MS = 500, SLOW_MS = 250 };

/* ---- reaping ---- */

/* A connection that broke, or an answer that took long: beats may have been stuck as well. */
static int look_for_outage(struct queue *q, bool *out, struct err *e)
{
    int64_t before_ms = clock_mono_ms(), slow_ms = q->conf.lease_ms / 4 > SLOW_MS ? q->conf.lease_ms / 4 : SLOW_MS;
    if (queue_ping(q, e) != 0)
        return -1;
    *out = q->broke || clock_mono_ms() - before_ms > slow_ms;
    q->broke = false;
    return 0;
}

static int reap_leases(struct queue *q, int limit, bool outage, struct queue_reaped *out, struct err *e)
{
    struct queue_args a = {0};
    queue__int(&a, limit);
    queue__edges(&a, JOB_EV_LOST);
    queue__edges(&a, JOB_EV_FAIL_FINAL);
    queue__edges(&a, JOB_EV_CANCELED);
    queue__int(&a, q->conf.retention_ms);
    queue__int(&a, q->conf.retry_base_ms < LOST_WAIT_MS ? q->conf.retry_base_ms : LOST_WAIT_MS);
    queue__int(&a, id_random_seed() % 1000000);
    queue__int(&a, q->conf.lease_ms);
    queue__str(&a, outage ? "1" : "0");
    redisReply *r = queue__run(q, SCRIPT_reap_leases, &a, e);
    if (!r)
        return -1;
    out->lost = (int)queue__int_at(r, 0);
    out->poisoned = (int)queue__int_at(r, 1);
    out->canceled = (int)queue__int_at(r, 2);
    freeReplyObject(r);
    return 0;
}

static int reap_deadlines(struct queue *q, int limit, struct queue_reaped *out, struct err *e)
{
    struct queue_args a = {0};
    queue__int(&a, limit);
    queue__edges(&a, JOB_EV_EXPIRE);
    queue__int(&a, q->conf.retention_ms);
    redisReply *r = queue__run(q, SCRIPT_reap_deadlines, &a, e);
    if (!r)
        return -1;
    out->expired = (int)queue__int_at(r, 0);
    out->overdue = (int)queue__int_at(r, 1);
    freeReplyObject(r);
    return 0;
}

static int promote(struct queue *q, int limit, struct queue_reaped *out, struct err *e)
{
    struct queue_args a = {0};
    queue__int(&a, limit);
    queue__edges(&a, JOB_EV_PROMOTE);
    redisReply *r = queue__run(q, SCRIPT_promote, &a, e);
    if (!r)
        return -1;
    out->promoted = r->type == REDIS_REPLY_INTEGER ? (int)r->integer : 0;
    freeReplyObject(r);
    return 0;
}

int queue_reap(struct queue *q, int limit, struct queue_reaped *out, struct err *e)
{
    struct queue_reaped found = {0};
    bool outage;
    if (look_for_outage(q, &outage, e) != 0 || reap_leases(q, limit, outage, &found, e) != 0 ||
        reap_deadlines(q, limit, &found, e) != 0 || promote(q, limit, &found, e) != 0)
        return -1;
    *out = found;
    return 0;
}

/* ---- generation ---- */

static int run_id(struct queue *q, char out[48], struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, "INFO");
    queue__str(&a, "server");
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    const char *at = r->type == REDIS_REPLY_STRING ? strstr(r->str, "run_id:") : NULL;
    if (at)
        snprintf(out, 48, "%.*s", (int)strspn(at + 7, "0123456789abcdef"), at + 7);
    freeReplyObject(r);
    return at ? 0 : err_set(e, ERR_dependency_redis, "Redis: INFO tells no run_id");
}

int queue_generation(struct queue *q, char out[96], struct err *e)
{
    struct queue_args a = {0};
    char id[48];
    if (run_id(q, id, e) != 0)
        return -1;
    queue__str(&a, "GET");
    queue__str(&a, QUEUE_PREFIX "marker");
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    snprintf(out, 96, "%s:%.40s", id, r->type == REDIS_REPLY_STRING ? r->str : "");
    freeReplyObject(r);
    return 0;
}

int queue_mark_reconciled(struct queue *q, struct err *e)
{
    struct queue_args a = {0};
    char marker[33];
    id_random_hex(marker, 16);
    queue__str(&a, "SETNX");
    queue__str(&a, QUEUE_PREFIX "marker");
    queue__str(&a, marker);
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    return 0;
}

/* ---- depths and shares ---- */

int queue_depths(struct queue *q, struct queue_depth *out, int max, int *count, struct err *e)
{
    enum { COLUMNS = 17 };
    struct queue_args a = {0};
    redisReply *r = queue__run(q, SCRIPT_depths, &a, e);
    int used = 0;
    if (!r)
        return -1;
    for (size_t i = 0; i + COLUMNS <= r->elements && used < max; i += COLUMNS) {
        struct queue_depth *d = &out[used++];
        text_clean(d->pool, sizeof d->pool, queue__text_at(r, i));
        d->paused = queue__int_at(r, i + 1) != 0;
        d->queued = queue__int_at(r, i + 2);
        d->waiting = queue__int_at(r, i + 3);
        d->running = queue__int_at(r, i + 4);
        d->oldest_ms = queue__int_at(r, i + 5);
        d->succeeded = queue__int_at(r, i + 6);
        d->failed = queue__int_at(r, i + 7);
        d->canceled = queue__int_at(r, i + 8);
        d->expired = queue__int_at(r, i + 9);
        d->started = queue__int_at(r, i + 10);
        d->wait_ms = queue__int_at(r, i + 11);
        d->run_ms = queue__int_at(r, i + 12);
        d->segments = queue__int_at(r, i + 13);
        d->frames = queue__int_at(r, i + 14);
        d->retries = queue__int_at(r, i + 15);
        d->lost = queue__int_at(r, i + 16);
    }
    freeReplyObject(r);
    *count = used;
    return 0;
}

/* A command whose answer is a number. */
static int run_number(struct queue *q, struct queue_args *a, int64_t *out, struct err *e)
{
    redisReply *r = queue__command(q, a, 0, e);
    if (!r)
        return -1;
    if (out)
        *out = r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
    freeReplyObject(r);
    return 0;
}

int queue_pause(struct queue *q, const char *pool, bool paused, struct err *e)
{
    struct queue_args a = {0};
    char name[128];
    int64_t known = 0;
    snprintf(name, sizeof name, QUEUE_PREFIX "pool:%.63s", pool);
    queue__str(&a, "SISMEMBER");
    queue__str(&a, QUEUE_PREFIX "pools");
    queue__str(&a, pool);
    if (run_number(q, &a, &known, e) != 0)
        return -1;
    if (!known)
        return err_set(e, ERR_pool_not_found, "there is no pool %.63s", pool);
    queue__str(&a, "HSET");
    queue__str(&a, name);
    queue__str(&a, "paused");
    queue__str(&a, paused ? "1" : "0");
    if (run_number(q, &a, NULL, e) != 0)
        return -1;
    if (paused)
        return 0;
    snprintf(name, sizeof name, QUEUE_PREFIX "wake:%.63s", pool);
    queue__str(&a, "LPUSH");
    queue__str(&a, name);
    queue__str(&a, "1");
    return run_number(q, &a, NULL, e);
}

int queue_pause_again(struct queue *q, const char *pool, struct err *e)
{
    struct queue_args a = {0};
    char name[128];
    snprintf(name, sizeof name, QUEUE_PREFIX "pool:%.63s", pool);
    queue__str(&a, "HSETNX");
    queue__str(&a, name);
    queue__str(&a, "paused");
    queue__str(&a, "1");
    if (run_number(q, &a, NULL, e) != 0)
        return -1;
    queue__str(&a, "SADD");
    queue__str(&a, QUEUE_PREFIX "pools");
    queue__str(&a, pool);
    return run_number(q, &a, NULL, e);
}

int queue_shares(struct queue *q, const struct queue_share *shares, int count, struct err *e)
{
    enum { BATCH = 100 };
    for (int first = 0; first < count; first += BATCH) {
        struct queue_args a = {0};
        for (int i = first; i < count && i < first + BATCH; i++) {
            queue__str(&a, shares[i].tenant);
            queue__int(&a, shares[i].weight);
            queue__int(&a, shares[i].max_running);
        }
        redisReply *r = queue__run(q, SCRIPT_shares, &a, e);
        if (!r)
            return -1;
        freeReplyObject(r);
    }
    return 0;
}

/* ---- what tenants have ---- */

static redisReply *usage(struct queue *q, const char *tenant, const char *upload_id, int64_t bytes, int64_t expires_ms,
                         int64_t max_stored_bytes, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, tenant);
    queue__str(&a, upload_id);
    queue__int(&a, bytes);
    queue__int(&a, expires_ms);
    queue__int(&a, max_stored_bytes);
    return queue__run(q, SCRIPT_usage, &a, e);
}

int queue_usage(struct queue *q, const char *tenant, struct queue_usage *out, struct err *e)
{
    redisReply *r = usage(q, tenant, "", 0, 0, 0, e);
    if (!r)
        return -1;
    *out = (struct queue_usage){queue__int_at(r, 0), queue__int_at(r, 1), queue__int_at(r, 2), queue__int_at(r, 3)};
    freeReplyObject(r);
    return 0;
}

int queue_upload_count(struct queue *q, const char *tenant, const char *upload_id, int64_t bytes, int64_t expires_ms,
                       int64_t max_stored_bytes, struct err *e)
{
    redisReply *r = usage(q, tenant, upload_id, bytes, expires_ms, max_stored_bytes, e);
    if (!r)
        return -1;
    bool counted = queue__int_at(r, 4) != 0;
    freeReplyObject(r);
    return counted ? 0
                   : err_set(e, ERR_quota_storage, "of the %lld bytes that this key may store too few are left",
                             (long long)max_stored_bytes);
}

int queue_upload_forget(struct queue *q, const char *tenant, const char *upload_id, struct err *e)
{
    struct queue_args a = {0};
    char name[128];
    snprintf(name, sizeof name, QUEUE_PREFIX "uploads:%.63s", tenant);
    queue__str(&a, "HDEL");
    queue__str(&a, name);
    queue__str(&a, upload_id);
    return run_number(q, &a, NULL, e);
}

/* ---- rates ---- */

int queue_rates(struct queue *q, struct queue_rate *list, int count, struct err *e)
{
    struct queue_args a = {0};
    for (int i = 0; i < count; i++) {
        queue__str(&a, list[i].tenant);
        queue__int(&a, list[i].used_us);
    }
    redisReply *r = queue__run(q, SCRIPT_rates, &a, e);
    if (!r)
        return -1;
    for (int i = 0; i < count; i++)
        list[i].ahead_us = queue__int_at(r, (size_t)i);
    freeReplyObject(r);
    return 0;
}

/* ---- counters across programs ---- */

int queue_counter(struct queue *q, const char *name, int64_t *out, struct err *e)
{
    struct queue_args a = {0};
    char key[128];
    snprintf(key, sizeof key, QUEUE_PREFIX "counter:%.63s", name);
    queue__str(&a, "GET");
    queue__str(&a, key);
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    *out = r->type == REDIS_REPLY_STRING ? strtoll(r->str, NULL, 10) : 0;
    freeReplyObject(r);
    return 0;
}

int queue_bump(struct queue *q, const char *name, struct err *e)
{
    struct queue_args a = {0};
    char key[128];
    snprintf(key, sizeof key, QUEUE_PREFIX "counter:%.63s", name);
    queue__str(&a, "INCR");
    queue__str(&a, key);
    return run_number(q, &a, NULL, e);
}

/* ---- for the ledger ---- */

static int ids_of(redisReply *r, queue_id *out, int max)
{
    int used = 0;
    if (!r)
        return -1;
    for (size_t i = 0; i < r->elements && used < max; i++)
        if (text_copy(out[used], ID_SIZE, queue__text_at(r, i)) == 0 && out[used][0])
            used++;
    freeReplyObject(r);
    return used;
}

int queue_unsettled(struct queue *q, queue_id *out, int max, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, "ZRANGE");
    queue__str(&a, QUEUE_PREFIX "unsettled");
    queue__str(&a, "0");
    queue__int(&a, max - 1);
    return ids_of(queue__command(q, &a, 0, e), out, max);
}

int queue_settled(struct queue *q, const char *job_id, int64_t version, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, job_id);
    queue__int(&a, version);
    redisReply *r = queue__run(q, SCRIPT_settled, &a, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    return 0;
}

int queue_outdated(struct queue *q, queue_id *out, int max, struct err *e)
{
    struct queue_args a = {0};
    queue__int(&a, max);
    return ids_of(queue__run(q, SCRIPT_outdated, &a, e), out, max);
}

int queue_knows(struct queue *q, const char *job_id, enum queue_knows *out, struct err *e)
{
    static const char *const kinds[] = {"job", "tomb"};
    static const enum queue_knows answers[] = {QUEUE_KNOWN, QUEUE_DELETED};
    for (int i = 0; i < 2; i++) {
        struct queue_args a = {0};
        char name[64];
        int64_t there;
        snprintf(name, sizeof name, QUEUE_PREFIX "%s:%.*s", kinds[i], ID_SIZE - 1, job_id);
        queue__str(&a, "EXISTS");
        queue__str(&a, name);
        if (run_number(q, &a, &there, e) != 0)
            return -1;
        if (there) {
            *out = answers[i];
            return 0;
        }
    }
    *out = QUEUE_UNKNOWN;
    return 0;
}

/* ---- models ---- */

int queue_announce(struct queue *q, const char *worker, const char *models_json, int64_t ttl_ms, struct err *e)
{
    static const char *const words[] = {"OK", NULL};
    struct queue_args a = {0};
    queue__str(&a, worker);
    queue__str(&a, models_json);
    queue__int(&a, ttl_ms);
    return queue__run_word(q, SCRIPT_announce, &a, words, e) < 0 ? -1 : 0;
}

int queue_models(struct queue *q, json_t **out_object, struct err *e)
{
    struct queue_args a = {0};
    redisReply *r = queue__run(q, SCRIPT_models, &a, e);
    if (!r)
        return -1;
    json_t *all = json_object();
    for (size_t i = 0; i < r->elements; i++) {
        const char *text = queue__text_at(r, i);
        json_t *models = json_parse(text, strlen(text), ERR_internal, NULL);
        if (json_is_object(models))
            json_object_update(all, models);
        json_decref(models);
    }
    freeReplyObject(r);
    *out_object = all;
    return 0;
}

/* ---- locks ---- */

int queue_lock(struct queue *q, const char *name, const char *token, int64_t ttl_ms, bool *got, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, name);
    queue__str(&a, token);
    queue__int(&a, ttl_ms);
    redisReply *r = queue__run(q, SCRIPT_lock, &a, e);
    if (!r)
        return -1;
    *got = r->type == REDIS_REPLY_INTEGER && r->integer == 1;
    freeReplyObject(r);
    return 0;
}

int queue_unlock(struct queue *q, const char *name, const char *token, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, name);
    queue__str(&a, token);
    redisReply *r = queue__run(q, SCRIPT_unlock, &a, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    return 0;
}
