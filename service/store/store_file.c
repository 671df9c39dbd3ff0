/* A folder: paths, reading, removing; folder_put.c writes. Every path is resolved below the root without following
 * links. Folders that become empty are removed; a put that races with that makes them again. */
#include "store/folder_int.h"
#include "store/store_int.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/id.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int store__folder_fail(struct err *e, const char *verb, const char *what)
{
    int cause = errno;
    enum err_code code = cause == ENOSPC || cause == EDQUOT ? ERR_storage_full : ERR_dependency_storage;
    return err_set(e, code, "cannot %s %.200s: %s", verb, what, strerror(cause));
}

static int missing(const char *key, struct err *e)
{
    return err_set(e, ERR_job_not_found, "no object %.200s", key);
}

/* ---- paths ---- */

int store__folder_root(struct folder *f, struct err *e)
{
    struct err why = {0};
    if (!f->made && fs_mkdirs(f->root, &why) != 0)
        return err_set(e, ERR_dependency_storage, "%s", why.detail);
    int fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return store__folder_fail(e, "open the store", f->root);
    if (mkdirat(fd, ".tmp", 0700) != 0 && errno != EEXIST) {
        store__folder_fail(e, "write into", f->root);
        close(fd);
        return -1;
    }
    f->made = true;
    return fd;
}

/* Opens the folder that holds `key`, making it when `make`; *name is the last component. -1 with errno. */
int store__folder_parent(int root, const char *key, bool make, const char **name)
{
    char part[STORE_KEY_MAX];
    const char *rest = key;
    int at = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), cause;
    for (const char *slash; at >= 0 && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - rest), rest);
        int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && make) {
            /* A new folder is durable when its parent is. */
            if ((mkdirat(at, part, 0700) == 0 || errno == EEXIST) && fsync(at) == 0)
                next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        cause = errno;
        close(at);
        errno = cause;
        at = next;
    }
    *name = rest;
    return at;
}

/* ---- space ---- */

/* Full means less than min(5 %, 2 GiB) left once `bytes` more are written. Files take whole blocks, one at least: else
 * the probe would find room where no object fits any more. */
int store__folder_space(int root, int64_t bytes, struct err *e)
{
    struct statvfs s;
    if (fstatvfs(root, &s) != 0)
        return store__folder_fail(e, "look at", "the store");
    int64_t block = (int64_t)s.f_frsize, free_bytes = (int64_t)s.f_bavail * block, total = (int64_t)s.f_blocks * block;
    int64_t reserve = total / 20 < ((int64_t)2 << 30) ? total / 20 : (int64_t)2 << 30;
    int64_t blocks = bytes > 0 ? (bytes - 1) / block + 1 : 1;
    if (free_bytes - blocks * block < reserve)
        return err_set(e, ERR_storage_full, "%lld MiB are free, of which %lld are kept in reserve",
                       (long long)(free_bytes >> 20), (long long)(reserve >> 20));
    return 0;
}

static int folder_probe(void *s, struct err *e)
{
    struct folder *f = s;
    int root = store__folder_root(f, e), result = -1;
    char name[64] = ".tmp/", suffix[33];
    if (root < 0)
        return -1;
    id_random_hex(suffix, 16);
    memcpy(name + 5, suffix, sizeof suffix);
    if (store__folder_space(root, 0, e) == 0) {
        int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        result = fd >= 0 && write(fd, "x", 1) == 1 ? 0 : store__folder_fail(e, "write into", f->root);
        if (fd >= 0) {
            close(fd);
            unlinkat(root, name, 0);
        }
    }
    close(root);
    return result;
}

/* Copies in (from its start) to out, or only reads it when out is -1, and hashes it on the way. */
int store__folder_pump(int in, int out, char hex[HASH_HEX_SIZE], const char *what, struct err *e)
{
    char chunk[128 * 1024];
    uint8_t digest[HASH_SIZE];
    struct hash *h = hash_new();
    int result = -1;
    for (int64_t offset = 0;;) {
        ssize_t got = pread(in, chunk, sizeof chunk, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (out >= 0 && fs_write_all(out, chunk, (size_t)got) != 0)) {
            store__folder_fail(e, got < 0 ? "read" : "write", what);
            break;
        }
        if (got == 0) {
            hash_final(h, digest);
            hash_hex(digest, hex);
            result = 0;
            break;
        }
        hash_add(h, chunk, (size_t)got);
        offset += got;
    }
    hash_free(h);
    return result;
}

/* ---- reading ---- */

static int open_object(struct folder *f, const char *key, struct stat *st, struct err *e)
{
    int root = store__folder_root(f, e);
    if (root < 0)
        return -1;
    int fd = store__open_below(root, key, O_RDONLY), cause = errno;
    close(root);
    errno = cause;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return missing(key, e);
    if (fd < 0 || fstat(fd, st) != 0) {
        store__folder_fail(e, "open", key);
    } else if (!S_ISREG(st->st_mode)) {
        missing(key, e);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static int stat_object(void *s, const char *key, struct store_info *out, struct err *e)
{
    struct stat st;
    int fd = open_object(s, key, &st, e);
    if (fd < 0)
        return -1;
    close(fd);
    store__folder_info(&st, out);
    return 0;
}

static int open_fd(void *s, const char *key, int *out_fd, int64_t *out_bytes, struct err *e)
{
    struct stat st;
    int fd = open_object(s, key, &st, e);
    if (fd < 0)
        return -1;
    *out_fd = fd;
    *out_bytes = st.st_size;
    return 0;
}

static int64_t read_object(void *s, const char *key, int64_t offset, void *data, size_t size, struct err *e)
{
    struct stat st;
    size_t used = 0;
    int fd = open_object(s, key, &st, e);
    if (fd < 0)
        return -1;
    while (used < size) {
        ssize_t got = pread(fd, (char *)data + used, size - used, offset + (int64_t)used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            store__folder_fail(e, "read", key);
            close(fd);
            return -1;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    close(fd);
    return (int64_t)used;
}

/* A link where the file systems are one: nobody writes into fetched files, and objects are replaced, never changed. */
static int get_file(void *s, const char *key, const char *path, struct err *e)
{
    char source[64], hex[HASH_HEX_SIZE];
    struct stat st;
    int fd = open_object(s, key, &st, e), result = -1;
    if (fd < 0)
        return -1;
    snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
    unlink(path);
    if (linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
        close(fd);
        return 0;
    }
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        store__folder_fail(e, "create", path);
    else
        result = ioctl(out, FICLONE, fd) == 0 ? 0 : store__folder_pump(fd, out, hex, path, e);
    if (out >= 0 && close(out) != 0 && result == 0)
        result = store__folder_fail(e, "write", path);
    close(fd);
    return result;
}

/* ---- removing ---- */

/* The folders above a removed object, as far as they are empty. */
static void remove_empty_above(int root, const char *key)
{
    char path[STORE_KEY_MAX];
    snprintf(path, sizeof path, "%s", key);
    for (char *slash; (slash = strrchr(path, '/')) != NULL;) {
        *slash = '\0';
        const char *name;
        int parent = store__folder_parent(root, path, false, &name);
        int gone = parent >= 0 ? unlinkat(parent, name, AT_REMOVEDIR) : -1;
        if (parent >= 0)
            close(parent);
        if (gone != 0)
            return;
    }
}

static int remove_object(void *s, const char *key, struct err *e)
{
    const char *name;
    if (fault_err("store.delete.begun", ERR_dependency_storage, e) != 0)
        return -1;
    int root = store__folder_root(s, e), result = 0;
    if (root < 0)
        return -1;
    int parent = store__folder_parent(root, key, false, &name);
    if (parent < 0) {
        result = errno == ENOENT || errno == ENOTDIR ? 0 : store__folder_fail(e, "remove", key);
    } else {
        if (unlinkat(parent, name, 0) == 0)
            result = fsync(parent) == 0 ? 0 : store__folder_fail(e, "sync", key);
        else if (errno != ENOENT && errno != EISDIR)
            result = store__folder_fail(e, "remove", key);
        close(parent);
    }
    if (result == 0)
        remove_empty_above(root, key);
    close(root);
    return result;
}

static int list(void *s, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e)
{
    int root = store__folder_root(s, e);
    if (root < 0)
        return -1;
    int result = store__folder_list(root, prefix, after, fn, user, e);
    close(root);
    return result;
}

/* ---- life ---- */

static int sweep(void *s, int64_t age_ms, int *out_removed, struct err *e)
{
    int root = store__folder_root(s, e), removed = 0, result = -1;
    int64_t oldest_ms = clock_wall_ms() - age_ms;
    struct dirent *entry;
    if (root < 0)
        return -1;
    int fd = openat(root, ".tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    while (dir && (errno = 0, entry = readdir(dir)) != NULL) {
        struct stat st;
        struct store_info info;
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        store__folder_info(&st, &info);
        if (info.modified_ms <= oldest_ms)
            removed += unlinkat(fd, entry->d_name, 0) == 0;
    }
    if (dir && errno == 0)
        result = 0;
    else
        store__folder_fail(e, "list", ".tmp");
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    close(root);
    if (result == 0)
        *out_removed = removed;
    return result;
}

static int open_folder(void **out, const char *rest, struct err *e)
{
    struct folder *f = calloc(1, sizeof *f);
    struct err why;
    size_t size = strlen(rest);
    if (!f)
        abort();
    while (size > 1 && rest[size - 1] == '/')
        size--;
    if (rest[0] != '/' || size >= sizeof f->root) {
        free(f);
        return err_set_field(e, ERR_params_invalid, "store", "file: needs an absolute path");
    }
    memcpy(f->root, rest, size);
    int root = store__folder_root(f, &why); /* made now if it can be; else at its first use */
    if (root >= 0)
        close(root);
    *out = f;
    return 0;
}

static void close_folder(void *s)
{
    free(s);
}

const struct store_ops store_file_ops = {
    .scheme = "file:",
    .open = open_folder,
    .close = close_folder,
    .probe = folder_probe,
    .put_file = store__folder_put_file,
    .put_bytes = store__folder_put_bytes,
    .put_all = store__folder_put_all,
    .copy = store__folder_copy,
    .stat = stat_object,
    .get_file = get_file,
    .open_fd = open_fd,
    .read = read_object,
    .remove = remove_object,
    .list = list,
    .presign = NULL,
    .sweep = sweep,
};
