/* Names as they stand in the directory of a zip. libarchive turns backslashes into slashes where it thinks that Windows
 * meant them; we refuse such archives, so the raw names are looked at first. Whether an archive is sound is not judged
 * here: what cannot be followed is left to libarchive. */
#include "media/media_zip.h"

#include <stdlib.h>
#include <string.h>

enum { END_BYTES = 22, END_SEARCH_BYTES = END_BYTES + 65535, ENTRY_BYTES = 46 };

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | p[bytes];
    return value;
}

/* Offset of the end record, or -1. It is the last one: a comment may follow it. */
static int64_t find_end(int fd, int64_t size, uint8_t end[END_BYTES])
{
    static uint8_t tail[END_SEARCH_BYTES];
    size_t wanted = size < END_SEARCH_BYTES ? (size_t)size : END_SEARCH_BYTES;
    if (wanted < END_BYTES || media__read_at(fd, size - (int64_t)wanted, tail, wanted) != (ssize_t)wanted)
        return -1;
    for (size_t at = wanted - END_BYTES + 1; at-- > 0;)
        if (memcmp(tail + at, "PK\5\6", 4) == 0) {
            memcpy(end, tail + at, END_BYTES);
            return size - (int64_t)wanted + (int64_t)at;
        }
    return -1;
}

/* Where the directory begins: it ends where the end records begin. */
static int64_t directory_start(int fd, int64_t end_at, const uint8_t end[END_BYTES])
{
    uint8_t locator[20], end64[56];
    uint64_t size = number(end + 12, 4);
    if (size != UINT32_MAX && number(end + 16, 4) != UINT32_MAX)
        return end_at - (int64_t)size;
    if (end_at < 20 || media__read_at(fd, end_at - 20, locator, sizeof locator) != (ssize_t)sizeof locator ||
        memcmp(locator, "PK\6\7", 4) != 0)
        return -1;
    uint64_t at = number(locator + 8, 8);
    if (at > (uint64_t)end_at || media__read_at(fd, (int64_t)at, end64, sizeof end64) != (ssize_t)sizeof end64 ||
        memcmp(end64, "PK\6\6", 4) != 0)
        return -1;
    size = number(end64 + 40, 8);
    return size > at ? -1 : (int64_t)(at - size);
}

int media__zip_check_names(int fd, int64_t size, struct err *e)
{
    uint8_t end[END_BYTES], entry[ENTRY_BYTES], name[UINT16_MAX];
    int64_t end_at = find_end(fd, size, end), at = end_at < 0 ? -1 : directory_start(fd, end_at, end);
    if (end_at < 0)
        return err_set(e, ERR_media_truncated, "the archive ends early: its directory is missing");
    while (at >= 0 && at + ENTRY_BYTES <= end_at) {
        size_t length;
        if (media__read_at(fd, at, entry, sizeof entry) != (ssize_t)sizeof entry || memcmp(entry, "PK\1\2", 4) != 0)
            return 0;
        length = (size_t)number(entry + 28, 2);
        if (media__read_at(fd, at + ENTRY_BYTES, name, length) != (ssize_t)length)
            return 0;
        if (memchr(name, '\\', length))
            return err_set(e, ERR_media_unreadable, "a name in the archive has a backslash");
        if (memchr(name, '\0', length))
            return err_set(e, ERR_media_unreadable, "a name in the archive has a NUL");
        at += ENTRY_BYTES + (int64_t)length + (int64_t)number(entry + 30, 2) + (int64_t)number(entry + 32, 2);
    }
    return 0;
}
