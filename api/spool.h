/* spool.h - a body, or a part of one, on its way into a file, hashed as it is written. One thread at a time. */
#ifndef LONGANIM_API_SPOOL_H
#define LONGANIM_API_SPOOL_H

#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

struct app;

struct spooled {
    char path[600]; /* "" = none */
    char name[128]; /* the client's, made harmless; for messages */
    char sha256[HASH_HEX_SIZE];
    char wanted[HASH_HEX_SIZE]; /* what it should be; "" = nobody said */
    int64_t bytes;
};

struct spool {
    struct spooled *file; /* being written; NULL = none */
    int fd;
    struct hash *hash;
    int64_t flushed; /* bytes that the disk was told to write */
};

void spool_init(struct spool *s);

/* Begins `file`. storage_full, internal. */
int spool_open(struct spool *s, const struct app *app, struct spooled *file, struct err *e);
int spool_write(struct spool *s, const void *data, size_t size, struct err *e);

/* Ends the file, if one is open: closes it and fills in its hash. It stays on disk. */
void spool_close(struct spool *s);

void spool_remove(struct spooled *file); /* none is fine; what was moved away is fine */

#endif
