#include "server.h"

#include "app.h"
#include "conns.h"
#include "cors.h"
#include "guard.h"
#include "listen.h"
#include "reply.h"
#include "source.h"
#include "span.h"
#include "stats.h"
#include "upload.h"
#include "uploads.h"

#include "base/clock.h"
#include "base/log.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

enum {
    SWALLOW_MAX_BYTES = 16 << 20, /* of a refused body, so that slow-witted clients get to read the answer */
    PATIENCE_BYTES = 65536,       /* a refused body up to this is read before the answer is sent */
    SLOW_US = 1000000,
    INACTIVITY_S = 75, /* while an answer is being sent and nobody reads */
};

struct server {
    struct app *app;
    struct server_conf conf;
    struct MHD_Daemon *daemon;
    struct conns *conns;
    atomic_int busy;
    atomic_bool quiet;
    bool parses_in_place; /* header strings stay where they were received (guard.h) */
    char address[300];
};

/* ---- the header block ---- */

struct block {
    struct req *r;
    struct guard_field fields[GUARD_FIELDS_MAX + 1];
    int count;
};

static enum MHD_Result take_field(void *user, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                  const char *value, size_t value_size)
{
    static const struct {
        const char *name;
        size_t size;
    } known[] = {
#define REQ_HEADER_NAME(id, text) {text, sizeof(text) - 1},
        REQ_HEADERS(REQ_HEADER_NAME)
#undef REQ_HEADER_NAME
    };
    struct block *b = user;

    (void)kind;
    if (b->count > GUARD_FIELDS_MAX)
        return MHD_NO;
    b->fields[b->count++] = (struct guard_field){name, value ? value : "", name_size, value_size};
    for (int i = 0; i < REQ_HEADER_COUNT; i++)
        if (known[i].size == name_size && strncasecmp(known[i].name, name, name_size) == 0)
            b->r->headers[i] = value ? value : "";
    return MHD_YES;
}

static int read_block(struct req *r, const char *version, struct err *e)
{
    struct block b;
    const union MHD_ConnectionInfo *info;
    struct guard_request g = {.method = r->method, .version = version, .fields = b.fields};

    b.r = r;
    b.count = 0;
    MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, take_field, &b);
    info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (target_parse(&r->target, r->text, r->raw_size, r->text + r->raw_size + 1, e))
        return -1;
    g.authority = r->target.authority;
    g.field_count = b.count;
    if (info && r->server->parses_in_place) {
        g.raw_target = r->raw;
        g.raw_target_size = r->raw_size;
        g.block_size = info->header_size;
    }
    return guard_check(&g, e);
}

/* ---- the first call: guard, route, authenticate ---- */

static void answer_options(struct req *r, const char *methods)
{
    struct answer *a = answer_new(204);

    answer_header(a, "Allow", "%s", methods);
    if (strstr(r->target.path, "/uploads"))
        uploads_describe(r->app, a);
    if (r->cors) {
        answer_header(a, "Access-Control-Allow-Methods", "%s", methods);
        answer_header(a, "Access-Control-Allow-Headers", "%s", CORS_REQUEST_HEADERS);
        answer_header(a, "Access-Control-Max-Age", "600");
    }
    req_answer(r, a);
}

static int find_route(struct req *r, struct err *e)
{
    char methods[64] = "";

    if (strcmp(r->method, "OPTIONS") == 0) {
        if (strcmp(r->target.path, "*") == 0)
            snprintf(methods, sizeof methods, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        else if (route_methods(r->server->conf.routes, r->target.path, methods))
            return err_set(e, ERR_route_not_found, "there is nothing here");
        answer_options(r, methods);
        return 0;
    }
    if (route_find(r->server->conf.routes, r->method, r->target.path, &r->route, r->params, methods, e) == 0)
        return 0;
    req_problem(r, e);
    if (methods[0])
        answer_header(r->answer, "Allow", "%s", methods);
    return 0;
}

/* Both kinds of excess are told with the fields of the RateLimit draft: requests here, quotas in req_problem. */
static int check_rate(struct req *r, struct err *e)
{
    if (r->who.limits.rate_per_minute == 0 ||
        limit_take(r->app->limit, r->who.tenant, r->who.limits.rate_per_minute, r->started_us, &r->rate))
        return 0;
    return err_set(e, ERR_rate_limited, "this key may do %lld requests a minute", (long long)r->rate.quota);
}

static int check_identity(struct req *r, struct err *e)
{
    if (r->server->conf.open || r->route->scope == 0)
        return 0;
    if (keys_check(r->app->keys, req_header(r, REQ_authorization), &r->who, e))
        return -1;
    if (check_rate(r, e))
        return -1;
    if ((r->who.scopes & r->route->scope) == 0)
        return err_set(e, ERR_forbidden_scope, "the API key lacks the scope %s",
                       r->route->scope == SCOPE_SUBMIT ? "submit"
                       : r->route->scope == SCOPE_READ ? "read"
                                                       : "admin");
    return 0;
}

static int begin_body(struct req *r, struct err *e)
{
    int64_t max = r->route->body == REQ_UPLOAD ? INT64_MAX : REQ_SMALL_BODY_MAX;

    if (r->content_length > max)
        return err_set(e, ERR_payload_too_large, "the body may have %lld bytes", (long long)max);
    if (r->route->body == REQ_UPLOAD && !conn_upload_begins(r->server->conns, r->conn))
        return err_set(e, ERR_rate_limited, "too many uploads from this address at once");
    buf_init(&r->body, REQ_SMALL_BODY_MAX);
    return r->route->body == REQ_UPLOAD ? upload_begin(r, e) : 0;
}

static void first_call(struct req *r, const char *version, bool *refused)
{
    struct err e;

    r->phase = REQ_PHASE_BODY;
    if (read_block(r, version, &e)) {
        *refused = true;
        req_problem(r, &e);
        return;
    }
    if (!r->server->conf.open)
        span_begin(r);
    r->content_length = req_header(r, REQ_transfer_encoding) ? -1 : 0;
    if (req_header(r, REQ_content_length))
        r->content_length = strtoll(req_header(r, REQ_content_length), NULL, 10); /* a number, as the guard has seen */
    r->expects_continue = req_header(r, REQ_expect) && strcasecmp(req_header(r, REQ_expect), "100-continue") == 0;
    r->cors = cors_allows(r->app->config->cors_origins, req_header(r, REQ_origin));
    if (conn_crowded(r->conn)) {
        *refused = true;
        err_set(&e, ERR_rate_limited, "too many connections from this address");
        req_problem(r, &e);
        return;
    }
    if (find_route(r, &e) || (r->route && (check_identity(r, &e) || begin_body(r, &e))))
        req_problem(r, &e);
}

/* ---- the calls of the library ---- */

static enum MHD_Result on_first(struct req *r, const char *version)
{
    bool refused = false;
    bool has_body;

    atomic_fetch_add(&r->server->busy, 1);
    first_call(r, version, &refused);
    has_body = r->content_length != 0;
    conn_enter(r->conn, has_body ? CONN_BODY : CONN_BUSY);
    if (refused || (r->answer && has_body && r->expects_continue))
        return reply_send(r); /* at this call it also closes the connection */
    if (r->answer && has_body && (r->content_length < 0 || r->content_length > PATIENCE_BYTES))
        reply_early(r);
    return MHD_YES;
}

static enum MHD_Result on_body(struct req *r, const char *data, size_t *size)
{
    struct err e = {0};
    bool failed = false;

    if (r->paused) {
        r->paused = false;
        conn_pause(r->conn, false);
    }
    conn_received(r->conn, *size);
    r->body_received += (int64_t)*size;
    if (r->phase == REQ_PHASE_SWALLOW) {
        *size = 0;
        return r->body_received > SWALLOW_MAX_BYTES ? MHD_NO : MHD_YES;
    }
    if (r->answer) {
        /* refused, but so short that it is taken in first: the connection lives on */
    } else if (r->upload) {
        enum upload_took took = upload_feed(r->upload, data, *size, &e);
        if (took == UPLOAD_FULL) {
            r->body_received -= (int64_t)*size;
            r->paused = true;
            conn_pause(r->conn, true);
            return MHD_YES;
        }
        failed = took == UPLOAD_FAILED;
    } else if (buf_add(&r->body, data, *size)) {
        failed = true;
        err_set(&e, ERR_payload_too_large, "the body may have %d bytes", REQ_SMALL_BODY_MAX);
    }
    *size = 0;
    if (failed) {
        if (r->upload)
            upload_abandon(r->upload);
        r->upload = NULL;
        r->body_received = 0;
        req_problem(r, &e);
        reply_early(r);
    }
    return MHD_YES;
}

static void work(void *arg, struct worker *w)
{
    struct req *r = arg;

    r->route->work(r, w);
}

/* The whole request is here. */
static enum MHD_Result on_complete(struct req *r)
{
    struct err e;

    if (r->answer)
        return reply_send(r);
    r->phase = REQ_PHASE_WORK;
    conn_enter(r->conn, CONN_BUSY);
    if (r->upload) {
        struct upload *u = r->upload;
        r->upload = NULL;
        req_suspend(r);
        upload_finish(u);
        return MHD_YES;
    }
    if (r->route->now && r->route->now(r))
        return reply_send(r);
    req_suspend(r);
    if (pool_submit(r->app->quick, work, r)) {
        err_set(&e, ERR_overloaded, "too many requests wait");
        req_done_problem(r, &e);
    }
    return MHD_YES;
}

static enum MHD_Result on_call(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                               const char *version, const char *data, size_t *size, void **context)
{
    struct req *r = *context;

    (void)user;
    (void)connection;
    (void)url;
    r->method = method;
    switch (r->phase) {
    case REQ_PHASE_NEW:
        return on_first(r, version);
    case REQ_PHASE_WORK:
        return reply_send(r);
    case REQ_PHASE_SENT:
        return MHD_YES;
    default:
        if (*size > 0)
            return on_body(r, data, size);
        /* What was said early has been said; the connection has served its turn. */
        return r->phase == REQ_PHASE_SWALLOW ? MHD_NO : on_complete(r);
    }
}

/* A line a request; the route's template, never the target: ids are in the answer's own events. */
static void log_request(const struct req *r, int64_t duration_us)
{
    const char *wanted = r->app->config->access_log, *method = r->route ? r->route->method : "-";
    bool reads = strcmp(method, "GET") == 0, failed = r->answer->status >= 500;
    bool slow = duration_us > SLOW_US && !r->answer->source;

    if (strcmp(wanted, "none") == 0 || (strcmp(wanted, "all") != 0 && reads && !failed && !slow))
        return;
    if (r->server->conf.open && reads && !failed)
        return; /* probes come every second */
    log_event(failed ? LOG_WARN : LOG_INFO, "api.request", "method", "s", method, "route", "s",
              r->route ? r->route->path : "other", "status", "i", (int64_t)r->answer->status, "dur_ms", "i",
              duration_us / 1000, "bytes_in", "i", r->body_received, "key", "s", r->who.tenant, "trace_id", "s",
              r->trace_id, NULL);
}

static void *on_target(void *user, const char *raw, struct MHD_Connection *connection)
{
    struct server *s = user;
    size_t size = raw ? strlen(raw) : 0;
    struct req *r = calloc(1, sizeof *r + size + 1 + TARGET_TEXT_SIZE(size));
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    if (!r || !info)
        abort();
    r->app = s->app;
    r->server = s;
    r->connection = connection;
    r->conn = info->socket_context;
    r->raw = raw;
    r->raw_size = size;
    memcpy(r->text, raw ? raw : "", size + 1);
    r->started_us = clock_mono_us();
    return r;
}

static void on_completed(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct server *s = user;
    struct req *r = *context;

    (void)connection;
    (void)code;
    if (!r)
        return;
    *context = NULL;
    if (r->phase != REQ_PHASE_NEW)
        atomic_fetch_sub(&s->busy, 1);
    if (r->upload)
        upload_abandon(r->upload);
    conn_upload_ended(s->conns, r->conn);
    if (r->answer) {
        int64_t duration_us = clock_mono_us() - r->started_us;
        stats_request(s->app->metrics, r->route ? r->route->path : "other", r->method, r->answer->status, duration_us);
        span_end(r, duration_us);
        log_request(r, duration_us);
        if (r->answer->source)
            source_detach(r->answer->source);
    }
    answer_unref(r->answer);
    buf_free(&r->body);
    conn_enter(r->conn, CONN_HEADER);
    free(r);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *s = user;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context)
            conns_remove(s->conns, *context);
        *context = NULL;
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *context = conns_add(s->conns, info->connect_fd, peer ? peer->client_addr : NULL);
}

/* ---- life ---- */

int server_start(struct server **out, const struct server_conf *c, struct err *e)
{
    struct server *s = calloc(1, sizeof *s);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    int fd = -1;

    if (!s)
        abort();
    s->app = c->app;
    s->conf = *c;
    if (listen_open(c->listen, &fd, s->address, sizeof s->address, e)) {
        free(s);
        return -1;
    }
    /* Later versions are strict by themselves and lay their memory out otherwise. */
    s->parses_in_place = strcmp(MHD_get_version(), "0.9.75") == 0;
    s->conns = conns_start(&(struct conns_conf){c->header_ms, c->body_window_ms, c->connections_per_address,
                                                c->uploads_per_address, reply_too_slow});
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, c->max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, INACTIVITY_S, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)c->connection_bytes, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, s->parses_in_place ? 0 : 1,
         NULL}, /* our guard is stricter, and answers better */
        {c->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, c->threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_call, s, MHD_OPTION_ARRAY, options,
                                 MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                                 s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
    if (!s->daemon) {
        conns_stop(s->conns);
        close(fd);
        free(s);
        return err_set(e, ERR_internal, "the HTTP library does not start");
    }
    *out = s;
    return 0;
}

const char *server_address(const struct server *s)
{
    return s->address;
}

int server_busy(struct server *s)
{
    return atomic_load(&s->busy);
}

int server_connections(const struct server *s)
{
    return conns_count(s->conns);
}

void server_quiesce(struct server *s)
{
    MHD_socket fd;

    if (atomic_exchange(&s->quiet, true))
        return;
    fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    conns_shutdown(s->conns, false);
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    server_quiesce(s);
    conns_shutdown(s->conns, true);
    MHD_stop_daemon(s->daemon);
    conns_stop(s->conns);
    free(s);
}
