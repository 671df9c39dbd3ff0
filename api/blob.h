/* blob.h - an object of the store as an answer: Range, conditions, ETag; by sendfile where the store has descriptors,
 * else streamed through a pool thread. */
#ifndef LONGANIM_API_BLOB_H
#define LONGANIM_API_BLOB_H

#include "req.h"

struct blob {
    const char *key, *sha256, *content_type;
    const char *file_name; /* for saving; NULL = shown in place */
    int64_t expires_ms;    /* wall; told (Sunset, RFC 8594) on the last day; 0 = not known */
};

/* Answers the suspended request. An object that is gone is job_purged. */
void blob_answer(struct req *r, const struct blob *b);

#endif
