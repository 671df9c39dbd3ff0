#include "req.h"

#include "fields.h"
#include "problem.h"

#include "base/gzip.h"
#include "base/id.h"

#include <string.h>

enum { GZIP_MIN_BYTES = 1024 };

void req_answer(struct req *r, struct answer *a)
{
    answer_unref(r->answer);
    r->answer = a;
}

/* A quota has no window: it is free again when jobs have ended or were deleted. */
static void add_quota(struct answer *a, enum err_code code, const struct key_limits *limits)
{
    const char *name = code == ERR_quota_queued ? "queued" : "storage";
    int64_t quota = code == ERR_quota_queued ? limits->queued : limits->stored_bytes;

    if (code != ERR_quota_queued && code != ERR_quota_storage)
        return;
    answer_header(a, "RateLimit-Policy", "\"%s\";q=%lld", name, (long long)quota);
    answer_header(a, "RateLimit", "\"%s\";r=0", name);
}

/* Every answer about an upload names the protocol's version, a 412 also those that there are. */
static void add_tus(struct req *r, enum err_code code)
{
    if (!r->route || strncmp(r->route->path, "/uploads", 8) != 0)
        return;
    answer_set(r->answer, "Tus-Resumable", TUS_VERSION);
    if (code == ERR_precondition_failed)
        answer_set(r->answer, "Tus-Version", TUS_VERSION);
}

void req_problem(struct req *r, const struct err *e)
{
    req_problem_as(r, e, 0);
}

void req_problem_as(struct req *r, const struct err *e, int status)
{
    if (!r->trace_id[0])
        id_random_hex(r->trace_id, 16);
    req_answer(r, problem_answer(e, status, r->target.path ? r->target.path : "/", r->trace_id));
    if (e->code == ERR_rate_limited && r->rate.retry_after_s > 0)
        answer_set(r->answer, "Retry-After", "%lld", (long long)r->rate.retry_after_s);
    add_quota(r->answer, e->code, &r->who.limits);
    add_tus(r, e->code);
}

void req_done_answer(struct req *r, struct answer *a)
{
    req_answer(r, a);
    req_done(r);
}

static void squeeze(struct req *r, struct answer **a)
{
    struct answer *small;
    char *bytes;
    size_t size;

    answer_header(*a, "Vary", "Accept-Encoding");
    if ((*a)->size < GZIP_MIN_BYTES || !fields_accepts_gzip(req_header(r, REQ_accept_encoding)) ||
        gzip_bytes((*a)->data, (*a)->size, &bytes, &size))
        return;
    small = answer_take(200, "application/json", bytes, size);
    answer_header(small, "Content-Encoding", "gzip");
    answer_header(small, "Vary", "Accept-Encoding");
    answer_unref(*a);
    *a = small;
}

void req_done_document(struct req *r, json_t *take)
{
    struct answer *a = answer_json(200, take);

    squeeze(r, &a);
    answer_header(a, "Cache-Control", "private, no-cache");
    req_done_answer(r, a);
}

void req_done_problem(struct req *r, const struct err *e)
{
    req_problem(r, e);
    req_done(r);
}
