#include "spool.h"

#include "app.h"

#include "base/fs.h"
#include "base/id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH_BYTES = 8 << 20 };

void spool_init(struct spool *s)
{
    *s = (struct spool){.fd = -1};
}

static int failed(struct err *e)
{
    bool full = errno == ENOSPC || errno == EDQUOT;

    return err_set(e, full ? ERR_storage_full : ERR_internal, "the upload cannot be kept: %s", strerror(errno));
}

int spool_open(struct spool *s, const struct app *app, struct spooled *file, struct err *e)
{
    char name[33];

    id_random_hex(name, 16);
    snprintf(file->path, sizeof file->path, "%s/%s", app->spool_dir, name);
    s->fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->fd < 0) {
        file->path[0] = 0;
        return failed(e);
    }
    s->file = file;
    s->hash = hash_new();
    return 0;
}

int spool_write(struct spool *s, const void *data, size_t size, struct err *e)
{
    if (fs_write_all(s->fd, data, size))
        return failed(e);
    hash_add(s->hash, data, size);
    s->file->bytes += (int64_t)size;
    /* The disk works while the rest is coming; else the sync at the end would wait for all of it. */
    if (s->file->bytes - s->flushed >= FLUSH_BYTES) {
        sync_file_range(s->fd, s->flushed, s->file->bytes - s->flushed, SYNC_FILE_RANGE_WRITE);
        s->flushed = s->file->bytes;
    }
    return 0;
}

void spool_close(struct spool *s)
{
    uint8_t sha256[HASH_SIZE];

    if (!s->file)
        return;
    close(s->fd);
    hash_final(s->hash, sha256);
    hash_hex(sha256, s->file->sha256);
    hash_free(s->hash);
    spool_init(s);
}

void spool_remove(struct spooled *file)
{
    if (file->path[0])
        unlink(file->path);
    file->path[0] = 0;
}
