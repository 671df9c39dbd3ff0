/* upload.h - a large body on its way to disk.
 *
 * The loop thread only copies bytes into a bounded ring; a spool thread takes them out and feeds them to the route's
 * taker, which parses, hashes and writes. When the ring is full the connection stops reading until half of it is free.
 * An upload outlives its request: when the client goes away, it is abandoned and cleans up after itself. */
#ifndef LONGANIM_API_UPLOAD_H
#define LONGANIM_API_UPLOAD_H

#include "req.h"

struct upload;

/* Loop thread, header complete: may this body come at all? On 0 r->upload is set. Errors are answered early. */
int upload_begin(struct req *r, struct err *e);

enum upload_took { UPLOAD_TOOK, UPLOAD_FULL, UPLOAD_FAILED };
/* Loop thread: takes all (TOOK) or none of the bytes. FULL: the request has been suspended; offer them again when it
 * goes on. FAILED: *e says why; the rest of the body may be thrown away. */
enum upload_took upload_feed(struct upload *u, const char *data, size_t size, struct err *e);

/* The body is complete and the request suspended: the taker answers it. */
void upload_finish(struct upload *u);

/* The client is gone, or the answer has been given otherwise. The upload may not be named again. */
void upload_abandon(struct upload *u);

#endif
