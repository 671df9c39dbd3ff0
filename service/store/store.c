#include "store/store_int.h"

#include <stdlib.h>
#include <string.h>

static const struct store_ops *const backends[] = {&store_file_ops, &store_s3_ops};

struct store {
    const struct store_ops *ops;
    void *impl;
};

int store_open(struct store **out, const char *url, struct err *e)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        size_t length = strlen(backends[i]->scheme);
        if (strncmp(url, backends[i]->scheme, length) != 0)
            continue;
        struct store *s = calloc(1, sizeof *s);
        if (!s)
            abort();
        s->ops = backends[i];
        if (s->ops->open(&s->impl, url + length, e) != 0) {
            free(s);
            return -1;
        }
        *out = s;
        return 0;
    }
    return err_set_field(e, ERR_params_invalid, "store",
                         "not a store; give file:/dir or s3://bucket/prefix?endpoint=URL");
}

void store_close(struct store *s)
{
    if (!s)
        return;
    s->ops->close(s->impl);
    free(s);
}

/* Keys are ours; a wrong one is a bug, but not one that may touch other files. */
static int check_key(const char *key, struct err *e)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    size_t size = strlen(key);
    bool bad = size == 0 || size >= STORE_KEY_MAX || strspn(key, allowed) != size || key[size - 1] == '/';
    for (const char *part = key; !bad && part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        size_t length = strcspn(part, "/");
        bad = length == 0 || (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.'))) ||
              strncmp(part, ".tmp", 4) == 0;
    }
    return bad ? err_set(e, ERR_internal, "bad store key \"%.100s\"", key) : 0;
}

int store_probe(struct store *s, struct err *e)
{
    return s->ops->probe(s->impl, e);
}

int store_put_file(struct store *s, const char *key, const char *path, const char *sha256, bool consume, struct err *e)
{
    return check_key(key, e) == 0 ? s->ops->put_file(s->impl, key, path, sha256, consume, e) : -1;
}

int store_put_bytes(struct store *s, const char *key, const void *data, size_t size, struct err *e)
{
    return check_key(key, e) == 0 ? s->ops->put_bytes(s->impl, key, data, size, e) : -1;
}

static int put_one(struct store *s, const struct store_item *i, struct err *e)
{
    bool copied = false;
    if (i->same_as && i->same_as[0] && s->ops->copy(s->impl, i->same_as, i->key, &copied, e) != 0)
        return -1;
    if (copied)
        return 0;
    return i->path ? s->ops->put_file(s->impl, i->key, i->path, i->sha256, i->consume, e)
                   : s->ops->put_bytes(s->impl, i->key, i->data, i->size, e);
}

int store_put_all(struct store *s, const struct store_item *list, int count, struct err *e)
{
    int result = count > 0 && count <= STORE_ITEMS_MAX ? 0 : err_set(e, ERR_internal, "%d objects at once", count);
    for (int i = 0; i < count && result == 0; i++)
        result = check_key(list[i].key, e) == 0 &&
                         (!list[i].same_as || !list[i].same_as[0] || check_key(list[i].same_as, e) == 0)
                     ? 0
                     : -1;
    if (result == 0 && s->ops->put_all)
        return s->ops->put_all(s->impl, list, count, e);
    for (int i = 0; i < count && result == 0; i++)
        result = put_one(s, &list[i], e);
    return result;
}

int store_copy(struct store *s, const char *from, const char *to, bool *copied, struct err *e)
{
    return check_key(from, e) == 0 && check_key(to, e) == 0 ? s->ops->copy(s->impl, from, to, copied, e) : -1;
}

int store_stat(struct store *s, const char *key, struct store_info *out, struct err *e)
{
    return check_key(key, e) == 0 ? s->ops->stat(s->impl, key, out, e) : -1;
}

int store_get_bytes(struct store *s, const char *key, struct buf *out, struct err *e)
{
    char chunk[64 * 1024];
    if (check_key(key, e) != 0)
        return -1;
    for (int64_t offset = 0;;) {
        int64_t got = s->ops->read(s->impl, key, offset, chunk, sizeof chunk, e);
        if (got < 0)
            return -1;
        if (buf_add(out, chunk, (size_t)got) != 0)
            return err_set(e, ERR_internal, "%.100s is larger than %zu bytes", key, out->max);
        offset += got;
        if (got < (int64_t)sizeof chunk)
            return 0;
    }
}

int store_get_file(struct store *s, const char *key, const char *path, struct err *e)
{
    return check_key(key, e) == 0 ? s->ops->get_file(s->impl, key, path, e) : -1;
}

int store_open_fd(struct store *s, const char *key, int *out_fd, int64_t *out_bytes, struct err *e)
{
    if (check_key(key, e) != 0)
        return -1;
    if (s->ops->open_fd)
        return s->ops->open_fd(s->impl, key, out_fd, out_bytes, e);
    *out_fd = -1;
    return 0;
}

int64_t store_read(struct store *s, const char *key, int64_t offset, void *data, size_t size, struct err *e)
{
    if (check_key(key, e) != 0)
        return -1;
    return offset < 0 ? err_set(e, ERR_internal, "negative offset") : s->ops->read(s->impl, key, offset, data, size, e);
}

int store_delete(struct store *s, const char *key, struct err *e)
{
    return check_key(key, e) == 0 ? s->ops->remove(s->impl, key, e) : -1;
}

int store_list(struct store *s, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e)
{
    return s->ops->list(s->impl, prefix, after, fn, user, e);
}

int store_presign_get(struct store *s, const char *key, int ttl_s, const char *download_name, char out[2048],
                      struct err *e)
{
    if (check_key(key, e) != 0)
        return -1;
    if (s->ops->presign)
        return s->ops->presign(s->impl, key, ttl_s, download_name, out, e);
    out[0] = '\0';
    return 0;
}

int store_sweep(struct store *s, int64_t age_ms, int *out_removed, struct err *e)
{
    return s->ops->sweep(s->impl, age_ms, out_removed, e);
}
