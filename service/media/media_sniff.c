/* What a file is, by its bytes, and whether its outer structure is all there. Pure parsing of lengths: this runs
 * before libav sees the file, and its answers ("the file ends early") are better than a demuxer's. */
#include "media/media_int.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *media__container_name(enum media_container c)
{
    static const char *const names[] = {"unknown", "mp4", "mov", "matroska", "webm",
                                        "avi",     "zip", "png", "jpeg",     "webp"};
    return names[c];
}

ssize_t media__read_at(int fd, int64_t offset, void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, (char *)data + done, size - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static uint64_t big_endian(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static uint32_t little_endian(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool has(const uint8_t *head, size_t size, size_t at, const char *magic, size_t length)
{
    return at + length <= size && memcmp(head + at, magic, length) == 0;
}

static bool is_box(const uint8_t *type)
{
    static const char known[][5] = {"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "moof", "sidx", "styp",
                                    "mfra", "uuid", "meta", "udta", "PICT", "emsg", "ssix", "prft", "pdin"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (memcmp(type, known[i], 4) == 0)
            return true;
    return false;
}

/* A file may begin with any of a few boxes; the brand tells QuickTime's own from the rest. */
static enum media_container sniff_boxes(const uint8_t *head, size_t size)
{
    static const char first[][5] = {"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot"};
    if (size < 12)
        return MEDIA_IN_UNKNOWN;
    if (has(head, size, 4, "ftyp", 4))
        return has(head, size, 8, "qt  ", 4) ? MEDIA_IN_MOV : MEDIA_IN_MP4;
    for (size_t i = 1; i < sizeof first / sizeof *first; i++)
        if (has(head, size, 4, first[i], 4))
            return MEDIA_IN_MOV;
    return MEDIA_IN_UNKNOWN;
}

/* The document type stands in the EBML header, which is a few dozen bytes. */
static enum media_container sniff_ebml(const uint8_t *head, size_t size)
{
    static const uint8_t doc_type[] = {0x42, 0x82};
    const uint8_t *found = memmem(head, size < 64 ? size : 64, doc_type, sizeof doc_type);
    if (found && has(head, size, (size_t)(found - head) + 3, "webm", 4))
        return MEDIA_IN_WEBM;
    return found && has(head, size, (size_t)(found - head) + 3, "matroska", 8) ? MEDIA_IN_MATROSKA : MEDIA_IN_UNKNOWN;
}

enum media_container media__sniff(const uint8_t *head, size_t size)
{
    if (has(head, size, 0, "\x89PNG\r\n\x1a\n", 8))
        return MEDIA_IN_PNG;
    if (has(head, size, 0, "\xff\xd8\xff", 3))
        return MEDIA_IN_JPEG;
    if (has(head, size, 0, "RIFF", 4))
        return has(head, size, 8, "AVI ", 4)   ? MEDIA_IN_AVI
               : has(head, size, 8, "WEBP", 4) ? MEDIA_IN_WEBP
                                               : MEDIA_IN_UNKNOWN;
    if (has(head, size, 0, "\x1a\x45\xdf\xa3", 4))
        return sniff_ebml(head, size);
    if (has(head, size, 0, "PK\x03\x04", 4) || has(head, size, 0, "PK\x05\x06", 4))
        return MEDIA_IN_ZIP;
    return sniff_boxes(head, size);
}

static int ends_early(struct err *e, const char *what, int64_t missing)
{
    return err_set(e, ERR_media_truncated, "the file ends early: %lld bytes of its %s are missing", (long long)missing,
                   what);
}

/* ISO/IEC 14496-12 boxes: 32-bit size and type; size 1: a 64-bit size follows; size 0: to the end of the file. */
static int check_boxes(int fd, int64_t size, struct err *e)
{
    bool has_index = false;
    int64_t at = 0;
    for (int i = 0; i < 100000 && at + 8 <= size; i++) {
        uint8_t head[16];
        ssize_t got = media__read_at(fd, at, head, sizeof head);
        if (got < 8)
            break;
        uint64_t length = big_endian(head, 4);
        if (!is_box(head + 4) && has_index)
            return 0; /* trailing bytes of something else: players ignore them too */
        if (length == 1 && got == 16)
            length = big_endian(head + 8, 8);
        else if (length == 0)
            length = (uint64_t)(size - at);
        if (length < 8)
            return has_index ? 0 : err_set(e, ERR_media_unreadable, "the file has a box with an impossible length");
        has_index |= memcmp(head + 4, "moov", 4) == 0;
        if (length > (uint64_t)(size - at)) {
            char name[5] = {0};
            memcpy(name, head + 4, 4);
            return length > INT64_MAX / 2
                       ? err_set(e, ERR_media_unreadable, "the file has a box with an impossible length")
                       : ends_early(e, name, (int64_t)length - (size - at));
        }
        at += (int64_t)length;
    }
    return has_index ? 0 : err_set(e, ERR_media_truncated, "the file ends early: its index (moov) is missing");
}

/* RIFF: files over 1 GiB are several RIFF chunks in a row. A size of 0 or ~0 was never filled in: nothing to check. */
static int check_riff(int fd, int64_t size, struct err *e)
{
    int64_t at = 0;
    for (int i = 0; i < 4096 && at + 8 <= size; i++) {
        uint8_t head[8];
        if (media__read_at(fd, at, head, sizeof head) != sizeof head || memcmp(head, "RIFF", 4) != 0)
            return 0;
        uint32_t length = little_endian(head + 4);
        if (length == 0 || length == UINT32_MAX)
            return 0;
        /* One byte may be missing: some writers leave out the final padding. */
        if (at + 8 + length > size + 1)
            return ends_early(e, "data", at + 8 + length - size);
        at += 8 + (int64_t)length + (length & 1);
    }
    return 0;
}

/* An EBML number (RFC 8794): the leading zero bits of the first byte tell how many bytes follow. Returns its length or
 * 0; `unknown` is set for the reserved value "all ones". */
static int ebml_number(const uint8_t *p, size_t size, bool keep_marker, uint64_t *out, bool *unknown)
{
    int length = 1;
    while (length <= 8 && size > 0 && !(p[0] & (0x80 >> (length - 1))))
        length++;
    if (length > 8 || (size_t)length > size)
        return 0;
    uint64_t mask = (UINT64_C(1) << (7 * length)) - 1, value = big_endian(p, length);
    *unknown = (value & mask) == mask;
    *out = keep_marker ? value : value & mask;
    return length;
}

static int check_ebml(int fd, int64_t size, struct err *e)
{
    enum { SEGMENT = 0x18538067 };
    int64_t at = 0;
    for (int i = 0; i < 16 && at < size; i++) {
        uint8_t head[12];
        uint64_t id, length;
        bool unknown;
        ssize_t got = media__read_at(fd, at, head, sizeof head);
        int n = got > 0 ? ebml_number(head, (size_t)got, true, &id, &unknown) : 0;
        int m = n ? ebml_number(head + n, (size_t)(got - n), false, &length, &unknown) : 0;
        if (!m)
            return err_set(e, ERR_media_truncated, "the file ends early: it has no segment");
        if (id == SEGMENT && unknown)
            return 0; /* a live recording does not know its size */
        if (length > (uint64_t)(size - at - n - m))
            return length > INT64_MAX / 2
                       ? err_set(e, ERR_media_unreadable, "the file has an element of impossible length")
                       : ends_early(e, "segment", (int64_t)length - (size - at - n - m));
        if (id == SEGMENT)
            return 0;
        at += n + m + (int64_t)length;
    }
    return err_set(e, ERR_media_truncated, "the file ends early: it has no segment");
}

int media__check_whole(int fd, int64_t size, enum media_container c, struct err *e)
{
    switch (c) {
    case MEDIA_IN_MP4:
    case MEDIA_IN_MOV:
        return check_boxes(fd, size, e);
    case MEDIA_IN_MATROSKA:
    case MEDIA_IN_WEBM:
        return check_ebml(fd, size, e);
    case MEDIA_IN_AVI:
    case MEDIA_IN_WEBP:
        return check_riff(fd, size, e);
    default:
        return 0; /* zip, PNG and JPEG say it when they are read */
    }
}

/* JPEG: the first frame header (SOF0 to SOF15 without DHT, JPG and DAC) holds height and width. */
static bool jpeg_size(const uint8_t *data, size_t size, int32_t *out_w, int32_t *out_h)
{
    for (size_t at = 2; at + 9 <= size;) {
        unsigned marker = data[at + 1];
        if (data[at] != 0xff)
            return false;
        if (marker == 0xff || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) { /* padding, no length */
            at += marker == 0xff ? 1 : 2;
            continue;
        }
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            *out_h = (int32_t)big_endian(data + at + 5, 2);
            *out_w = (int32_t)big_endian(data + at + 7, 2);
            return true;
        }
        at += 2 + (size_t)big_endian(data + at + 2, 2);
    }
    return false;
}

int media__still_size(const uint8_t *data, size_t size, int32_t *out_w, int32_t *out_h, struct err *e)
{
    enum media_container c = media__sniff(data, size);
    if (c != MEDIA_IN_PNG && c != MEDIA_IN_JPEG)
        return err_set(e, ERR_media_codec_refused, "this is neither PNG nor JPEG");
    if (c == MEDIA_IN_JPEG)
        return jpeg_size(data, size, out_w, out_h)
                   ? 0
                   : err_set(e, ERR_media_unreadable, "the picture does not say its size");
    /* A PNG ends in an IEND chunk; when that is missing, so may be half of the picture. */
    static const uint8_t end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    if (size < 33 || !memmem(data + 33, size - 33, end, sizeof end))
        return err_set(e, ERR_media_truncated, "the picture ends early");
    *out_w = (int32_t)big_endian(data + 16, 4);
    *out_h = (int32_t)big_endian(data + 20, 4);
    return 0;
}
