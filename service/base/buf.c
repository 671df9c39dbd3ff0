#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_free(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->size = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

static int fail(struct buf *b)
{
    buf_free(b);
    b->failed = true;
    return -1;
}

/* Room for `more` bytes and the NUL; doubling, so that appends cost constant time on average. */
static int reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return -1;
    if (more > b->max || b->size > b->max - more)
        return fail(b);
    size_t needed = b->size + more + 1;
    if (needed <= b->capacity)
        return 0;
    size_t capacity = b->capacity < 64 ? 64 : b->capacity;
    while (capacity < needed)
        capacity = capacity > b->max / 2 ? (b->max + 1 > needed ? b->max + 1 : needed) : capacity * 2;
    char *data = realloc(b->data, capacity);
    if (!data)
        return fail(b);
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t size)
{
    if (reserve(b, size) != 0)
        return -1;
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
    return 0;
}

int buf_add_str(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    int result = size < 0 ? fail(b) : reserve(b, (size_t)size);
    if (result == 0) {
        vsnprintf(b->data + b->size, (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
    return result;
}

char *buf_take(struct buf *b, size_t *size)
{
    if (!b->failed && !b->data)
        buf_add(b, "", 0);
    char *data = b->data;
    if (size)
        *size = b->size;
    b->data = NULL;
    buf_init(b, b->max);
    return data;
}
