/* tiny_media.h - the smallest files that C tests need, without a program to make them. */
#ifndef LONGANIM_TESTS_TINY_MEDIA_H
#define LONGANIM_TESTS_TINY_MEDIA_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

static inline size_t tiny_chunk(uint8_t *out, const char *type, const uint8_t *data, uint32_t size)
{
    uint8_t head[8] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,
                       (uint8_t)type[0],      (uint8_t)type[1],      (uint8_t)type[2],     (uint8_t)type[3]};
    for (int i = 0; i < 8; i++)
        out[i] = head[i];
    for (uint32_t i = 0; i < size; i++)
        out[8 + i] = data[i];
    uint32_t sum = (uint32_t)crc32(0, out + 4, size + 4);
    for (int i = 0; i < 4; i++)
        out[8 + size + (uint32_t)i] = (uint8_t)(sum >> (24 - 8 * i));
    return size + 12;
}

/* A grey PNG that says it has w x h pixels; rows is how many of them are there. Returns its size. */
static inline size_t tiny_png(uint8_t *out, uint32_t w, uint32_t h, uint32_t rows)
{
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10};
    uint8_t header[13] = {(uint8_t)(w >> 24), (uint8_t)(w >> 16), (uint8_t)(w >> 8), (uint8_t)w, (uint8_t)(h >> 24),
                          (uint8_t)(h >> 16), (uint8_t)(h >> 8),  (uint8_t)h,        8,          0};
    uLong raw_size = (uLong)(w + 1) * rows;
    uLong packed_size = compressBound(raw_size);
    uint8_t *raw = calloc(1, raw_size), *packed = malloc(packed_size);
    compress2(packed, &packed_size, raw, raw_size, 9);
    size_t at = 0;
    for (; at < 8; at++)
        out[at] = magic[at];
    at += tiny_chunk(out + at, "IHDR", header, sizeof header);
    at += tiny_chunk(out + at, "IDAT", packed, (uint32_t)packed_size);
    at += tiny_chunk(out + at, "IEND", NULL, 0);
    free(raw);
    free(packed);
    return at;
}

/* An open file in memory with these bytes. */
static inline int tiny_file(const void *data, size_t size)
{
    int fd = memfd_create("tiny", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    return fd;
}

#endif
