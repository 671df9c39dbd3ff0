#include "ops.h"

#include "app.h"
#include "server.h"
#include "stats.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { POOLS_MAX = 256, PAGE_MAX_BYTES = 4 << 20 };

bool ops_live(struct req *r)
{
    req_answer(r, answer_text(200, "application/json", "{\"status\":\"ok\"}"));
    return true;
}

/* One check: true or the reason why not. */
static bool put_check(json_t *checks, const char *name, int rc, const struct err *e)
{
    json_t *check = json_object();

    json_put_bool(check, "ok", rc == 0);
    if (rc) {
        json_put_str(check, "code", err_info(e->code)->name);
        json_put(check, "detail", json_safe_string(e->detail));
    }
    json_put(checks, name, check);
    return rc == 0;
}

bool ops_ready(struct req *r)
{
    json_t *object = json_object(), *checks = json_object();
    struct err e = {0};
    bool ok;

    ok = put_check(checks, "redis", house_redis_check(r->app->house, &e), &e);
    ok = put_check(checks, "events", watch_check(r->app->watch, &e), &e) && ok;
    ok = put_check(checks, "store", house_store_check(r->app->house, &e), &e) && ok;
    ok =
        put_check(checks, "draining",
                  atomic_load(&r->app->draining) ? err_set(&e, ERR_draining, "the service is shutting down") : 0, &e) &&
        ok;
    json_put_str(object, "status", ok ? "ready" : "not ready");
    json_put(object, "checks", checks);
    req_answer(r, answer_json(ok ? 200 : 503, object));
    answer_header(r->answer, "Cache-Control", "no-store");
    if (!ok)
        answer_header(r->answer, "Retry-After", "1");
    return true;
}

/* The api has started when it listens; what it depends on is readiness. */
bool ops_startup(struct req *r)
{
    return ops_live(r);
}

bool ops_drain(struct req *r)
{
    if (!atomic_exchange(&r->app->draining, true))
        log_event(LOG_INFO, "api.draining", NULL);
    req_answer(r, answer_text(202, "application/json", "{\"draining\":true}"));
    return true;
}

/* ---- /metrics ---- */

/* What the queue has counted, by pool. */
static const struct {
    enum stats_row row;
    size_t offset; /* in struct queue_depth */
    double unit;
} totals[] = {
    {STATS_STARTED, offsetof(struct queue_depth, started), 1},
    {STATS_WAIT, offsetof(struct queue_depth, wait_ms), 1e-3},
    {STATS_RUN, offsetof(struct queue_depth, run_ms), 1e-3},
    {STATS_SEGMENTS, offsetof(struct queue_depth, segments), 1},
    {STATS_FRAMES, offsetof(struct queue_depth, frames), 1},
    {STATS_RETRIES, offsetof(struct queue_depth, retries), 1},
    {STATS_LOST, offsetof(struct queue_depth, lost), 1},
};
enum { TOTALS = sizeof totals / sizeof *totals };

static void set_totals(struct metrics *m, const struct queue_depth *d)
{
    const char *pool = d->pool;

    for (int i = 0; i < TOTALS; i++) {
        int64_t value;
        memcpy(&value, (const char *)d + totals[i].offset, sizeof value);
        metrics_set(m, totals[i].row, (double)value * totals[i].unit, &pool);
    }
}

static void refresh_depths(struct app *app, struct worker *w)
{
    static const char *const states[] = {"queued", "waiting", "running"};
    struct queue_depth depths[POOLS_MAX];
    struct err e;
    int count = 0;

    if (watch_check(app->watch, &e) || queue_depths(w->queue, depths, POOLS_MAX, &count, &e))
        return; /* the page says that Redis is away; the last depths stay */
    metrics_clear(app->metrics, STATS_DEPTH);
    metrics_clear(app->metrics, STATS_OLDEST);
    metrics_clear(app->metrics, STATS_ENDED);
    for (int i = 0; i < TOTALS; i++)
        metrics_clear(app->metrics, totals[i].row);
    for (int i = 0; i < count; i++) {
        const struct queue_depth *d = &depths[i];
        const int64_t values[] = {d->queued, d->waiting, d->running};
        const int64_t ended[] = {d->succeeded, d->failed, d->canceled, d->expired};
        static const char *const results[] = {"succeeded", "failed", "canceled", "expired"};
        const char *pool = d->pool;
        for (int k = 0; k < 3; k++)
            metrics_set(app->metrics, STATS_DEPTH, (double)values[k], (const char *const[]){pool, states[k]});
        for (int k = 0; k < 4; k++)
            metrics_set(app->metrics, STATS_ENDED, (double)ended[k], (const char *const[]){pool, results[k]});
        metrics_set(app->metrics, STATS_OLDEST, (double)d->oldest_ms / 1000, &pool);
        set_totals(app->metrics, d);
    }
}

/* Of this process, under the names that every dashboard knows. */
static void refresh_process(struct metrics *m)
{
    struct rusage used;
    struct err e;
    struct buf text;
    long long pages;
    int fds = -3; /* "." and "..", and the folder itself */

    if (getrusage(RUSAGE_SELF, &used) == 0)
        metrics_set(m, STATS_CPU,
                    (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                        (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
                    NULL);
    buf_init(&text, 4096);
    if (fs_read("/proc/self/statm", &text, &e) == 0 && sscanf(text.data, "%*d %lld", &pages) == 1)
        metrics_set(m, STATS_RESIDENT, (double)pages * (double)sysconf(_SC_PAGESIZE), NULL);
    buf_free(&text);
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        fds++;
    if (folder) {
        closedir(folder);
        metrics_set(m, STATS_OPEN_FDS, fds, NULL);
    }
}

void ops_metrics(struct req *r, struct worker *w)
{
    struct buf page;
    size_t size;
    char *text;
    struct err e;

    buf_init(&page, PAGE_MAX_BYTES);
    refresh_depths(r->app, w);
    refresh_process(r->app->metrics);
    metrics_set(r->app->metrics, STATS_CONNECTIONS, server_connections(r->app->api), NULL);
    metrics_set(r->app->metrics, STATS_INFLIGHT, server_busy(r->app->api), NULL);
    if (metrics_text(r->app->metrics, &page)) {
        err_set(&e, ERR_internal, "the page of metrics is too large");
        buf_free(&page);
        req_done_problem(r, &e);
        return;
    }
    text = buf_take(&page, &size);
    req_done_answer(r, answer_take(200, "text/plain; version=0.0.4; charset=utf-8", text, size));
}

/* ---- /scale: what an autoscaler asks ---- */

void ops_scale(struct req *r, struct worker *w)
{
    const char *pool = target_arg(&r->target, "pool");
    struct queue_depth depths[POOLS_MAX];
    int64_t demand = 0;
    json_t *object;
    struct err e;
    int count = 0;

    if (queue_depths(w->queue, depths, POOLS_MAX, &count, &e)) {
        req_done_problem(r, &e);
        return;
    }
    for (int i = 0; i < count; i++)
        if (!pool || strcmp(depths[i].pool, pool) == 0)
            demand += depths[i].queued + depths[i].waiting + depths[i].running;
    object = json_object();
    json_put(object, "pool", pool ? json_safe_string(pool) : json_string("*"));
    json_put_int(object, "demand", demand);
    req_done_answer(r, answer_json(200, object));
}
