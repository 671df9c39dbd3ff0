/* multipart.h - multipart/form-data (RFC 7578, RFC 2046) as a stream: bytes in, parts out.
 *
 * Ours because libmicrohttpd's post processor takes parameters behind the boundary for a part of it, does not tell a
 * truncated body, and calls an epilogue an error. This one accepts quoted boundaries, further parameters, preamble,
 * epilogue and filename*=; it refuses bare line feeds, folded part headers and delimiter lines with anything else in
 * them. Memory: one part header. One thread at a time. */
#ifndef LONGANIM_API_MULTIPART_H
#define LONGANIM_API_MULTIPART_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MULTIPART_PARTS_MAX 32
#define MULTIPART_HEADER_MAX 8192
#define MULTIPART_PREAMBLE_MAX 65536
#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 5.1.1 */

struct multipart_part {
    const char *name;
    const char *filename;     /* NULL = none; the client's words, for messages only */
    const char *content_type; /* "" = none */
    const char *digest;       /* Content-Digest; NULL = none */
};

/* Each returns 0, or -1 with e filled, which ends the parse. Strings are borrowed for the call. */
struct multipart_sink {
    int (*begin)(void *user, const struct multipart_part *part, struct err *e);
    int (*data)(void *user, const void *data, size_t size, struct err *e);
    int (*end)(void *user, struct err *e);
    void *user;
};

struct multipart;

/* The boundary of a Content-Type, if this is multipart/form-data with one. unsupported_media_type,
 * multipart_malformed. */
int multipart_boundary(const char *content_type, char out[MULTIPART_BOUNDARY_MAX + 1], struct err *e);

/* Aborts when memory is out. */
struct multipart *multipart_new(const char *boundary, const struct multipart_sink *sink);
void multipart_free(struct multipart *m);

/* Any cut of the body into pieces gives the same parts. After -1 nothing more may be fed. multipart_malformed,
 * too_many_parts, or what the sink said. */
int multipart_feed(struct multipart *m, const void *data, size_t size, struct err *e);

/* The body is over: multipart_truncated unless the closing boundary was seen. */
int multipart_end(struct multipart *m, struct err *e);

#endif
