#include "worker/scratch.h"

#include "base/id.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "longanim-worker-"

/* Opens and locks the lock file of a folder; -1 when somebody holds it (or there is none). */
static int take_lock(const char *folder, int flags)
{
    char path[FS_PATH_MAX];
    if (fs_join(path, folder, "lock", NULL) != 0)
        return -1;
    int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

int scratch_make(struct scratch *s, const char *parent, struct err *e)
{
    char name[64], random[17];
    struct scratch made = {.lock_fd = -1};
    id_random_hex(random, 8);
    snprintf(name, sizeof name, PREFIX "%s", random);
    if (strlen(parent) >= sizeof made.parent)
        return err_set(e, ERR_internal, "the scratch folder's path is too long");
    memcpy(made.parent, parent, strlen(parent) + 1);
    if (fs_join(made.path, parent, name, e) != 0 || fs_mkdirs(made.path, e) != 0)
        return -1;
    made.lock_fd = take_lock(made.path, O_CREAT);
    if (made.lock_fd < 0)
        return err_set(e, ERR_internal, "%s cannot be locked: %s", made.path, strerror(errno));
    *s = made;
    return 0;
}

void scratch_remove(struct scratch *s)
{
    struct err e = {0};
    if (s->lock_fd < 0)
        return;
    if (fs_remove_tree(s->path, &e) != 0)
        log_err(LOG_WARN, "scratch.left", NULL, &e);
    close(s->lock_fd);
    s->lock_fd = -1;
}

int scratch_sweep(const struct scratch *s)
{
    DIR *d = opendir(s->parent);
    int removed = 0;
    if (!d)
        return 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[FS_PATH_MAX];
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
            continue;
        if (fs_join(path, s->parent, entry->d_name, NULL) != 0 || strcmp(path, s->path) == 0)
            continue;
        int fd = take_lock(path, 0);
        if (fd < 0)
            continue; /* in use, or being made this moment */
        if (fs_remove_tree(path, NULL) == 0)
            removed++;
        close(fd);
    }
    closedir(d);
    if (removed > 0)
        log_event(LOG_INFO, "scratch.swept", "folders", "i", (int64_t)removed, NULL);
    return removed;
}
