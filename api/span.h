/* span.h - the trace of a request: child of the caller's span, parent of everything that comes of it. Loop thread. */
#ifndef LONGANIM_API_SPAN_H
#define LONGANIM_API_SPAN_H

#include "req.h"

/* Reads traceparent and tracestate (W3C Trace Context; a malformed one is ignored, as the specification asks) and,
 * where spans are exported, puts the request's own id in its place: that is what a job of this request remembers. */
void span_begin(struct req *r);

/* Gives a request a trace that has none, unsampled: what it leaves behind is found in everybody's logs by that id. */
void span_name(struct req *r);

/* The request has been answered. */
void span_end(const struct req *r, int64_t duration_us);

#endif
