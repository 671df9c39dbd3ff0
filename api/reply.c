/* Answers in libmicrohttpd's hands, and connections that wait for one. */
#include "reply.h"

#include "conns.h"
#include "cors.h"
#include "problem.h"
#include "source.h"

#include "base/id.h"
#include "base/log.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { STREAM_BLOCK_BYTES = 16384 };

/* ---- suspending ---- */

static void suspend_connection(void *connection)
{
    MHD_suspend_connection(connection);
}

static void resume_connection(void *connection)
{
    MHD_resume_connection(connection);
}

static const struct source_ops stream_ops = {suspend_connection, resume_connection};

void req_suspend(struct req *r)
{
    MHD_suspend_connection(r->connection);
}

void req_go_on(struct req *r)
{
    MHD_resume_connection(r->connection);
}

void req_done(struct req *r)
{
    MHD_resume_connection(r->connection);
}

/* ---- answering ---- */

static ssize_t read_stream(void *user, uint64_t position, char *out, size_t size)
{
    ssize_t got = source_read(user, out, size);

    (void)position;
    if (got == SOURCE_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return got == SOURCE_BROKEN ? MHD_CONTENT_READER_END_WITH_ERROR : got;
}

static void free_stream(void *user)
{
    source_unref(user);
}

static struct MHD_Response *make_response(struct answer *a)
{
    struct MHD_Response *response;

    if (a->source) {
        response =
            MHD_create_response_from_callback(a->length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)a->length,
                                              STREAM_BLOCK_BYTES, read_stream, source_ref(a->source), free_stream);
    } else if (a->fd >= 0) {
        response = MHD_create_response_from_fd_at_offset64((uint64_t)a->length, a->fd, (uint64_t)a->offset);
        a->fd = -1; /* the library closes it */
    } else {
        response = MHD_create_response_from_buffer(a->size, a->data, MHD_RESPMEM_PERSISTENT);
    }
    if (!response)
        abort();
    for (int i = 0; i < a->header_count; i++)
        MHD_add_response_header(response, a->headers[i].name, a->headers[i].value);
    return response;
}

static void destroy_prepared(void *prepared)
{
    MHD_destroy_response(prepared);
}

/* The library's form of an answer is made once: cached jobs go to many clients from several loop threads. */
static struct MHD_Response *prepared(struct answer *a)
{
    void *mine, *expected = NULL;

    if (atomic_load(&a->prepared))
        return atomic_load(&a->prepared);
    mine = make_response(a);
    if (!atomic_compare_exchange_strong(&a->prepared, &expected, mine)) {
        MHD_destroy_response(mine);
        return expected;
    }
    a->prepared_free = destroy_prepared; /* only the last reference reads it, and we hold one */
    return mine;
}

/* RateLimit-Policy and RateLimit (IETF draft "RateLimit header fields for HTTP"). */
struct rate_text {
    char policy[64], state[64];
};

static struct rate_text rate_text(const struct limit_state *s)
{
    struct rate_text t;

    snprintf(t.policy, sizeof t.policy, "\"default\";q=%lld;w=60", (long long)s->quota);
    snprintf(t.state, sizeof t.state, "\"default\";r=%lld;t=%lld", (long long)s->remaining, (long long)s->reset_s);
    return t;
}

int reply_send(struct req *r)
{
    struct answer *a = r->answer;
    bool own = r->cors || r->rate.quota > 0; /* headers of this request alone */
    struct MHD_Response *response = own ? make_response(a) : prepared(a);
    enum MHD_Result ok;

    if (r->rate.quota > 0) {
        struct rate_text rate = rate_text(&r->rate);
        MHD_add_response_header(response, "RateLimit-Policy", rate.policy);
        MHD_add_response_header(response, "RateLimit", rate.state);
    }
    if (r->cors) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", req_header(r, REQ_origin));
        MHD_add_response_header(response, "Access-Control-Expose-Headers", CORS_EXPOSED);
        MHD_add_response_header(response, "Vary", "Origin");
    }
    if (a->source)
        source_attach(a->source, &stream_ops, r->connection);
    r->phase = REQ_PHASE_SENT;
    conn_enter(r->conn, CONN_BUSY);
    ok = MHD_queue_response(r->connection, (unsigned)a->status, response);
    if (own)
        MHD_destroy_response(response);
    return ok;
}

void reply_early(struct req *r)
{
    struct answer *a = r->answer;
    struct buf text;

    buf_init(&text, 65536);
    buf_printf(&text, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n", a->status,
               answer_reason(a->status), a->size);
    for (int i = 0; i < a->header_count; i++)
        buf_printf(&text, "%s: %s\r\n", a->headers[i].name, a->headers[i].value);
    if (r->rate.quota > 0) {
        struct rate_text rate = rate_text(&r->rate);
        buf_printf(&text, "RateLimit-Policy: %s\r\nRateLimit: %s\r\n", rate.policy, rate.state);
    }
    buf_add_str(&text, "\r\n");
    buf_add(&text, a->data, a->size);
    if (!text.failed && send(conn_fd(r->conn), text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_event(LOG_DEBUG, "api.early_answer_lost", NULL);
    buf_free(&text);
    r->phase = REQ_PHASE_SWALLOW;
}

size_t reply_too_slow(char *out, size_t size)
{
    struct err e;
    struct answer *a;
    char trace_id[33];
    int n;

    id_random_hex(trace_id, 16);
    err_set(&e, ERR_request_timeout, "the body came slower than %d bytes a second", CONNS_BODY_RATE);
    a = problem_answer(&e, 0, "/", trace_id);
    n = snprintf(out, size,
                 "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 a->size, a->data);
    answer_unref(a);
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}
