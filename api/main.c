/* longanim-api: the HTTP front. Stateless but for caches; any number may run beside each other. */
#include "app.h"
#include "server.h"
#include "stats.h"
#include "listen.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/http.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/proc.h"
#include "base/trace.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    LOOP_THREADS = 2,
    QUICK_THREADS = 8,
    SLOW_THREADS = 8,
    SPOOL_THREADS = 4,
    WAITING_MAX = 20000,
    CONNECTIONS_MAX = 20000,
    CONNECTION_BYTES = 32768,
    CACHE_ENTRIES = 8192,
    FIRST_LOOK_MS = 500, /* how long the first answers of Redis and the store are waited for */
    GOODBYE_MS = 8000,   /* how long requests under way may take after SIGTERM */
};

/* ---- starting ---- */

/* Ten thousand clients need as many descriptors; the soft limit is often 1,024. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int max_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 2 * CONNECTIONS_MAX)
        return CONNECTIONS_MAX;
    return limit.rlim_cur > 512 ? (int)(limit.rlim_cur / 2) : (int)limit.rlim_cur;
}

/* Without keys everybody may do everything, so nobody but this machine gets to ask: another address is replaced. */
static int listen_address(const struct app *app, char out[300], struct err *e)
{
    char host[256], port[8];

    if (listen_split(app->config->listen, host, sizeof host, port, e))
        return -1;
    if (keys_required(app->keys)) {
        snprintf(out, 300, "%s", app->config->listen);
        return 0;
    }
    if (listen_is_loopback(host))
        snprintf(out, 300, "%s", app->config->listen);
    else
        snprintf(out, 300, "%s:%s", strchr(host, ':') ? "[::1]" : "127.0.0.1", port);
    log_event(LOG_WARN, "api.no_keys", "detail", "s", "LONGANIM_KEYS is not set: answering on loopback only", "address",
              "s", out, NULL);
    return 0;
}

static int make_spool(struct app *app, struct err *e)
{
    const char *base = app->config->data[0] ? app->config->data : app->config->tmpdir;
    int n = snprintf(app->spool_dir, sizeof app->spool_dir, "%s/%s", base,
                     app->config->data[0] ? "spool" : "longanim-spool");

    if (n < 0 || (size_t)n >= sizeof app->spool_dir)
        return err_set(e, ERR_params_invalid, "the path of the data folder is too long");
    return fs_mkdirs(app->spool_dir, e);
}

static int start_parts(struct app *app, struct err *e)
{
    const struct config *c = app->config;
    struct media_limits limits;

    media_limits_default(&limits);
    limits.bytes = c->max_upload_bytes;
    limits.pixels = c->max_pixels;
    limits.frames = c->max_frames;
    limits.seconds = c->max_seconds;
    if (make_spool(app, e) || store_open(&app->store, c->store, e) || probe_client_start(&app->probe, &limits, e))
        return -1;
    app->cache = cache_new(CACHE_ENTRIES);
    app->limit = limit_new();
    if (pool_start(&app->quick, "quick", QUICK_THREADS, WAITING_MAX, c, e) ||
        pool_start(&app->slow, "slow", SLOW_THREADS, WAITING_MAX, c, e) ||
        pool_start(&app->spool, "spool", SPOOL_THREADS, WAITING_MAX, c, e))
        return -1;
    if (watch_start(&app->watch, app, e) || house_start(&app->house, app, e) || courier_start(&app->courier, app, e))
        return -1;
    house_await(app->house, FIRST_LOOK_MS);
    return 0;
}

static int announce(const struct app *app, const char *name, const struct server *s, struct err *e)
{
    char path[FS_PATH_MAX], line[320];

    snprintf(line, sizeof line, "%s.listening", name);
    log_event(LOG_INFO, line, "address", "s", server_address(s), NULL);
    if (!app->config->data[0])
        return 0;
    snprintf(line, sizeof line, "%s.addr", name);
    if (fs_join(path, app->config->data, line, e))
        return -1;
    snprintf(line, sizeof line, "%s\n", server_address(s));
    return fs_write_atomic(path, line, strlen(line), e);
}

static int start_servers(struct app *app, struct err *e)
{
    char address[300];
    struct server_conf api = {.app = app,
                              .routes = &route_api,
                              .listen = address,
                              .threads = LOOP_THREADS,
                              .max_connections = max_connections(),
                              .connection_bytes = CONNECTION_BYTES,
                              .header_ms = app->config->header_ms,
                              .body_window_ms = app->config->body_window_ms};
    struct server_conf ops = api;

    if (keys_required(app->keys)) {
        api.connections_per_address = (int)app->config->max_connections_per_address;
        api.uploads_per_address = (int)app->config->max_uploads_per_address;
    }

    ops.routes = &route_ops;
    ops.listen = app->config->ops_listen;
    ops.threads = 1;
    ops.max_connections = 256;
    ops.open = true;
    if (listen_address(app, address, e) || server_start(&app->ops, &ops, e) || server_start(&app->api, &api, e))
        return -1;
    return announce(app, "ops", app->ops, e) || announce(app, "api", app->api, e) ? -1 : 0;
}

/* ---- running and ending ---- */

static void reload(struct app *app)
{
    struct err e;

    if (keys_reload(app->keys, &e))
        log_err(LOG_ERROR, "api.keys", NULL, &e);
    else
        log_event(LOG_INFO, "api.keys", "reloaded", "b", 1, NULL);
}

/* A sign of life is worth something only when the loop threads answer; any status will do. */
static void tell_alive(struct app *app, struct http *http)
{
    struct http_response response;
    char url[340];
    struct http_request request = {.method = "GET", .url = url, .total_ms = 5000};
    struct err e;

    snprintf(url, sizeof url, "http://%s/livez", server_address(app->api));
    if (http_do(http, &request, &response, &e))
        log_err(LOG_ERROR, "api.does_not_answer", NULL, &e);
    else
        notify_alive();
}

static void run(struct app *app, int signals)
{
    int64_t every_ms = notify_watchdog_ms();
    struct http *http = every_ms > 0 ? http_new() : NULL;

    notify_ready();
    for (;;) {
        struct pollfd wait = {.fd = signals, .events = POLLIN};
        struct signalfd_siginfo info;
        if (poll(&wait, 1, every_ms > 0 ? (int)every_ms : -1) == 0)
            tell_alive(app, http);
        if (read(signals, &info, sizeof info) != sizeof info)
            continue;
        if (info.ssi_signo != SIGHUP)
            break;
        reload(app);
    }
    http_free(http);
    notify_stopping();
}

/* Requests under way get their answers; what takes too long is as well off as after a crash, which costs nothing that
 * was promised. */
static void stop(struct app *app)
{
    int64_t until = clock_mono_ms() + GOODBYE_MS;

    log_event(LOG_INFO, "api.stopping", NULL);
    atomic_store(&app->draining, true);
    atomic_store(&app->stopping, true);
    if (app->api)
        server_quiesce(app->api);
    watch_halt(app->watch);
    while (app->api && server_busy(app->api) > 0 && clock_mono_ms() < until)
        clock_sleep_ms(10);
    if (app->api && server_busy(app->api) > 0) {
        log_event(LOG_WARN, "api.stopped", "abandoned", "i", (int64_t)server_busy(app->api), NULL);
        _exit(0);
    }
    server_stop(app->api);
    server_stop(app->ops);
    pool_stop(app->spool);
    pool_stop(app->slow);
    pool_stop(app->quick);
    watch_free(app->watch);
    courier_stop(app->courier);
    house_stop(app->house);
    probe_client_stop(app->probe);
    cache_free(app->cache);
    limit_free(app->limit);
    store_close(app->store);
    log_event(LOG_INFO, "api.stopped", NULL);
}

int main(int argc, char **argv)
{
    static struct app app;
    struct config config;
    struct err e;
    int signals = -1, rc = 1;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        config_help(CONFIG_API, stdout);
        return 0;
    }
    if (config_read(&config, CONFIG_API, &argc, argv, false, &e)) {
        fprintf(stderr, "longanim-api: %s\n", e.detail);
        return 2;
    }
    log_init("api", (enum log_level)log_level_by_name(config.log_level));
    if (fault_arm(config.fault, config.fault_enable, &e)) {
        fprintf(stderr, "longanim-api: %s\n", e.detail);
        config_free(&config);
        return 2;
    }
    config_log(&config, CONFIG_API);
    notify_init(config.notify_socket, config.watchdog_us, config.alive_file);
    json_object_seed(0); /* before any thread */
    raise_descriptors();
    app.config = &config;
    app.started_ms = clock_mono_ms();
    app.metrics = stats_new();
    struct key_limits limits = {.rate_per_minute = config.rate_per_minute,
                                .queued = config.max_queued,
                                .running = config.max_running,
                                .stored_bytes = config.max_stored_bytes,
                                .streams = config.max_streams,
                                .weight = 1};
    if (proc_signals(&signals, &e) || /* before any thread */
        trace_start(config.otlp_endpoint, config_secret("OTEL_EXPORTER_OTLP_HEADERS"), "longanim-api", &e) ||
        keys_open(&app.keys, config.keys, &limits, &e) || start_parts(&app, &e) || start_servers(&app, &e)) {
        log_err(LOG_ERROR, "api.start", NULL, &e);
        fprintf(stderr, "longanim-api: %s\n", e.detail);
        rc = e.code == ERR_params_invalid ? 2 : 1; /* a setting, as if it had been noticed above */
    } else {
        run(&app, signals);
        rc = 0;
    }
    stop(&app);
    trace_stop();
    keys_close(app.keys);
    metrics_free(app.metrics);
    close(signals);
    config_free(&config);
    return rc;
}
