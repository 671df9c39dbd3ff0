/* create.h - POST /jobs: from parts to a durable job.
 *
 * A creation belongs to one thread at a time: the loop thread makes it, spool threads feed it, a slow thread finishes
 * it. It copies what it needs of the request, because the client may go away meanwhile. */
#ifndef LONGANIM_API_CREATE_H
#define LONGANIM_API_CREATE_H

#include "req.h"

struct creation;

/* Loop thread: what the header block alone decides. payload_too_large, unsupported_media_type, bad_header, draining,
 * dependency_redis, storage_full, ... */
int creation_new(struct creation **out, struct req *r, struct err *e);

/* Reserves the idempotency key. idempotency_in_progress, dependency_redis. */
int creation_begin(struct creation *c, struct worker *w, struct err *e);

int creation_feed(struct creation *c, const char *data, size_t size, struct worker *w, struct err *e);

/* Answers the suspended request: the job, durable, or a problem that leaves no job behind. */
void creation_finish(struct creation *c, struct req *r, struct worker *w);

/* No job will come of it: gives the key back. Call before the client is told, so that it may repeat at once. */
void creation_release(struct creation *c, struct worker *w);

/* Removes what was spooled; gives the key back unless a job was made. */
void creation_free(struct creation *c, struct worker *w);

#endif
