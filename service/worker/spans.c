/* The spans of a run, children of the request that made the job: its wait in the queue, the run, its segments. */
#include "worker/run.h"

#include "base/text.h"
#include "base/trace.h"

#include <stdio.h>
#include <string.h>

static void begin(const struct run *r, struct trace_span *s, enum trace_kind kind, const char *name)
{
    bool sampled;
    *s = (struct trace_span){.kind = kind};
    trace_parse(r->manifest.trace_parent, s->trace_id, s->parent_id, &sampled);
    trace_span_id_new(s->span_id);
    text_copy(s->state, sizeof s->state, r->manifest.trace_state);
    snprintf(s->name, sizeof s->name, "%s", name);
    trace_text(s, "longanim.job", r->lease.job_id);
}

/* The manifest is read and the run begins; what the job waited for is asked of the queue. */
void run_span_begin(struct run *r)
{
    char trace_id[33], parent[17];
    struct trace_span s;
    struct job j;
    bool sampled = false;
    if (!trace_on() || r->span[0] || !trace_parse(r->manifest.trace_parent, trace_id, parent, &sampled) || !sampled)
        return;
    trace_span_id_new(r->span);
    r->segment_began_us = trace_now_us();
    if (queue_get(r->w->queue, r->lease.job_id, &j, NULL) != 0)
        return;
    begin(r, &s, TRACE_INTERNAL, "queue");
    s.start_us = j.queued_ms * 1000;
    s.end_us = r->began_ms * 1000;
    trace_text(&s, "longanim.pool", j.pool);
    job_free(&j);
    trace_emit(&s);
}

void run_span_segment(struct run *r, const struct engine_segment *made)
{
    struct trace_span s;
    if (!r->span[0])
        return;
    begin(r, &s, TRACE_INTERNAL, "segment");
    memcpy(s.parent_id, r->span, sizeof s.parent_id);
    s.start_us = r->segment_began_us;
    s.end_us = r->segment_began_us = trace_now_us();
    trace_int(&s, "longanim.segment", made->n);
    trace_int(&s, "longanim.frames", made->frames);
    trace_emit(&s);
}

void run_span_end(const struct run *r, const char *by)
{
    struct trace_span s;
    if (!r->span[0])
        return;
    begin(r, &s, TRACE_CONSUMER, "run");
    memcpy(s.span_id, r->span, sizeof s.span_id);
    s.start_us = r->began_ms * 1000;
    s.end_us = trace_now_us();
    s.failed = r->why.code != ERR_none;
    trace_int(&s, "longanim.epoch", r->lease.epoch);
    trace_int(&s, "longanim.attempt", r->lease.attempt);
    trace_int(&s, "longanim.segments_kept", r->segments_kept);
    trace_text(&s, "longanim.ended_by", by);
    if (s.failed)
        trace_text(&s, "error.type", err_info(r->why.code)->name);
    trace_emit(&s);
}
