#include "span.h"

#include "base/trace.h"

#include <stdio.h>
#include <string.h>

/* Handed on as it is when it can be a header again. */
static void read_state(struct req *r)
{
    const char *value = req_header(r, REQ_tracestate);
    size_t size = value ? strlen(value) : 0;

    for (size_t i = 0; i < size; i++)
        if (value[i] < ' ' || value[i] > '~')
            return;
    if (size > 0 && size < TRACE_STATE_SIZE)
        r->trace_state = value;
}

/* Version 00, lower-case hex, ids that are not zero. */
static void read_parent(struct req *r)
{
    const char *value = req_header(r, REQ_traceparent);

    if (!value || strlen(value) != 55 || strspn(value, "0123456789abcdef-") != 55 || value[2] != '-' ||
        value[35] != '-' || value[52] != '-' || memcmp(value, "00", 2) != 0 || strspn(value + 3, "0") >= 32 ||
        strcspn(value + 3, "-") != 32)
        return;
    memcpy(r->trace_parent, value, 56);
    memcpy(r->trace_id, value + 3, 32);
    read_state(r);
}

/* The trace is known: the request's own span in it, and both as a traceparent. */
static void make_span(struct req *r, bool sampled)
{
    trace_span_id_new(r->span);
    r->sampled = sampled;
    snprintf(r->trace_parent, sizeof r->trace_parent, "00-%s-%s-%02x", r->trace_id, r->span, sampled);
}

void span_begin(struct req *r)
{
    bool sampled = true;

    read_parent(r);
    if (!trace_on())
        return;
    if (!trace_parse(r->trace_parent, r->trace_id, r->parent_span, &sampled))
        trace_id_new(r->trace_id);
    make_span(r, sampled);
}

void span_name(struct req *r)
{
    if (r->trace_parent[0])
        return;
    trace_id_new(r->trace_id);
    make_span(r, false);
}

void span_end(const struct req *r, int64_t duration_us)
{
    struct trace_span s = {.kind = TRACE_SERVER};
    const char *path = r->route ? r->route->path : "other";

    if (!r->sampled || !r->answer)
        return;
    memcpy(s.trace_id, r->trace_id, sizeof s.trace_id);
    memcpy(s.span_id, r->span, sizeof s.span_id);
    memcpy(s.parent_id, r->parent_span, sizeof s.parent_id);
    if (r->trace_state)
        memcpy(s.state, r->trace_state, strlen(r->trace_state) + 1);
    s.end_us = trace_now_us();
    s.start_us = s.end_us - duration_us;
    s.failed = r->answer->status >= 500;
    snprintf(s.name, sizeof s.name, "%.10s %s", r->route ? r->route->method : "HTTP", path);
    trace_text(&s, "http.request.method", r->route ? r->route->method : "_OTHER");
    trace_text(&s, "http.route", path);
    trace_int(&s, "http.response.status_code", r->answer->status);
    trace_int(&s, "http.request.body.size", r->body_received);
    trace_emit(&s);
}
