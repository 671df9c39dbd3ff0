/* Recounts what the scripts keep by increments, from the jobs themselves. Slices of SCAN, so that a large queue is not
 * held up. */
#include "queue/queue_int.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct audit {
    struct queue *queue;
    json_t *counts; /* "pool:<pool>:<state>", "tenant:<tenant>:<state>", "tenant:<tenant>:stored" (bytes),
                       "ready:<pool>:<tenant>", "state:<state>" -> number */
    int64_t jobs;
    int drift;
    void (*fn)(void *user, const char *what);
    void *user;
};

static void report(struct audit *t, const char *what, int64_t is, int64_t should)
{
    char line[320];
    t->drift++;
    snprintf(line, sizeof line, "%.240s is %lld, should be %lld", what, (long long)is, (long long)should);
    if (t->fn)
        t->fn(t->user, line);
}

static void add(struct audit *t, const char *kind, const char *a, const char *b, int64_t by)
{
    char name[256];
    snprintf(name, sizeof name, "%s:%.63s:%.63s", kind, a, b);
    json_put_int(t->counts, name, json_integer_value(json_object_get(t->counts, name)) + by);
}

static void count(struct audit *t, const char *kind, const char *a, const char *b)
{
    add(t, kind, a, b, 1);
}

static int64_t counted(const struct audit *t, const char *kind, const char *a, const char *b)
{
    char name[256];
    snprintf(name, sizeof name, "%s:%.63s:%.63s", kind, a, b);
    return json_integer_value(json_object_get(t->counts, name));
}

/* verb {q}:name [argument], as a number; a missing value is 0, a missing member -1. */
static int ask(struct audit *t, const char *verb, const char *name, const char *argument, int64_t *out, struct err *e)
{
    struct queue_args a = {0};
    char key[256];
    snprintf(key, sizeof key, QUEUE_PREFIX "%.200s", name);
    queue__str(&a, verb);
    queue__str(&a, key);
    if (argument)
        queue__str(&a, argument);
    redisReply *r = queue__command(t->queue, &a, 0, e);
    if (!r)
        return -1;
    if (r->type == REDIS_REPLY_INTEGER)
        *out = r->integer;
    else if (r->type == REDIS_REPLY_STRING)
        *out = strtoll(r->str, NULL, 10);
    else
        *out = strcmp(verb, "ZSCORE") == 0 ? -1 : 0;
    freeReplyObject(r);
    return 0;
}

static int expect_member(struct audit *t, const char *set, const char *id, struct err *e)
{
    int64_t score;
    char what[256];
    if (ask(t, "ZSCORE", set, id, &score, e) != 0)
        return -1;
    if (score == -1) {
        snprintf(what, sizeof what, "%.40s in %.160s", id, set);
        report(t, what, 0, 1);
    }
    return 0;
}

static int expect_number(struct audit *t, const char *verb, const char *name, const char *field, int64_t should,
                         struct err *e)
{
    int64_t is;
    char what[256];
    if (ask(t, verb, name, field, &is, e) != 0)
        return -1;
    if (is != should) {
        snprintf(what, sizeof what, "%s %.160s %.40s", verb, name, field ? field : "");
        report(t, what, is, should);
    }
    return 0;
}

/* A number among the fields of a job. */
static int64_t number_in(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (strcmp(queue__text_at(fields, i), name) == 0)
            return queue__int_at(fields, i + 1);
    return 0;
}

static int audit_job(struct audit *t, const char *key, struct err *e)
{
    struct queue_args a = {0};
    const char *id = strrchr(key, ':') + 1;
    char set[256];
    struct job j;
    queue__str(&a, "HGETALL");
    queue__str(&a, key);
    redisReply *r = queue__command(t->queue, &a, 0, e);
    if (!r)
        return -1;
    queue__read_job(id, r, &j);
    add(t, "tenant", j.tenant, "stored", number_in(r, "bytes"));
    freeReplyObject(r);
    const char *state = job_state_name(j.state);
    t->jobs++;
    count(t, "pool", j.pool, state);
    count(t, "tenant", j.tenant, state);
    count(t, "state", state, "");
    int result = 0;
    if (j.state == JOB_QUEUED) {
        count(t, "ready", j.pool, j.tenant);
        snprintf(set, sizeof set, "ready:%s:%s", j.pool, j.tenant);
        result = expect_member(t, set, id, e);
    } else if (j.state == JOB_WAITING || j.state == JOB_RUNNING) {
        result = expect_member(t, j.state == JOB_WAITING ? "delayed" : "lease", id, e);
    } else {
        result = expect_member(t, "term", id, e);
    }
    for (int i = 0; i < 4 && result == 0; i++) {
        snprintf(set, sizeof set, "idx:%s:%s", i % 2 ? j.tenant : "*", i < 2 ? state : "any");
        result = expect_member(t, set, id, e);
    }
    job_free(&j);
    return result;
}

/* Calls fn for every key of the pattern. A key may come twice while the table grows, which an audit of a quiet queue
 * does not see; the set of names makes sure. */
static int each_key(struct audit *t, const char *pattern, int (*fn)(struct audit *t, const char *key, struct err *e),
                    struct err *e)
{
    char cursor[32] = "0";
    json_t *seen = json_object();
    int result = 0;
    do {
        struct queue_args a = {0};
        queue__str(&a, "SCAN");
        queue__str(&a, cursor);
        queue__str(&a, "MATCH");
        queue__str(&a, pattern);
        queue__str(&a, "COUNT");
        queue__str(&a, "500");
        redisReply *r = queue__command(t->queue, &a, 0, e);
        if (!r || r->elements != 2) {
            if (r)
                freeReplyObject(r);
            result = -1;
            break;
        }
        snprintf(cursor, sizeof cursor, "%.31s", queue__text_at(r, 0));
        for (size_t i = 0; i < r->element[1]->elements && result == 0; i++) {
            const char *key = queue__text_at(r->element[1], i);
            if (json_object_get(seen, key))
                continue;
            json_put_bool(seen, key, true);
            result = fn(t, key, e);
        }
        freeReplyObject(r);
    } while (result == 0 && strcmp(cursor, "0") != 0);
    json_decref(seen);
    return result;
}

static const enum job_state live[] = {JOB_QUEUED, JOB_WAITING, JOB_RUNNING};
enum { LIVE = sizeof live / sizeof *live };

static int audit_counters(struct audit *t, const char *key, const char *kind, struct err *e)
{
    const char *name = strrchr(key, ':') + 1;
    char hash[256];
    snprintf(hash, sizeof hash, "%s:%.63s", kind, name);
    for (int i = 0; i < LIVE; i++) {
        const char *state = job_state_name(live[i]);
        if (expect_number(t, "HGET", hash, state, counted(t, kind, name, state), e) != 0)
            return -1;
    }
    return 0;
}

static int audit_pool(struct audit *t, const char *key, struct err *e)
{
    return audit_counters(t, key, "pool", e);
}

static int audit_tenant(struct audit *t, const char *key, struct err *e)
{
    const char *name = strrchr(key, ':') + 1;
    char hash[256];
    snprintf(hash, sizeof hash, "tenant:%.63s", name);
    if (expect_number(t, "HGET", hash, "stored", counted(t, "tenant", name, "stored"), e) != 0)
        return -1;
    return audit_counters(t, key, "tenant", e);
}

/* A tenant with ready jobs must be among the flows of the pool, and nobody else. */
static int audit_ready(struct audit *t, const char *key, struct err *e)
{
    const char *tenant = strrchr(key, ':') + 1;
    const char *name = key + strlen(QUEUE_PREFIX), *pool = name + strlen("ready:");
    char pool_name[64], flows[128];
    snprintf(pool_name, sizeof pool_name, "%.*s", (int)(tenant - 1 - pool), pool);
    snprintf(flows, sizeof flows, "flows:%s", pool_name);
    if (expect_number(t, "ZCARD", name, NULL, counted(t, "ready", pool_name, tenant), e) != 0)
        return -1;
    return expect_member(t, flows, tenant, e);
}

static int audit_sets(struct audit *t, struct err *e)
{
    int64_t ended = 0;
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        if (job_state_terminal((enum job_state)s))
            ended += counted(t, "state", job_state_name((enum job_state)s), "");
    if (expect_number(t, "ZCARD", "lease", NULL, counted(t, "state", "running", ""), e) != 0 ||
        expect_number(t, "ZCARD", "delayed", NULL, counted(t, "state", "waiting", ""), e) != 0 ||
        expect_number(t, "ZCARD", "term", NULL, ended, e) != 0)
        return -1;
    return expect_number(t, "ZCARD", "idx:*:any", NULL, t->jobs, e);
}

int queue_audit(struct queue *q, void (*fn)(void *user, const char *what), void *user, int *out_drift, struct err *e)
{
    struct audit t = {.queue = q, .counts = json_object(), .fn = fn, .user = user};
    int result = -1;
    if (each_key(&t, QUEUE_PREFIX "job:*", audit_job, e) == 0 &&
        each_key(&t, QUEUE_PREFIX "pool:*", audit_pool, e) == 0 &&
        each_key(&t, QUEUE_PREFIX "tenant:*", audit_tenant, e) == 0 &&
        each_key(&t, QUEUE_PREFIX "ready:*", audit_ready, e) == 0 && audit_sets(&t, e) == 0) {
        *out_drift = t.drift;
        result = 0;
    }
    json_decref(t.counts);
    return result;
}

int queue_recount(struct queue *q, int *out_changed, struct err *e)
{
    enum { JOBS_MAX = 200000 };
    struct queue_args a = {0};
    queue__int(&a, JOBS_MAX);
    redisReply *r = queue__run(q, SCRIPT_recount, &a, e);
    if (!r)
        return -1;
    int64_t changed = r->type == REDIS_REPLY_INTEGER ? r->integer : -1;
    freeReplyObject(r);
    if (changed < 0)
        return err_set(e, ERR_overloaded, "there are more than %d jobs; too many to recount in one step", JOBS_MAX);
    *out_changed = (int)changed;
    return 0;
}
