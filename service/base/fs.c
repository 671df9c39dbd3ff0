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
#include <unistd.h>

static int fail(struct err *e, const char *verb, const char *path)
{
    int cause = errno;
    bool full = cause == ENOSPC || cause == EDQUOT;
    err_set(e, full ? ERR_storage_full : ERR_internal, "cannot %s %s: %s", verb, path, strerror(cause));
    errno = cause;
    return -1;
}

int fs_join(char out[FS_PATH_MAX], const char *dir, const char *name, struct err *e)
{
    int size = snprintf(out, FS_PATH_MAX, "%s/%s", dir, name);
    if (size < 0 || size >= FS_PATH_MAX)
        return err_set(e, ERR_internal, "path too long: %.100s/%.100s", dir, name);
    return 0;
}

int fs_mkdirs(const char *path, struct err *e)
{
    char part[FS_PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return err_set(e, ERR_internal, "bad folder name: %.200s", path);
    memcpy(part, path, size + 1);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return fail(e, "create folder", part);
        if (end == '\0')
            break;
        *p = end;
    }
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    errno = ENOTDIR;
    return fail(e, "create folder", path);
}

/* Empties the folder behind fd and closes fd. Every level holds one descriptor; trees of ours are a few levels deep. */
static int empty_folder(int fd, const char *path, int depth, struct err *e)
{
    enum { DEPTH_MAX = 64 };
    DIR *dir = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    struct dirent *entry;
    int result = 0;
    if (!dir) {
        errno = depth < DEPTH_MAX ? errno : ELOOP;
        result = fail(e, "read folder", path);
        close(fd);
        return result;
    }
    while (result == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM) {
            result = fail(e, "remove from", path);
            break;
        }
        int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        result = below < 0 ? fail(e, "open folder in", path) : empty_folder(below, path, depth + 1, e);
        if (result == 0 && unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0)
            result = fail(e, "remove from", path);
    }
    closedir(dir);
    return result;
}

int fs_remove_tree(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return fail(e, "remove", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open folder", path);
    if (empty_folder(fd, path, 0, e) != 0)
        return -1;
    return rmdir(path) == 0 ? 0 : fail(e, "remove", path);
}

int fs_read(const char *path, struct buf *out, struct err *e)
{
    char chunk[16 * 1024];
    int result = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open", path);
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            fail(e, "read", path);
            break;
        }
        if (got == 0) {
            result = buf_add(out, "", 0);
            break;
        }
        if (buf_add(out, chunk, (size_t)got) != 0) {
            err_set(e, ERR_internal, "%s is larger than %zu bytes", path, out->max);
            break;
        }
    }
    close(fd);
    return result;
}

/* Reflink, else copy_file_range, else read and write: whatever the file systems can do together. */
static int copy_bytes(int from, int to)
{
    char chunk[64 * 1024];
    ssize_t got;
    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    while ((got = copy_file_range(from, NULL, to, NULL, 1 << 30, 0)) > 0)
        ;
    if (got == 0)
        return 0;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EBADF)
        return -1;
    while ((got = read(from, chunk, sizeof chunk)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || fs_write_all(to, chunk, (size_t)got) != 0)
            return -1;
    }
    return 0;
}

int fs_copy(const char *from, const char *to, struct err *e)
{
    int result = -1, out = -1;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return fail(e, "open", from);
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        fail(e, "create", to);
        goto out;
    }
    if (copy_bytes(in, out) != 0) {
        fail(e, "write", to);
        goto out;
    }
    result = 0;
out:
    close(in);
    if (out >= 0 && close(out) != 0 && result == 0)
        result = fail(e, "write", to);
    return result;
}

int fs_write_atomic(const char *path, const void *data, size_t size, struct err *e)
{
    char temporary[FS_PATH_MAX], suffix[17];
    int result = -1;
    id_random_hex(suffix, 8);
    int length = snprintf(temporary, sizeof temporary, "%s.%s.tmp", path, suffix);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return err_set(e, ERR_internal, "path too long: %.200s", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, "create", temporary);
    if (fs_write_all(fd, data, size) != 0)
        fail(e, "write", temporary);
    else
        result = 0;
    if (close(fd) != 0 && result == 0)
        result = fail(e, "write", temporary);
    if (result == 0 && rename(temporary, path) != 0)
        result = fail(e, "rename to", path);
    if (result != 0)
        unlink(temporary);
    return result;
}

int fs_write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        ssize_t done = write(fd, p, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        size -= (size_t)done;
    }
    return 0;
}

ssize_t fs_read_all(int fd, void *data, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(fd, (char *)data + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

int fs_program_dir(char out[FS_PATH_MAX], struct err *e)
{
    ssize_t size = readlink("/proc/self/exe", out, FS_PATH_MAX - 1);
    if (size <= 0)
        return fail(e, "read", "/proc/self/exe");
    out[size] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        return err_set(e, ERR_internal, "/proc/self/exe names no folder");
    *(slash == out ? slash + 1 : slash) = '\0';
    return 0;
}
