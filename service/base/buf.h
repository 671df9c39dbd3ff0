/* buf.h - bytes that grow up to a ceiling given at birth.
 *
 * An append that would pass the ceiling (or find no memory) frees the content, marks the buffer as failed and
 * returns -1; later appends fail too, so a chain of appends may be checked once at its end.
 * Content is always followed by a NUL that is not counted. One thread at a time. */
#ifndef LONGANIM_BASE_BUF_H
#define LONGANIM_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;      /* NULL while empty */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated, the final NUL included */
    size_t max;      /* ceiling for `size` */
    bool failed;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_free(struct buf *b);  /* empty and usable again afterwards */
void buf_reset(struct buf *b); /* size 0, memory kept */
int buf_add(struct buf *b, const void *data, size_t size);
int buf_add_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands the content (malloc'ed, NUL-terminated, never NULL unless failed) to the caller and empties the buffer. */
char *buf_take(struct buf *b, size_t *size);

#endif
