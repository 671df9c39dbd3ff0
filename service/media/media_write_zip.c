/* A zip of stored files (APPNOTE 6.3.9, 4.3), the same bytes for the same files: time stamps are 1980-01-01, nothing is
 * said about users or modes. By hand, because libarchive stores names by the locale of the process, and turns times by
 * its zone (docs/decisions/0074). Names that are UTF-8 are marked so; others are kept as the bytes that they are. */
#include "media/media_write.h"

#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum {
    LOCAL_MAGIC = 0x04034b50,
    CENTRAL_MAGIC = 0x02014b50,
    END_MAGIC = 0x06054b50,
    END64_MAGIC = 0x06064b50,
    LOCATOR64_MAGIC = 0x07064b50,
    UTF8_NAME = 1 << 11,
    DOS_DATE = 1 << 5 | 1, /* 1980-01-01 */
};

struct media_zip_writer {
    int fd;
    char *path;
    uint64_t at; /* bytes of the file so far */
    uint64_t entries;
    struct buf directory; /* the central directory, as it will be written */
};

/* Little-endian fields of a header under construction. */
struct fields {
    uint8_t bytes[64];
    size_t size;
};

static void add(struct fields *f, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        f->bytes[f->size++] = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
}

static int emit(struct media_zip_writer *w, const void *data, size_t size, struct err *e)
{
    if (fs_write_all(w->fd, data, size) != 0)
        return media__write_error(errno, w->path, e);
    w->at += size;
    return 0;
}

static void free_writer(struct media_zip_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    buf_free(&w->directory);
    free(w->path);
    free(w);
}

int media__zip_create(struct media_zip_writer **out, const char *path, struct err *e)
{
    struct media_zip_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return err_set(e, ERR_encode_failed, "no memory to write %s", path);
    }
    buf_init(&w->directory, (size_t)1 << 30);
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        media__write_error(errno, path, e);
        free_writer(w);
        return -1;
    }
    *out = w;
    return 0;
}

/* What the local and the central header share, from "version needed" to the length of the extra field. */
static void add_common(struct fields *f, unsigned flags, uint32_t sum, size_t size, size_t name_size, size_t extra)
{
    add(f, extra ? 45 : 20, 2);
    add(f, flags, 2);
    add(f, 0, 2); /* stored */
    add(f, 0, 2); /* time */
    add(f, DOS_DATE, 2);
    add(f, sum, 4);
    add(f, size, 4);
    add(f, size, 4);
    add(f, name_size, 2);
    add(f, extra, 2);
}

int media__zip_add(struct media_zip_writer *w, const char *name, const void *data, size_t size, struct err *e)
{
    size_t name_size = strlen(name);
    unsigned flags = 0;
    for (size_t i = 0; i < name_size; i++)
        if ((unsigned char)name[i] >= 0x80 && text_utf8_valid(name, name_size))
            flags = UTF8_NAME;
    uint32_t sum = (uint32_t)crc32(0, data, (uInt)size);
    uint64_t offset = w->at;
    bool far = offset >= UINT32_MAX;
    if (size >= UINT32_MAX || name_size > UINT16_MAX)
        return err_set(e, ERR_encode_failed, "%s is too large for an archive", name);
    struct fields local = {.size = 0}, central = {.size = 0}, extra = {.size = 0};
    add(&local, LOCAL_MAGIC, 4);
    add_common(&local, flags, sum, size, name_size, 0);
    add(&central, CENTRAL_MAGIC, 4);
    add(&central, far ? 45 : 20, 2); /* made by: MS-DOS, so no modes */
    add_common(&central, flags, sum, size, name_size, far ? 12 : 0);
    add(&central, 0, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    add(&central, far ? UINT32_MAX : offset, 4);
    if (far) { /* ZIP64 extra field with the one number that does not fit */
        add(&extra, 1, 2);
        add(&extra, 8, 2);
        add(&extra, offset, 8);
    }
    buf_add(&w->directory, central.bytes, central.size);
    buf_add(&w->directory, name, name_size);
    if (buf_add(&w->directory, extra.bytes, extra.size) != 0)
        return err_set(e, ERR_encode_failed, "no memory for the directory of the archive");
    w->entries++;
    if (emit(w, local.bytes, local.size, e) != 0 || emit(w, name, name_size, e) != 0)
        return -1;
    return emit(w, data, size, e);
}

static int write_end(struct media_zip_writer *w, struct err *e)
{
    uint64_t start = w->at, size = w->directory.size;
    bool big = w->entries >= UINT16_MAX || start >= UINT32_MAX || size >= UINT32_MAX;
    if (emit(w, w->directory.data, w->directory.size, e) != 0)
        return -1;
    struct fields end64 = {.size = 0}, locator = {.size = 0}, end = {.size = 0};
    uint64_t end64_at = w->at;
    add(&end64, END64_MAGIC, 4);
    add(&end64, 44, 8); /* what follows */
    add(&end64, 45, 2);
    add(&end64, 45, 2);
    add(&end64, 0, 4 + 4); /* disks */
    add(&end64, w->entries, 8);
    add(&end64, w->entries, 8);
    add(&end64, size, 8);
    add(&end64, start, 8);
    add(&locator, LOCATOR64_MAGIC, 4);
    add(&locator, 0, 4);
    add(&locator, end64_at, 8);
    add(&locator, 1, 4);
    if (big && (emit(w, end64.bytes, end64.size, e) != 0 || emit(w, locator.bytes, locator.size, e) != 0))
        return -1;
    add(&end, END_MAGIC, 4);
    add(&end, 0, 2 + 2);
    add(&end, big ? UINT16_MAX : w->entries, 2);
    add(&end, big ? UINT16_MAX : w->entries, 2);
    add(&end, big ? UINT32_MAX : size, 4);
    add(&end, big ? UINT32_MAX : start, 4);
    add(&end, 0, 2);
    return emit(w, end.bytes, end.size, e);
}

int media__zip_finish(struct media_zip_writer *w, struct err *e)
{
    int result = write_end(w, e);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0 && result == 0)
        result = media__write_error(errno, w->path, e);
    free_writer(w);
    return result;
}

void media__zip_abort(struct media_zip_writer *w)
{
    if (w)
        free_writer(w);
}
