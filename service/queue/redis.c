/* The connection: lazily made, thrown away after any trouble, one repeat for scripts whose reply was lost (every script
 * may be repeated). hiredis forgets its read timeout when it connects, so it is set after every connect. */
#include "queue/queue_int.h"

#include "queue_lua.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 1000, REPLY_MS = 3000 };

static const char *const scripts[SCRIPT_COUNT] = {
#define SCRIPT_TEXT(name) [SCRIPT_##name] = lua_##name,
    QUEUE_SCRIPTS(SCRIPT_TEXT)
#undef SCRIPT_TEXT
};

/* ---- words ---- */

void queue__args_fini(struct queue_args *a)
{
    for (int i = 0; i < a->count; i++)
        free(a->words[i]);
    free(a->words);
    free(a->sizes);
    *a = (struct queue_args){0};
}

void queue__add(struct queue_args *a, const void *data, size_t size)
{
    if (a->count == a->capacity) {
        a->capacity = a->capacity ? 2 * a->capacity : 32;
        a->words = realloc(a->words, (size_t)a->capacity * sizeof *a->words);
        a->sizes = realloc(a->sizes, (size_t)a->capacity * sizeof *a->sizes);
        if (!a->words || !a->sizes)
            abort();
    }
    char *word = malloc(size + 1);
    if (!word)
        abort();
    memcpy(word, data, size);
    a->words[a->count] = word;
    a->sizes[a->count++] = size;
}

void queue__str(struct queue_args *a, const char *text)
{
    queue__add(a, text ? text : "", text ? strlen(text) : 0);
}

void queue__int(struct queue_args *a, int64_t value)
{
    char text[24];
    queue__add(a, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

void queue__edges(struct queue_args *a, enum job_event event)
{
    char text[256] = "";
    size_t used = 0;
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        int to = job_next((enum job_state)from, event);
        if (to >= 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s>%s", used ? "," : "",
                                     job_state_name((enum job_state)from), job_state_name((enum job_state)to));
    }
    queue__add(a, text, used);
}

static const char *const script_names[SCRIPT_COUNT] = {
#define SCRIPT_NAME(name) [SCRIPT_##name] = #name,
    QUEUE_SCRIPTS(SCRIPT_NAME)
#undef SCRIPT_NAME
};

/* ---- connecting ---- */

static void drop(struct queue *q)
{
    if (q->context)
        redisFree(q->context);
    q->context = NULL;
    q->policy_seen = false;
}

static struct timeval as_timeval(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static int refuse(struct queue *q, struct err *e, const char *why)
{
    err_set(e, ERR_dependency_redis, "Redis: %s", why);
    q->broke = true;
    drop(q);
    return -1;
}

/* AUTH and SELECT; words[0] NULL ends the list. */
static int introduce(struct queue *q, int count, const char **words, struct err *e)
{
    redisReply *r = redisCommandArgv(q->context, count, words, NULL);
    int result = 0;
    if (!r || r->type == REDIS_REPLY_ERROR)
        result = refuse(q, e, r ? r->str : q->context->errstr);
    if (r)
        freeReplyObject(r);
    return result;
}

static int connect_now(struct queue *q, struct err *e)
{
    struct timeval connect_time = as_timeval(CONNECT_MS);
    q->context = q->unix_path ? redisConnectUnixWithTimeout(q->unix_path, connect_time)
                              : redisConnectWithTimeout(q->host, q->port, connect_time);
    if (!q->context)
        return err_set(e, ERR_dependency_redis, "Redis: no memory for a connection");
    if (q->context->err || redisSetTimeout(q->context, as_timeval(REPLY_MS)) != REDIS_OK)
        return refuse(q, e, q->context->errstr);
    fcntl(q->context->fd, F_SETFD, FD_CLOEXEC);
    if (!q->unix_path)
        redisEnableKeepAlive(q->context);
    if (q->password) {
        const char *with_user[] = {"AUTH", q->user, q->password}, *without[] = {"AUTH", q->password};
        if (introduce(q, q->user ? 3 : 2, q->user ? with_user : without, e) != 0)
            return -1;
    }
    if (q->db > 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", q->db);
        const char *words[] = {"SELECT", number};
        return introduce(q, 2, words, e);
    }
    return 0;
}

/* ---- commands ---- */

static redisReply *send_words(struct queue *q, int count, char **words, const size_t *sizes, int64_t block_ms)
{
    if (block_ms > 0)
        redisSetTimeout(q->context, as_timeval(block_ms + REPLY_MS));
    redisReply *r = redisCommandArgv(q->context, count, (const char **)(uintptr_t)words, sizes);
    if (block_ms > 0 && r)
        redisSetTimeout(q->context, as_timeval(REPLY_MS));
    return r;
}

/* Sends, and once more on a new connection when the first one broke. */
static redisReply *exchange(struct queue *q, struct queue_args *a, int64_t block_ms, struct err *e)
{
    q->repeated = false;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!q->context && connect_now(q, e) != 0)
            return NULL;
        redisReply *r = send_words(q, a->count, a->words, a->sizes, block_ms);
        if (r)
            return r;
        bool timed_out = q->context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
        refuse(q, e, timed_out ? "no answer in time" : q->context->errstr);
        q->repeated = true;
        if (timed_out)
            return NULL; /* the caller has waited long enough */
    }
    return NULL;
}

/* What the server says about itself rather than about the command. */
static bool is_servers_trouble(const char *text)
{
    static const char *const words[] = {
        "BUSY",      "LOADING", "OOM",      "MISCONF",     "READONLY",   "MASTERDOWN", "NOAUTH",
        "WRONGPASS", "NOPERM",  "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS", "MOVED",      "ERR invalid password"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static redisReply *checked(redisReply *r, struct err *e)
{
    if (!r || r->type != REDIS_REPLY_ERROR)
        return r;
    err_set(e, is_servers_trouble(r->str) ? ERR_dependency_redis : ERR_internal, "Redis: %s", r->str);
    freeReplyObject(r);
    return NULL;
}

redisReply *queue__command(struct queue *q, struct queue_args *a, int64_t block_ms, struct err *e)
{
    redisReply *r = checked(exchange(q, a, block_ms, e), e);
    queue__args_fini(a);
    return r;
}

redisReply *queue__list(struct queue *q, const char *name, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, "LRANGE");
    queue__str(&a, name);
    queue__str(&a, "0");
    queue__str(&a, "-1");
    return queue__command(q, &a, 0, e);
}

static char *full_text(enum queue_script script)
{
    size_t head = strlen(lua_common), tail = strlen(scripts[script]);
    char *text = malloc(head + tail + 1);
    if (!text)
        abort();
    memcpy(text, lua_common, head);
    memcpy(text + head, scripts[script], tail + 1);
    return text;
}

/* Redis names a script by a hash and forgets it when it restarts; so it is loaded when it is first needed, and again
 * whenever Redis does not know it. */
static int load(struct queue *q, enum queue_script script, struct err *e)
{
    struct queue_args a = {0};
    char *text = full_text(script);
    queue__str(&a, "SCRIPT");
    queue__str(&a, "LOAD");
    queue__str(&a, text);
    free(text);
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    bool good = r->type == REDIS_REPLY_STRING && strlen(r->str) == sizeof q->sha[script] - 1;
    if (good)
        memcpy(q->sha[script], r->str, sizeof q->sha[script]);
    freeReplyObject(r);
    return good ? 0 : err_set(e, ERR_dependency_redis, "Redis: cannot load a script");
}

static redisReply *run_loaded(struct queue *q, enum queue_script script, const struct queue_args *a, struct err *e)
{
    struct queue_args words = {0};
    queue__str(&words, "EVALSHA");
    queue__str(&words, q->sha[script]);
    queue__str(&words, "1");
    queue__str(&words, QUEUE_PREFIX);
    for (int i = 0; i < a->count; i++)
        queue__add(&words, a->words[i], a->sizes[i]);
    redisReply *r = exchange(q, &words, 0, e);
    queue__args_fini(&words);
    return r;
}

/* Is the connection to be lost before or after this script? */
static bool breaks(struct queue *q, enum queue_script script, const char *when, struct err *e)
{
    char point[64];
    if (!fault__armed)
        return false;
    snprintf(point, sizeof point, "redis.%s.%s", script_names[script], when);
    return fault(point) && refuse(q, e, point) != 0;
}

redisReply *queue__run(struct queue *q, enum queue_script script, struct queue_args *a, struct err *e)
{
    redisReply *r = NULL;
    bool repeated = false;
    if (breaks(q, script, "before", e)) {
        queue__args_fini(a);
        return NULL;
    }
    if (q->sha[script][0] || load(q, script, e) == 0)
        r = run_loaded(q, script, a, e);
    repeated = q->repeated;
    if (r && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOSCRIPT", 8) == 0) {
        freeReplyObject(r);
        r = load(q, script, e) == 0 ? run_loaded(q, script, a, e) : NULL;
        q->repeated |= repeated;
    }
    queue__args_fini(a);
    r = checked(r, e);
    if (r && breaks(q, script, "after", e)) {
        freeReplyObject(r);
        return NULL;
    }
    if (r && r->type == REDIS_REPLY_STRING && strcmp(r->str, "UNSURE") == 0) {
        freeReplyObject(r);
        r = NULL;
        err_set(e, ERR_dependency_redis, "Redis: its data was lost and is being restored");
    }
    return r;
}

int queue__run_word(struct queue *q, enum queue_script script, struct queue_args *a, const char *const *words,
                    struct err *e)
{
    redisReply *r = queue__run(q, script, a, e);
    int found = -1;
    if (!r)
        return -1;
    for (int i = 0; words[i] && found < 0; i++)
        if ((r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) && strcmp(r->str, words[i]) == 0)
            found = i;
    if (found < 0)
        err_set(e, ERR_internal, "Redis: a script answered what it should not");
    freeReplyObject(r);
    return found;
}

const char *queue__text_at(const redisReply *r, size_t i)
{
    if (r->type != REDIS_REPLY_ARRAY || i >= r->elements)
        return "";
    const redisReply *x = r->element[i];
    return x->type == REDIS_REPLY_STRING || x->type == REDIS_REPLY_STATUS ? x->str : "";
}

int64_t queue__int_at(const redisReply *r, size_t i)
{
    if (r->type != REDIS_REPLY_ARRAY || i >= r->elements)
        return 0;
    const redisReply *x = r->element[i];
    return x->type == REDIS_REPLY_INTEGER ? x->integer : strtoll(queue__text_at(r, i), NULL, 10);
}

/* ---- life ---- */

static char *copy_of(const char *from, size_t size)
{
    char *own = strndup(from, size);
    if (!own)
        abort();
    return own;
}

/* [[user:]password@]host[:port][/db] behind "redis://". */
static int parse_tcp(struct queue *q, const char *rest, struct err *e)
{
    const char *at = strrchr(rest, '@'), *host = at ? at + 1 : rest;
    size_t host_size = strcspn(host, ":/");
    const char *tail = host + host_size;
    char *end;
    if (at) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));
        const char *password = colon ? colon + 1 : rest;
        if (colon && colon > rest)
            q->user = copy_of(rest, (size_t)(colon - rest));
        q->password = copy_of(password, (size_t)(at - password));
    }
    if (*host == '[') {
        host_size = strcspn(++host, "]");
        tail = host + host_size + (host[host_size] == ']');
    }
    q->host = copy_of(host, host_size);
    q->port = 6379;
    if (*tail == ':') {
        q->port = (int)strtol(tail + 1, &end, 10);
        tail = end;
    }
    if (*tail == '/' && tail[1]) {
        q->db = (int)strtol(tail + 1, &end, 10);
        tail = end;
    } else if (*tail == '/') {
        tail++;
    }
    if (*tail || host_size == 0 || q->port < 1 || q->port > 65535 || q->db < 0)
        return err_set_field(e, ERR_params_invalid, "redis",
                             "not a Redis URL; give redis://host:port/db or unix:/path");
    return 0;
}

int queue_new(struct queue **out, const char *url, struct err *e)
{
    struct queue *q = calloc(1, sizeof *q);
    int result = 0;
    if (!q)
        abort();
    q->conf = (struct queue_conf){.retry_base_ms = 5000, .retention_ms = 2592000000, .lease_ms = 30000};
    if (strncmp(url, "unix:/", 6) == 0)
        q->unix_path = copy_of(url + 5, strlen(url + 5));
    else if (strncmp(url, "redis://", 8) == 0)
        result = parse_tcp(q, url + 8, e);
    else
        result =
            err_set_field(e, ERR_params_invalid, "redis", "not a Redis URL; give redis://host:port/db or unix:/path");
    if (result != 0)
        queue_free(q);
    else
        *out = q;
    return result;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    drop(q);
    free(q->unix_path);
    free(q->host);
    free(q->user);
    free(q->password);
    free(q);
}

int queue_open(struct queue **out, const struct config *c, struct err *e)
{
    struct queue_conf conf = {
        .retry_base_ms = c->retry_base_ms, .retention_ms = c->retention_ms, .lease_ms = c->lease_ms};
    if (queue_new(out, c->redis, e) != 0)
        return -1;
    queue_configure(*out, &conf);
    return 0;
}

void queue_configure(struct queue *q, const struct queue_conf *c)
{
    q->conf = *c;
}

const struct queue_conf *queue_configured(const struct queue *q)
{
    return &q->conf;
}

int queue_ping(struct queue *q, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, "PING");
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    freeReplyObject(r);
    if (q->policy_seen)
        return 0;
    queue__str(&a, "CONFIG");
    queue__str(&a, "GET");
    queue__str(&a, "maxmemory-policy");
    struct err why = {0};
    r = queue__command(q, &a, 0, &why);
    if (!r && !strstr(why.detail, "NOPERM"))
        return err_set(e, ERR_dependency_redis, "%s", why.detail);
    /* A server that hides its configuration is trusted; docs/queue.md says what it must be. */
    bool wrong = r && strcmp(queue__text_at(r, 1), "noeviction") != 0;
    if (r)
        freeReplyObject(r);
    if (wrong)
        return err_set(e, ERR_dependency_redis, "Redis: maxmemory-policy must be noeviction, or jobs may be evicted");
    q->policy_seen = true;
    return 0;
}
