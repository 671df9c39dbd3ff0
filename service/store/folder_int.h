/* folder_int.h - what the files of the folder store share. */
#ifndef LONGANIM_STORE_FOLDER_INT_H
#define LONGANIM_STORE_FOLDER_INT_H

#include "store/store_int.h"

#include "base/fs.h"

#include <stdatomic.h>
#include <sys/stat.h>

struct folder {
    char root[FS_PATH_MAX];
    atomic_bool made; /* the root existed once; from then on its absence is an outage, not a new store */
};

/* Says what errno means: storage_full, dependency_storage. Returns -1. */
int store__folder_fail(struct err *e, const char *verb, const char *what);

/* Opens the root, with .tmp/ in it. A descriptor, or -1. */
int store__folder_root(struct folder *f, struct err *e);

/* Opens the folder that holds `key`, making it (durably) when `make`; *name is the last component. -1 with errno. */
int store__folder_parent(int root, const char *key, bool make, const char **name);

/* storage_full unless `bytes` more leave the reserve alone. */
int store__folder_space(int root, int64_t bytes, struct err *e);

/* Copies in (from its start) to out, or only reads it when out is -1, and hashes it on the way. */
int store__folder_pump(int in, int out, char hex[HASH_HEX_SIZE], const char *what, struct err *e);

/* folder_put.c: as in struct store_ops. */
int store__folder_put_file(void *s, const char *key, const char *path, const char *sha256, bool consume, struct err *e);
int store__folder_put_bytes(void *s, const char *key, const void *data, size_t size, struct err *e);
int store__folder_put_all(void *s, const struct store_item *list, int count, struct err *e);
int store__folder_copy(void *s, const char *from, const char *to, bool *copied, struct err *e);

/* Opens a path below the folder `root`; no component may be a link, none may lead outside. -1 with errno. */
int store__open_below(int root, const char *path, int flags);

void store__folder_info(const struct stat *st, struct store_info *out);

/* store_list over the folder. */
int store__folder_list(int root, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e);

#endif
