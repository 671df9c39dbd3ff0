/* sse.h - reading server-sent events (WHATWG HTML, 9.2.6): bytes in, events out. One thread at a time. */
#ifndef LONGANIM_BASE_SSE_H
#define LONGANIM_BASE_SSE_H

#include "base/buf.h"

#include <stddef.h>

struct sse_event {
    const char *id;   /* the last id seen; "" = none */
    const char *type; /* "message" when not given */
    const char *data; /* lines joined by \n */
};

struct sse {
    struct buf line, data;
    char id[128], type[64];
    int skip_lf;
    int retry_ms; /* what the server asked for; -1 = nothing */
};

void sse_init(struct sse *s); /* lines and events of at most 1 MiB */
void sse_free(struct sse *s);

/* fn returns non-zero to stop; its value is returned then. 0 = go on, -1 = a line or event too long. */
int sse_feed(struct sse *s, const char *data, size_t size, int (*fn)(void *user, const struct sse_event *event),
             void *user);

#endif
