/* reply.h - how answers leave, for server.c. With it, the only user of libmicrohttpd. Loop threads. */
#ifndef LONGANIM_API_REPLY_H
#define LONGANIM_API_REPLY_H

#include "req.h"

/* Queues the request's answer; an enum MHD_Result. */
int reply_send(struct req *r);

/* Sends the answer while the body is still coming. The library takes an answer only before or after the body; in
 * between it is written past it: nothing else of ours is on the wire then but "100 Continue". The rest of the body is
 * swallowed, so that a client which reads only after it has sent everything still finds the answer and not a reset. */
void reply_early(struct req *r);

/* A whole 408 for a body that comes too slowly, as conns.h wants it. */
size_t reply_too_slow(char *out, size_t size);

#endif
