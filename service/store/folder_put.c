/* The folder's way in. What is put is written under .tmp/, synced, renamed to its place, and the folders that changed
 * are synced, so every object is whole and durable or not there.
 *
 * Objects that are put together take these steps together: all contents, all syncs of contents, all names, then all
 * syncs of folders, the deepest first. Most of a sync is the disk's own pause, and the first of a row pays it for the
 * others. */
#include "store/folder_int.h"

#include "base/fault.h"
#include "base/fs.h"
#include "base/id.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMPORARY_SIZE = 64, RENAME_TRIES = 8, DIRTY_MAX = 4 * STORE_ITEMS_MAX };

/* An object under .tmp/ on its way to its place. */
struct draft {
    int fd;                    /* -1 = its content is durable already */
    char name[TEMPORARY_SIZE]; /* "" = there is none */
    bool adopted;
};

struct batch {
    int root;
    size_t shared; /* so much of every key names folders that others may make, too */
    struct draft drafts[STORE_ITEMS_MAX];
    char dirty[DIRTY_MAX][STORE_KEY_MAX]; /* folders to sync */
    int dirty_count;
};

/* ---- contents ---- */

static void draft_name(struct draft *d)
{
    char suffix[33];
    id_random_hex(suffix, 16);
    snprintf(d->name, sizeof d->name, ".tmp/%s", suffix);
}

static int draft_open(const struct batch *b, struct draft *d, int64_t bytes, struct err *e)
{
    if (store__folder_space(b->root, bytes, e) != 0)
        return -1;
    draft_name(d);
    d->fd = openat(b->root, d->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return d->fd >= 0 ? 0 : store__folder_fail(e, "create", d->name);
}

static int fill_from(struct draft *d, int in, const struct store_item *item, struct err *e)
{
    char hex[HASH_HEX_SIZE];
    bool cloned = ioctl(d->fd, FICLONE, in) == 0;
    if (store__folder_pump(in, cloned ? -1 : d->fd, hex, item->key, e) != 0)
        return -1;
    if (item->sha256[0] && strcmp(hex, item->sha256) != 0)
        return err_set(e, ERR_internal, "%.100s is not the content that was announced", item->key);
    return 0;
}

/* Takes the file itself instead of a copy: these are the very bytes that the caller hashed, so they are not read again
 * (whoever fetches an object holds it against its hash). False where that is not possible. */
static bool adopt(const struct batch *b, struct draft *d, int in, const char *path)
{
    struct stat named, opened;
    if (lstat(path, &named) != 0 || fstat(in, &opened) != 0 || named.st_ino != opened.st_ino ||
        named.st_dev != opened.st_dev || named.st_nlink != 1 || renameat(AT_FDCWD, path, b->root, d->name) != 0)
        return false;
    close(d->fd);
    d->fd = dup(in);
    fchmod(d->fd, 0600);
    return d->adopted = true;
}

static int take_file(const struct batch *b, struct draft *d, const struct store_item *item, struct err *e)
{
    struct stat st;
    int result = -1;
    int in = open(item->path, O_RDONLY | O_CLOEXEC);
    if (in < 0 || fstat(in, &st) != 0)
        err_set(e, ERR_internal, "cannot open %.200s: %s", item->path, strerror(errno));
    else if (draft_open(b, d, item->consume ? 0 : st.st_size, e) == 0) {
        bool adopted = item->consume && adopt(b, d, in, item->path);
        bool room = adopted || !item->consume || store__folder_space(b->root, st.st_size, e) == 0;
        result = room && (adopted || fill_from(d, in, item, e) == 0) ? 0 : -1;
    }
    if (in >= 0)
        close(in);
    return result;
}

/* A second name for an object. A sweep goes by the age of files, so the new name must not look old; with it the old
 * one looks young, which only makes a sweep come later. */
static bool link_object(const struct batch *b, const char *from, const char *to)
{
    const char *name;
    struct stat st;
    int parent = store__folder_parent(b->root, from, false, &name);
    int fd = parent >= 0 ? openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    bool linked = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && futimens(fd, NULL) == 0 &&
                  linkat(parent, name, b->root, to, 0) == 0;
    if (fd >= 0)
        close(fd);
    if (parent >= 0)
        close(parent);
    return linked;
}

static int draft_make(const struct batch *b, struct draft *d, const struct store_item *item, struct err *e)
{
    if (item->same_as && item->same_as[0]) {
        if (store__folder_space(b->root, 0, e) != 0)
            return -1;
        draft_name(d);
        if (link_object(b, item->same_as, d->name))
            return 0;
        d->name[0] = '\0';
    }
    if (!item->path && !item->data)
        return err_set(e, ERR_job_not_found, "no object %.200s", item->same_as);
    if (item->path)
        return take_file(b, d, item, e);
    if (draft_open(b, d, (int64_t)item->size, e) != 0)
        return -1;
    return fs_write_all(d->fd, item->data, item->size) == 0 ? 0 : store__folder_fail(e, "write", item->key);
}

/* ---- places ---- */

static void note_dirty(struct batch *b, const char *key, size_t size)
{
    char path[STORE_KEY_MAX];
    snprintf(path, sizeof path, "%.*s", (int)size, size ? key : "");
    for (int i = 0; i < b->dirty_count; i++)
        if (strcmp(b->dirty[i], path) == 0)
            return;
    if (b->dirty_count == DIRTY_MAX)
        abort(); /* more folders than keys have */
    memcpy(b->dirty[b->dirty_count++], path, sizeof path);
}

/* Opens the folder of `key`. Those that others may make at the same moment are durable at once: whoever finds one there
 * relies on it. Those of this batch alone are synced with all the rest. -1 with errno. */
static int open_place(struct batch *b, const char *key, const char **name)
{
    char above[STORE_KEY_MAX], part[STORE_KEY_MAX];
    const char *rest = key + b->shared;
    snprintf(above, sizeof above, "%.*sx", (int)b->shared, key);
    int at = store__folder_parent(b->root, above, true, name), cause;
    for (const char *slash; at >= 0 && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - rest), rest);
        if (mkdirat(at, part, 0700) == 0)
            note_dirty(b, key, rest > key ? (size_t)(rest - key) - 1 : 0);
        int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        cause = errno;
        close(at);
        errno = cause;
        at = next;
    }
    *name = rest;
    return at;
}

/* Folders that become empty are removed; where that comes in between they are made again. */
static int draft_place(struct batch *b, struct draft *d, const char *key, struct err *e)
{
    for (int i = 0; i < RENAME_TRIES; i++) {
        const char *name;
        int parent = open_place(b, key, &name);
        int renamed = parent >= 0 ? renameat(b->root, d->name, parent, name) : -1, cause = errno;
        if (parent >= 0)
            close(parent);
        errno = cause;
        if (renamed == 0) {
            if (d->fd < 0)
                unlinkat(b->root, d->name, 0); /* a second name that is there already leaves the third one */
            d->name[0] = '\0';
            note_dirty(b, key, name > key ? (size_t)(name - key) - 1 : 0);
            return fault_err("store.put.renamed", ERR_dependency_storage, e);
        }
        if (errno != ENOENT)
            break;
    }
    return store__folder_fail(e, "create", key);
}

static int deeper(const void *a, const void *b)
{
    size_t left = strlen(a), right = strlen(b);
    return left < right ? 1 : left > right ? -1 : 0;
}

static int sync_folders(struct batch *b, struct err *e)
{
    qsort(b->dirty, (size_t)b->dirty_count, sizeof b->dirty[0], deeper);
    for (int i = 0; i < b->dirty_count; i++) {
        const char *path = b->dirty[i][0] ? b->dirty[i] : ".";
        int fd = store__open_below(b->root, path, O_RDONLY | O_DIRECTORY), result = fd >= 0 ? fsync(fd) : -1;
        int cause = errno;
        if (fd >= 0)
            close(fd);
        errno = cause;
        if (result != 0)
            return store__folder_fail(e, "sync", path);
    }
    return 0;
}

/* ---- all of it ---- */

/* Up to and with the last slash before the folder that holds all keys; for a single one, its own folder. */
static size_t shared_part(const struct store_item *list, int count)
{
    const char *first = list[0].key;
    size_t same = strlen(first);
    for (int i = 1; i < count; i++)
        for (size_t n = 0; n < same; n++)
            if (list[i].key[n] != first[n])
                same = n;
    int slashes = count > 1 ? 2 : 1; /* the folder itself belongs to the batch */
    for (; same > 0; same--)
        if (first[same - 1] == '/' && --slashes == 0)
            break;
    return same;
}

static int write_contents(struct batch *b, const struct store_item *list, int count, struct err *e)
{
    for (int i = 0; i < count; i++) {
        if (draft_make(b, &b->drafts[i], &list[i], e) != 0)
            return -1;
        if (count > 1 && b->drafts[i].fd >= 0) /* the disk begins with one while the next is written */
            sync_file_range(b->drafts[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    for (int i = 0; i < count; i++) {
        if (b->drafts[i].fd >= 0 && fdatasync(b->drafts[i].fd) != 0)
            return store__folder_fail(e, "write", list[i].key);
        if (fault_err("store.put.written", ERR_dependency_storage, e) != 0)
            return -1;
    }
    return 0;
}

static void batch_free(struct batch *b)
{
    for (int i = 0; i < STORE_ITEMS_MAX; i++) {
        if (b->drafts[i].fd >= 0)
            close(b->drafts[i].fd);
        if (b->drafts[i].name[0])
            unlinkat(b->root, b->drafts[i].name, 0);
    }
    if (b->root >= 0)
        close(b->root);
    free(b);
}

int store__folder_put_all(void *s, const struct store_item *list, int count, struct err *e)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    for (int i = 0; i < STORE_ITEMS_MAX; i++)
        b->drafts[i].fd = -1;
    b->root = store__folder_root(s, e);
    b->shared = shared_part(list, count);
    int result = b->root >= 0 ? write_contents(b, list, count, e) : -1;
    for (int i = 0; i < count && result == 0; i++)
        result = draft_place(b, &b->drafts[i], list[i].key, e);
    if (result == 0)
        result = sync_folders(b, e);
    for (int i = 0; i < count && result == 0; i++)
        if (list[i].consume && !b->drafts[i].adopted)
            unlink(list[i].path);
    batch_free(b);
    return result;
}

int store__folder_put_file(void *s, const char *key, const char *path, const char *sha256, bool consume, struct err *e)
{
    struct store_item item = {.key = key, .path = path, .sha256 = sha256, .consume = consume};
    return store__folder_put_all(s, &item, 1, e);
}

int store__folder_put_bytes(void *s, const char *key, const void *data, size_t size, struct err *e)
{
    struct store_item item = {.key = key, .sha256 = "", .data = data, .size = size};
    return store__folder_put_all(s, &item, 1, e);
}

int store__folder_copy(void *s, const char *from, const char *to, bool *copied, struct err *e)
{
    struct store_item item = {.key = to, .same_as = from, .sha256 = ""};
    struct err why = {0};
    int result = store__folder_put_all(s, &item, 1, &why);
    *copied = result == 0;
    if (result == 0 || why.code == ERR_job_not_found)
        return 0;
    return err_set(e, why.code, "%s", why.detail);
}
