/* store.h - bytes by name. Opened by URL: "file:/dir", "s3://bucket/prefix?endpoint=URL&region=R".
 *
 * Keys: [a-z0-9A-Z/._-], no "..", no leading slash, at most 255 bytes; made by us, never by clients. An object is
 * visible whole or not at all, and durable when put returns.
 * Threads: any; a handle may be shared. Errors: storage_full, dependency_storage (retryable), internal;
 * store_get and store_stat say job_not_found when the object is missing (ERR_job_not_found is translated by callers).
 */
#ifndef LONGANIM_STORE_STORE_H
#define LONGANIM_STORE_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_KEY_MAX 256

struct store;

int store_open(struct store **out, const char *url, struct err *e); /* params_invalid; does not connect yet */
void store_close(struct store *s);

/* Can it be read and written now? dependency_storage or storage_full with the reason. */
int store_probe(struct store *s, struct err *e);

/* Puts a local file or bytes. sha256 (64 hex digits) is what the content must hash to; "" = compute. The local file
 * may be moved into place (`consume`) when the back end can; a caller who gives it away vouches for its hash. Putting
 * the same key again replaces it. */
int store_put_file(struct store *s, const char *key, const char *path, const char *sha256, bool consume, struct err *e);
int store_put_bytes(struct store *s, const char *key, const void *data, size_t size, struct err *e);

/* One of several objects. Its content: that of another object when there is one of that name, else a file, else bytes;
 * as in the calls for one. */
struct store_item {
    const char *key;
    const char *same_as; /* NULL or "" = none */
    const char *path;    /* NULL = bytes */
    const char *sha256;  /* of the file; "" = compute */
    bool consume;        /* the file */
    const void *data;
    size_t size;
};
#define STORE_ITEMS_MAX 8
/* Puts objects that belong together, in this order: one is not visible before those in front of it, and all are durable
 * on return. For a folder that is much quicker than one by one. The folder that holds all keys must be the caller's
 * alone. After an error some may be there. */
int store_put_all(struct store *s, const struct store_item *list, int count, struct err *e);

/* Makes `to` the same object as `from` without sending it again: a second name for the file, a copy inside the bucket.
 * *copied is false when `from` is not there or the back end cannot; then nothing was done. `to` lives by itself: either
 * may be deleted. */
int store_copy(struct store *s, const char *from, const char *to, bool *copied, struct err *e);

struct store_info {
    int64_t bytes;
    int64_t modified_ms;        /* wall */
    char sha256[HASH_HEX_SIZE]; /* "" when the back end does not keep it */
};
int store_stat(struct store *s, const char *key, struct store_info *out, struct err *e);
int store_get_bytes(struct store *s, const char *key, struct buf *out, struct err *e); /* out's ceiling bounds it */
int store_get_file(struct store *s, const char *key, const char *path, struct err *e); /* links when it can */

/* An open descriptor on the object for reading (sendfile), or -1 with not-supported semantics: *out_fd = -1 and
 * return 0 where the back end has none; the caller then uses store_read. */
int store_open_fd(struct store *s, const char *key, int *out_fd, int64_t *out_bytes, struct err *e);
/* Reads up to size bytes at offset; returns bytes read (0 at the end) or -1. */
int64_t store_read(struct store *s, const char *key, int64_t offset, void *data, size_t size, struct err *e);

int store_delete(struct store *s, const char *key, struct err *e); /* a missing object is fine */

/* Calls fn for every object under prefix, in bytewise key order, starting after `after` ("" = first). fn returns
 * non-zero to stop; the keys are borrowed. It may use the store meanwhile; what it puts or deletes may or may not come.
 */
typedef int (*store_list_fn)(void *user, const char *key, const struct store_info *info);
int store_list(struct store *s, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e);

/* A link with which anyone can GET the object for ttl_s seconds; returns 0 with out[0] = 0 where there is none. */
int store_presign_get(struct store *s, const char *key, int ttl_s, const char *download_name, char out[2048],
                      struct err *e);

/* Removes temporaries older than age_ms. */
int store_sweep(struct store *s, int64_t age_ms, int *out_removed, struct err *e);

#endif
