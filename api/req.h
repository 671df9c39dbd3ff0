/* req.h - one request, from its header block to its answer.
 *
 * Life: the loop thread makes it, guards, routes and authenticates it, and collects its body. Then the route's `now`
 * may answer at once in the loop thread (it must not wait for anything), or its `work` runs in a pool thread while the
 * connection is suspended. Whoever holds a suspended request answers it exactly once with req_done; a request parked
 * for a long poll is held by watch.c. Header values point into the library's memory and live as long as the request. */
#ifndef LONGANIM_API_REQ_H
#define LONGANIM_API_REQ_H

#include "answer.h"
#include "base/buf.h"
#include "keys.h"
#include "limit.h"
#include "pool.h"
#include "target.h"

#include <stdbool.h>
#include <stdint.h>

struct app;
struct conn;
struct req;
struct route;
struct server;
struct upload;

/* The header fields that handlers look at: index, name. */
#define REQ_HEADERS(X)                                                                                                 \
    X(accept_encoding, "Accept-Encoding")                                                                              \
    X(authorization, "Authorization")                                                                                  \
    X(content_digest, "Content-Digest")                                                                                \
    X(content_length, "Content-Length")                                                                                \
    X(content_type, "Content-Type")                                                                                    \
    X(expect, "Expect")                                                                                                \
    X(idempotency_key, "Idempotency-Key")                                                                              \
    X(if_none_match, "If-None-Match")                                                                                  \
    X(if_range, "If-Range")                                                                                            \
    X(job_deadline, "X-Job-Deadline")                                                                                  \
    X(last_event_id, "Last-Event-ID")                                                                                  \
    X(origin, "Origin")                                                                                                \
    X(prefer, "Prefer")                                                                                                \
    X(range, "Range")                                                                                                  \
    X(repr_digest, "Repr-Digest")                                                                                      \
    X(start_deadline, "X-Start-Deadline")                                                                              \
    X(traceparent, "traceparent")                                                                                      \
    X(tracestate, "tracestate")                                                                                        \
    X(transfer_encoding, "Transfer-Encoding")                                                                          \
    X(tus_resumable, "Tus-Resumable")                                                                                  \
    X(upload_checksum, "Upload-Checksum")                                                                              \
    X(upload_length, "Upload-Length")                                                                                  \
    X(upload_offset, "Upload-Offset")

enum req_header {
#define REQ_HEADER_ENUM(id, name) REQ_##id,
    REQ_HEADERS(REQ_HEADER_ENUM)
#undef REQ_HEADER_ENUM
        REQ_HEADER_COUNT
};

enum req_body { REQ_NO_BODY, REQ_SMALL_BODY, REQ_UPLOAD };

/* Who takes the body of a REQ_UPLOAD request. `user` belongs to one thread at a time: opened in the loop thread, begun
 * and fed in a spool thread, finished in a slow one. It copies what it needs of the request: the client may go away. */
struct taker {
    void *user;
    int (*begin)(void *user, struct worker *w, struct err *e); /* before the first byte */
    int (*feed)(void *user, const char *data, size_t size, struct worker *w, struct err *e);
    void (*refuse)(void *user, struct worker *w);                /* it failed; the client is about to be told */
    void (*finish)(void *user, struct req *r, struct worker *w); /* all is there: answers the suspended request */
    void (*close)(void *user, bool gone, struct worker *w);      /* ends it; gone: the client left in the middle */
};

#define REQ_SMALL_BODY_MAX (1 << 20)
#define REQ_PARAM_MAX 64

#define TUS_VERSION "1.0.0" /* of resumable uploads */

/* One row of the table of routes. Templates: "/jobs/{id}/segments/{n}"; "{…}" matches one segment. */
struct route {
    const char *method, *path, *operation;
    unsigned scope; /* SCOPE_*; 0 = anyone */
    enum req_body body;
    bool (*now)(struct req *r);                                   /* loop thread: true = answered; NULL = none */
    void (*work)(struct req *r, struct worker *w);                /* pool thread: must end in req_done or in parking */
    int (*take)(struct req *r, struct taker *out, struct err *e); /* REQ_UPLOAD: may this body come? */
};

enum req_phase { REQ_PHASE_NEW, REQ_PHASE_BODY, REQ_PHASE_WORK, REQ_PHASE_SWALLOW, REQ_PHASE_SENT };

struct req {
    struct app *app;
    struct server *server;
    void *connection; /* the library's */
    struct conn *conn;
    enum req_phase phase;
    const struct route *route; /* NULL until routed */
    const char *method;
    const char *raw; /* where the library keeps the target; it decodes it there later */
    size_t raw_size; /* of the target as sent; a copy of it is in `text` */
    struct target target;
    char params[2][REQ_PARAM_MAX + 1]; /* what the template's {…} matched; "" when longer than any name of ours */
    const char *headers[REQ_HEADER_COUNT];
    int64_t content_length; /* -1 = chunked */
    int64_t body_received;
    bool expects_continue;
    struct identity who;
    char trace_id[33], trace_parent[56];
    const char *trace_state;        /* one of the headers; NULL = none */
    char span[17], parent_span[17]; /* span.h; "" = none */
    bool sampled;
    int64_t started_us;
    struct limit_state rate; /* quota 0 = none */
    struct buf body;         /* REQ_SMALL_BODY */
    struct upload *upload;   /* REQ_UPLOAD */
    struct answer *answer;
    /* of a parked request; owned by watch.c */
    struct req *next_parked;
    int64_t park_until_ms, park_version;
    char park_id[32];
    void (*park_done)(struct req *r, struct worker *w); /* runs in a pool thread when it is let go */
    bool park_replay;
    bool cors, paused;
    bool as_video; /* a creation that is answered as videos.h does */
    char text[];   /* decoded target */
};

static inline const char *req_header(const struct req *r, enum req_header h)
{
    return r->headers[h];
}

/* Sets the answer, taking the reference. */
void req_answer(struct req *r, struct answer *a);
void req_problem(struct req *r, const struct err *e);
void req_problem_as(struct req *r, const struct err *e, int status); /* with another status than the code's */

/* The suspended request has its answer: back to the loop. The request may be gone on return. */
void req_done(struct req *r);
void req_done_answer(struct req *r, struct answer *a);
/* 200 with a document that may be long: gzip'ed from a kilobyte on for clients that take that. Pool threads. */
void req_done_document(struct req *r, json_t *take);
void req_done_problem(struct req *r, const struct err *e);

/* Loop thread only: stop reading until req_go_on (body) or req_done. */
void req_suspend(struct req *r);
void req_go_on(struct req *r);

#endif
