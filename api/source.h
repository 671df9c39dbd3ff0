/* source.h - a stream between threads: someone writes bytes, one connection sends them.
 *
 * The loop thread never waits: when there is nothing to send, its connection is suspended, and the next write (or the
 * end) resumes it, exactly once. Suspending and resuming are functions of the server, given at birth, so this file
 * knows no HTTP library. Counted references. */
#ifndef LONGANIM_API_SOURCE_H
#define LONGANIM_API_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct source;

struct source_ops {
    void (*suspend)(void *connection); /* called in the reader's thread, the source's lock held */
    void (*resume)(void *connection);  /* called in any thread */
};

/* `wants` (may be NULL) is called in the reader's thread whenever less than half of max_bytes waits: a producer that
 * works on demand starts its next piece then. `gone` is called once with the last reference. */
struct source *source_new(size_t max_bytes, void (*wants)(void *user), void (*gone)(void *user), void *user);
struct source *source_ref(struct source *s);
void source_unref(struct source *s);

/* ---- the writer ---- */
/* 0; or -1 when the reader is away, the stream has ended, or the backlog is full (the stream then ends). */
int source_write(struct source *s, const void *data, size_t size);
void source_end(struct source *s, bool broken); /* broken: the reader cuts the connection, no clean end */
bool source_closed(struct source *s);           /* the reader is away or the stream has ended */
size_t source_room(struct source *s);

/* ---- the reader ---- */
enum { SOURCE_WAIT = 0, SOURCE_END = -1, SOURCE_BROKEN = -2 };
void source_attach(struct source *s, const struct source_ops *ops, void *connection);
/* Bytes copied (> 0), SOURCE_WAIT with the connection suspended, SOURCE_END or SOURCE_BROKEN. */
ssize_t source_read(struct source *s, char *out, size_t size);
void source_detach(struct source *s); /* the connection is gone */

#endif
