#include "worker/worker.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/proc.h"
#include "base/trace.h"
#include "worker/run.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    ANNOUNCE_MS = 5000,
    ANNOUNCE_TTL_MS = 60000,
    CLAIM_WAIT_MS = 1000,
    ENGINE_RETRY_MAX_MS = 30000,
    DRAIN_EXTRA_MS = 7000, /* after drain_ms: to stop the engine and tell Redis */
    POOLS_MAX = ENGINE_MODELS_MAX,
};

static void read_signals(struct worker *w)
{
    struct signalfd_siginfo info;
    while (read(w->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            continue; /* nothing to read again */
        if (w->signals == 0)
            w->drain_began_ms = clock_mono_ms();
        w->signals++;
        log_event(LOG_INFO, "worker.drains", "signals", "i", (int64_t)w->signals, NULL);
    }
}

static void announce(struct worker *w)
{
    struct err e = {0};
    if (!w->engine.models || clock_mono_ms() - w->announced_ms < ANNOUNCE_MS)
        return;
    w->announced_ms = clock_mono_ms();
    if (queue_announce(w->queue, w->id, w->engine.models, ANNOUNCE_TTL_MS, &e) != 0)
        log_err(LOG_DEBUG, "worker.announce_failed", NULL, &e);
}

void worker_tick(struct worker *w)
{
    read_signals(w);
    announce(w);
    notify_alive();
}

bool worker_must_leave(const struct worker *w)
{
    return w->signals > 1 ||
           (w->signals == 1 && clock_mono_ms() - w->drain_began_ms > w->conf->drain_ms + DRAIN_EXTRA_MS);
}

void worker_wait(struct worker *w, int64_t timeout_ms)
{
    struct pollfd p[2] = {{.fd = w->signal_fd, .events = POLLIN}, {.fd = lease_fd(w->lease), .events = POLLIN}};
    if (poll(p, 2, timeout_ms < 0 ? 0 : timeout_ms > 1000 ? 1000 : (int)timeout_ms) > 0)
        lease_order(w->lease); /* clears the descriptor; whoever waits asks again */
    worker_tick(w);
}

/* ---- the engine between jobs ---- */

static void engine_trouble(struct worker *w, const struct err *e)
{
    log_err(LOG_ERROR, "engine.unusable", NULL, e);
    int shift = w->engine_failures < 6 ? w->engine_failures : 6;
    int64_t pause_ms = 500LL << shift;
    w->engine_failures++;
    w->engine_retry_ms = clock_mono_ms() + (pause_ms > ENGINE_RETRY_MAX_MS ? ENGINE_RETRY_MAX_MS : pause_ms);
}

/* True when the engine stands ready to run; else one thing was done or waited for towards that. */
static bool engine_ready(struct worker *w)
{
    struct err e = {0};
    json_t *m = NULL;
    if (w->engine.pid == 0) {
        if (clock_mono_ms() < w->engine_retry_ms)
            worker_wait(w, w->engine_retry_ms - clock_mono_ms());
        else if (engine_link_start(&w->engine, false, &e) != 0)
            engine_trouble(w, &e);
        return false;
    }
    int got = engine_link_next(&w->engine, w->engine.ready ? 0 : 200, &m, &e);
    if (got < 0)
        engine_trouble(w, &e);
    if (got > 0)
        json_decref(m);
    if (w->engine.ready)
        w->engine_failures = 0;
    return w->engine.ready && got >= 0;
}

/* ---- claiming ---- */

/* The pools of this worker: as configured, else one per model that can be run. Pointers into *models or *list. */
static int pools_of(const struct worker *w, json_t **models, char **list, const char *out[POOLS_MAX])
{
    int count = 0;
    if (w->conf->pools[0]) {
        char *save = NULL;
        *list = strdup(w->conf->pools);
        if (!*list)
            abort();
        for (char *p = strtok_r(*list, ",", &save); p && count < POOLS_MAX; p = strtok_r(NULL, ",", &save))
            out[count++] = p;
        return count;
    }
    const char *name;
    json_t *value;
    *models = json_parse(w->engine.models, strlen(w->engine.models), ERR_internal, NULL);
    json_object_foreach(*models, name, value) if (count < POOLS_MAX) out[count++] = name;
    return count;
}

/* One wait for a job, and the job. `nonce` lives until Redis gave a definite answer. */
static void claim(struct worker *w, char nonce[33])
{
    const char *pools[POOLS_MAX];
    json_t *models = NULL;
    char *list = NULL;
    struct queue_lease lease;
    struct err e = {0};
    int count = pools_of(w, &models, &list, pools);
    if (!nonce[0])
        id_random_hex(nonce, 16);
    int got = queue_claim(w->queue, w->id, nonce, pools, count, w->conf->lease_ms, CLAIM_WAIT_MS, &lease, &e);
    json_decref(models);
    free(list);
    if ((got < 0) != w->redis_away) { /* said once per change */
        w->redis_away = got < 0;
        if (w->redis_away)
            log_err(LOG_WARN, "worker.claim_failed", NULL, &e);
        else
            log_event(LOG_INFO, "worker.claims_again", NULL);
    }
    if (got < 0) {
        worker_wait(w, 300);
        return;
    }
    nonce[0] = 0;
    if (got == 1)
        run_job(w, &lease);
}

/* ---- life ---- */

static int scratch_folder(const struct config *c, char out[FS_PATH_MAX], struct err *e)
{
    if (!c->data[0])
        return fs_join(out, c->tmpdir, ".", e);
    return fs_join(out, c->data, "scratch", e);
}

static void name_worker(struct worker *w)
{
    char host[32] = "host", random[7];
    if (w->conf->worker_id[0]) {
        snprintf(w->id, sizeof w->id, "%.63s", w->conf->worker_id);
        return;
    }
    gethostname(host, sizeof host - 1);
    id_random_hex(random, 3);
    snprintf(w->id, sizeof w->id, "%.31s-%d-%s", host, (int)getpid(), random);
}

static int open_all(struct worker *w, char **arguments, int argument_count, struct err *e)
{
    char folder[FS_PATH_MAX];
    if (!w->conf->redis[0])
        return err_set_field(e, ERR_params_invalid, "redis", "LONGANIM_REDIS is not set");
    if (!w->conf->store[0])
        return err_set_field(e, ERR_params_invalid, "store", "LONGANIM_STORE is not set");
    struct queue *beats = NULL;
    if (proc_signals(&w->signal_fd, e) != 0 || /* before any thread */
        trace_start(w->conf->otlp_endpoint, config_secret("OTEL_EXPORTER_OTLP_HEADERS"), "longanim-worker", e) != 0 ||
        queue_open(&w->queue, w->conf, e) != 0 || store_open(&w->store, w->conf->store, e) != 0 ||
        scratch_folder(w->conf, folder, e) != 0 || fs_mkdirs(folder, e) != 0 ||
        scratch_make(&w->scratch, folder, e) != 0 || queue_open(&beats, w->conf, e) != 0 ||
        lease_start(&w->lease, beats, w->conf->lease_ms, w->conf->beat_ms, e) != 0 ||
        keeper_start(&w->keeper, w->conf, w->store, &w->scratch, e) != 0)
        return -1;
    w->ledger = ledger_over(w->queue, w->store);
    engine_link_init(&w->engine, w->lease, arguments, argument_count);
    name_worker(w);
    return 0;
}

int worker_run(const struct config *c, char **arguments, int argument_count)
{
    struct worker w = {.conf = c, .signal_fd = -1, .scratch.lock_fd = -1};
    struct err e = {0};
    char nonce[33] = "";
    config_log(c, CONFIG_WORKER);
    notify_init(c->notify_socket, c->watchdog_us, c->alive_file);
    int failed = open_all(&w, arguments, argument_count, &e);
    if (failed) {
        log_err(LOG_ERROR, "worker.cannot_start", NULL, &e);
    } else {
        log_event(LOG_INFO, "worker.started", "worker", "s", w.id, NULL);
        notify_ready();
        w.announced_ms = clock_mono_ms() - ANNOUNCE_MS;
        while (w.signals == 0) {
            worker_tick(&w);
            if (w.signals == 0 && engine_ready(&w)) {
                announce(&w);
                claim(&w, nonce);
            }
        }
        notify_stopping();
        engine_link_fini(&w.engine);
        log_event(LOG_INFO, "worker.ended", "worker", "s", w.id, NULL);
    }
    trace_stop();
    keeper_stop(w.keeper);
    lease_stop(w.lease);
    scratch_remove(&w.scratch);
    store_close(w.store);
    queue_free(w.queue);
    if (w.signal_fd >= 0)
        close(w.signal_fd);
    return failed ? 2 : 0;
}
