/* store_int.h - what a back end is. A back end that lacks an operation leaves it NULL. */
#ifndef LONGANIM_STORE_STORE_INT_H
#define LONGANIM_STORE_STORE_INT_H

#include "store/store.h"

/* Keys are checked before they come here; sha256 is "" or 64 hex digits. */
struct store_ops {
    const char *scheme; /* "file:" */
    /* rest: the URL behind the scheme. params_invalid. */
    int (*open)(void **out, const char *rest, struct err *e);
    void (*close)(void *s);
    int (*probe)(void *s, struct err *e);
    int (*put_file)(void *s, const char *key, const char *path, const char *sha256, bool consume, struct err *e);
    int (*put_bytes)(void *s, const char *key, const void *data, size_t size, struct err *e);
    int (*put_all)(void *s, const struct store_item *list, int count, struct err *e); /* may be NULL: one by one */
    int (*copy)(void *s, const char *from, const char *to, bool *copied, struct err *e);
    int (*stat)(void *s, const char *key, struct store_info *out, struct err *e);
    int (*get_file)(void *s, const char *key, const char *path, struct err *e);
    int (*open_fd)(void *s, const char *key, int *out_fd, int64_t *out_bytes, struct err *e); /* may be NULL */
    int64_t (*read)(void *s, const char *key, int64_t offset, void *data, size_t size, struct err *e);
    int (*remove)(void *s, const char *key, struct err *e);
    int (*list)(void *s, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e);
    int (*presign)(void *s, const char *key, int ttl_s, const char *download_name, char out[2048],
                   struct err *e); /* may be NULL */
    int (*sweep)(void *s, int64_t age_ms, int *out_removed, struct err *e);
};

extern const struct store_ops store_file_ops;
extern const struct store_ops store_s3_ops;

#endif
