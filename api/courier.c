#include "courier.h"

#include "app.h"
#include "stats.h"
#include "webhooks.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/http.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/version.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 3,
    IDLE_MS = 300,
    AWAY_MS = 1000,
    TIMEOUT_MS = 15000,
    HOLD_MS = 60000, /* longer than a try can take: then another courier may have it */
};

/* Seconds until the next try; spread by a tenth so that endpoints which failed together do not come back together. */
static const int64_t schedule_s[] = {5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};

struct courier {
    struct app *app;
    pthread_t threads[THREADS];
    int started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping; /* guarded by lock */
};

static bool rest(struct courier *c, int64_t ms)
{
    struct timespec until = cond_after_ms(ms);

    pthread_mutex_lock(&c->lock);
    while (!c->stopping && pthread_cond_timedwait(&c->changed, &c->lock, &until) == 0)
        continue;
    bool go_on = !c->stopping;
    pthread_mutex_unlock(&c->lock);
    return go_on;
}

static int64_t next_try_ms(int32_t tries)
{
    int64_t base;

    if (tries < 0 || (size_t)tries >= sizeof schedule_s / sizeof *schedule_s)
        return -1;
    base = schedule_s[tries] * 1000;
    return base + (int64_t)(id_random_seed() % (base / 10 + 1));
}

/* Thin: who wants more asks for it with the id. */
static char *make_body(const struct job *job)
{
    json_t *object = json_object(), *data = json_object();
    char type[32], url[64], *text;

    snprintf(type, sizeof type, "job.%s", job_state_name(job->state));
    snprintf(url, sizeof url, "/v1/jobs/%s", job->id);
    json_put_str(data, "id", job->id);
    json_put_str(data, "object", "job");
    json_put_str(data, "state", job_state_name(job->state));
    json_put_int(data, "version", job->version);
    json_put_str(data, "url", url);
    if (job->error_code[0])
        json_put_str(data, "error", job->error_code);
    json_put_str(object, "type", type);
    json_put_time(object, "timestamp", job->finished_ms ? job->finished_ms : clock_wall_ms());
    json_put(object, "data", data);
    text = json_text(object, false);
    json_decref(object);
    return text;
}

static int stop_asked(void *user, int64_t sent, int64_t to_send, int64_t received, int64_t to_receive)
{
    struct courier *c = user;

    (void)sent;
    (void)to_send;
    (void)received;
    (void)to_receive;
    pthread_mutex_lock(&c->lock);
    bool stopping = c->stopping;
    pthread_mutex_unlock(&c->lock);
    return stopping;
}

/* The HTTP status, or -1 with e. */
static int post(struct courier *c, struct http *http, const struct webhook *hook, const char *id, const char *body,
                const struct job *job, struct err *e)
{
    char signature[WEBHOOK_SIGNATURE_SIZE], id_line[128], time_line[64], signature_line[WEBHOOK_SIGNATURE_SIZE + 32];
    char trace_line[96], state_line[TRACE_STATE_SIZE + 16];
    const char *headers[] = {"Content-Type: application/json",
                             "User-Agent: longanim/" LONGANIM_VERSION,
                             id_line,
                             time_line,
                             signature_line,
                             job->trace_parent[0] ? trace_line : NULL,
                             job->trace_parent[0] && job->trace_state ? state_line : NULL,
                             NULL};
    int64_t now_s = clock_wall_ms() / 1000;
    struct http_request request = {.method = "POST",
                                   .url = hook->url,
                                   .headers = headers,
                                   .body = body,
                                   .body_size = strlen(body),
                                   .connect_ms = TIMEOUT_MS,
                                   .total_ms = TIMEOUT_MS,
                                   .on_progress = stop_asked,
                                   .user = c,
                                   .public_only = !c->app->config->webhook_allow_private,
                                   .unreachable = ERR_internal};
    struct http_response response;

    webhook_sign(hook, id, now_s, body, signature);
    snprintf(id_line, sizeof id_line, "webhook-id: %s", id);
    snprintf(time_line, sizeof time_line, "webhook-timestamp: %lld", (long long)now_s);
    snprintf(signature_line, sizeof signature_line, "webhook-signature: %s", signature);
    snprintf(trace_line, sizeof trace_line, "traceparent: %.64s", job->trace_parent);
    snprintf(state_line, sizeof state_line, "tracestate: %s", job->trace_state ? job->trace_state : "");
    if (http_do(http, &request, &response, e))
        return -1;
    return response.status;
}

static char *log_entry(const struct queue_delivery *d, int status, const struct err *e, int64_t took_ms,
                       int64_t next_ms)
{
    json_t *object = json_object();
    char *text;

    json_put_str(object, "job_id", d->job_id);
    json_put_int(object, "attempt", d->tries + 1);
    json_put_time(object, "at", clock_wall_ms());
    json_put(object, "status", status > 0 ? json_integer(status) : NULL);
    json_put(object, "error", status > 0 ? NULL : json_safe_string(e->detail));
    json_put_bool(object, "delivered", status >= 200 && status < 300);
    json_put_int(object, "took_ms", took_ms);
    json_put(object, "next_try_at", NULL);
    if (next_ms >= 0)
        json_put_time(object, "next_try_at", clock_wall_ms() + next_ms);
    text = json_text(object, false);
    json_decref(object);
    return text;
}

/* Without this a lost Redis would have the end told again. */
static void note_told(const struct ledger *l, const struct job *job, const char *hook_id)
{
    struct err e;

    if (job->manifest_key[0] && ledger_hook_told(l, job->manifest_key, hook_id, &e))
        log_err(LOG_WARN, "api.webhook_told_not_noted", job->id, &e);
}

static void deliver(struct courier *c, struct queue *queue, struct http *http, const struct queue_delivery *d)
{
    struct ledger ledger = app_ledger(c->app, queue);
    struct webhook hook;
    struct job job;
    struct err e = {0};
    char *body = NULL, *entry, id[sizeof d->id];
    int64_t start = clock_mono_ms(), next;
    int status = -1;

    job_init(&job);
    memcpy(id, d->id, sizeof id);
    for (char *bar = id; (bar = strchr(bar, '|')) != NULL;)
        *bar = '-';
    if (webhook_parse(&hook, d->text)) {
        err_set(&e, ERR_internal, "the endpoint's record is broken");
    } else if (queue_get(queue, d->job_id, &job, &e) == 0) {
        body = make_body(&job);
        status = post(c, http, &hook, id, body, &job, &e);
    }
    /* Redirects are not followed: they are reported, and tried again like any other failure. 410 means never again. */
    next = (status >= 200 && status < 300) || status == 410 || e.code == ERR_job_not_found ? -1 : next_try_ms(d->tries);
    entry = log_entry(d, status, &e, clock_mono_ms() - start, next);
    if (next < 0)
        note_told(&ledger, &job, d->hook_id);
    if (queue_hook_done(queue, d, next, entry, &e))
        log_err(LOG_WARN, "api.webhook_not_noted", d->job_id, &e); /* it is due again after HOLD_MS */
    if (status == 410 && ledger_hook_delete(&ledger, d->tenant, d->hook_id, &e) == 0)
        log_event(LOG_INFO, "webhook.gone", "webhook", "s", d->hook_id, NULL);
    const char *result = status >= 200 && status < 300 ? "delivered" : next < 0 ? "given_up" : "failed";
    metrics_add(c->app->metrics, STATS_WEBHOOKS, 1, &result);
    free(entry);
    free(body);
    job_free(&job);
}

static void *run(void *arg)
{
    struct courier *c = arg;
    struct queue *queue = NULL;
    struct http *http = http_new();
    struct queue_delivery *d = malloc(sizeof *d);
    struct err e;
    int got = 0;

    if (!d)
        abort();
    if (queue_open(&queue, c->app->config, &e)) {
        log_err(LOG_ERROR, "api.courier", NULL, &e);
        goto out;
    }
    do {
        while (!stop_asked(c, 0, 0, 0, 0) && (got = queue_hook_claim(queue, HOLD_MS, d, &e)) == 1)
            deliver(c, queue, http, d);
    } while (rest(c, got < 0 ? AWAY_MS : IDLE_MS));
out:
    queue_free(queue);
    http_free(http);
    free(d);
    return NULL;
}

int courier_start(struct courier **out, struct app *app, struct err *e)
{
    struct courier *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->app = app;
    pthread_mutex_init(&c->lock, NULL);
    cond_init(&c->changed);
    for (; c->started < THREADS; c->started++) {
        if (pthread_create(&c->threads[c->started], NULL, run, c) != 0) {
            courier_stop(c);
            return err_set(e, ERR_internal, "no thread for webhooks");
        }
        pthread_setname_np(c->threads[c->started], "courier");
    }
    *out = c;
    return 0;
}

void courier_stop(struct courier *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->started; i++)
        pthread_join(c->threads[i], NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
