/* cors.h - may this origin's pages read the answers? Off unless origins are listed. Pure. */
#ifndef LONGANIM_API_CORS_H
#define LONGANIM_API_CORS_H

#include <stdbool.h>

#define CORS_EXPOSED                                                                                                   \
    "ETag, Location, Retry-After, Content-Range, Idempotency-Replayed, RateLimit, RateLimit-Policy, Upload-Offset, "   \
    "Upload-Length, Tus-Resumable"
#define CORS_REQUEST_HEADERS                                                                                           \
    "Authorization, Content-Type, Content-Digest, Repr-Digest, Idempotency-Key, If-None-Match, If-Range, "             \
    "Last-Event-ID, Prefer, Range, X-Job-Deadline, X-Start-Deadline, traceparent, tracestate, Tus-Resumable, "         \
    "Upload-Length, "                                                                                                  \
    "Upload-Offset, Upload-Checksum, Upload-Metadata"

/* origins: comma-separated, as browsers send them ("https://studio.example"), or "*". NULL or "" = none. Credentials
 * are never allowed: keys travel in a header that the page sets itself. */
bool cors_allows(const char *origins, const char *origin);

#endif
