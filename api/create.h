/* create.h - POST /jobs: from parts to a durable job. */
#ifndef LONGANIM_API_CREATE_H
#define LONGANIM_API_CREATE_H

#include "req.h"

/* The taker of POST /jobs, from what the header block alone decides. payload_too_large, unsupported_media_type,
 * bad_header, draining, dependency_redis, storage_full, ... */
int create_take(struct req *r, struct taker *out, struct err *e);

#endif
