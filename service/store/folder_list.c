/* The objects of a folder store in order of their keys, and how a path below its root is opened. */
#include "store/folder_int.h"

#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Component by component, for kernels (or filters) without openat2. */
static int walk(int root, const char *path, int flags)
{
    char part[FS_PATH_MAX];
    int at = dup(root), cause;
    while (at >= 0) {
        const char *slash = strchr(path, '/');
        if (!slash || slash[1] == '\0')
            break;
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        cause = errno;
        close(at);
        errno = cause;
        at = next;
        path = slash + 1;
    }
    if (at < 0)
        return -1;
    snprintf(part, sizeof part, "%.*s", (int)strcspn(path, "/"), path);
    int fd = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC);
    cause = errno;
    close(at);
    errno = cause;
    return fd;
}

int store__open_below(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN))
        return walk(root, path, flags);
    return fd;
}

void store__folder_info(const struct stat *st, struct store_info *out)
{
    *out = (struct store_info){.bytes = st->st_size,
                               .modified_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000};
}

static int fail(struct err *e, const char *what)
{
    return err_set(e, ERR_dependency_storage, "cannot list %.200s: %s", what, strerror(errno));
}

/* Names of one folder, folders with their final slash, so that sorting them gives the order of keys. */
struct names {
    char **list;
    size_t count, capacity;
};

static void names_free(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->list[i]);
    free(n->list);
}

static void names_add(struct names *n, const char *name, bool is_folder)
{
    if (n->count == n->capacity) {
        n->capacity = n->capacity ? 2 * n->capacity : 64;
        n->list = realloc(n->list, n->capacity * sizeof *n->list);
        if (!n->list)
            abort();
    }
    size_t size = strlen(name);
    char *own = malloc(size + 2);
    if (!own)
        abort();
    memcpy(own, name, size);
    own[size] = is_folder ? '/' : '\0';
    own[size + 1] = '\0';
    n->list[n->count++] = own;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes over fd. */
static int read_names(int fd, struct names *out, const char *what, struct err *e)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    if (!dir) {
        close(fd);
        return fail(e, what);
    }
    while ((errno = 0, entry = readdir(dir)) != NULL) {
        struct stat st;
        if (entry->d_name[0] == '.' && (!entry->d_name[1] || (entry->d_name[1] == '.' && !entry->d_name[2])))
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
            names_add(out, entry->d_name, S_ISDIR(st.st_mode));
    }
    int result = errno == 0 ? 0 : fail(e, what);
    closedir(dir);
    if (out->count > 1)
        qsort(out->list, out->count, sizeof *out->list, by_bytes);
    return result;
}

struct listing {
    int root;
    const char *prefix, *after;
    store_list_fn fn;
    void *user;
};

/* May keys that begin with `path` be wanted? */
static bool is_wanted(const struct listing *l, const char *path, bool is_folder)
{
    size_t size = strlen(path), prefix = strlen(l->prefix), common = size < prefix ? size : prefix;
    if (strncmp(path, l->prefix, common) != 0 || (!is_folder && size < prefix))
        return false;
    if (is_folder && strncmp(path, l->after, size) == 0)
        return true;
    return strcmp(path, l->after) > 0;
}

/* 0 = go on, 1 = fn has had enough, -1 = error. folder is "" or ends in a slash. */
static int list_folder(struct listing *l, const char *folder, struct err *e)
{
    struct names names = {0};
    char path[2 * STORE_KEY_MAX];
    int fd = store__open_below(l->root, folder[0] ? folder : ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(e, folder);
    int result = read_names(fd, &names, folder, e);
    for (size_t i = 0; i < names.count && result == 0; i++) {
        const char *name = names.list[i];
        bool is_folder = name[strlen(name) - 1] == '/';
        struct store_info info;
        struct stat st;
        int size = snprintf(path, sizeof path, "%s%s", folder, name);
        if (size >= STORE_KEY_MAX || strcmp(path, ".tmp/") == 0 || !is_wanted(l, path, is_folder))
            continue;
        if (is_folder) {
            result = list_folder(l, path, e);
        } else if (fstatat(l->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            store__folder_info(&st, &info);
            result = l->fn(l->user, path, &info) != 0;
        }
    }
    names_free(&names);
    return result;
}

int store__folder_list(int root, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e)
{
    struct listing l = {root, prefix, after, fn, user};
    char folder[STORE_KEY_MAX];
    const char *slash = strrchr(prefix, '/');
    /* Only what lies under the folder part of the prefix is looked at. */
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash + 1 - prefix) : 0, prefix);
    return list_folder(&l, folder, e) < 0 ? -1 : 0;
}
