/* Multipart bodies: the first line is the Content-Type, the rest the body. However the body is cut into pieces, the
 * parts must be the same; the sink must hear begin, data and end in order; a truncated body must not pass. */
#include "api/multipart.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct hash *hash;
    bool open;
    int parts;
};

static int on_begin(void *user, const struct multipart_part *p, struct err *e)
{
    struct heard *h = user;
    (void)e;
    if (h->open || !p->name || !p->name[0] || ++h->parts > MULTIPART_PARTS_MAX)
        abort();
    h->open = true;
    hash_add(h->hash, p->name, strlen(p->name) + 1);
    hash_add(h->hash, p->content_type, strlen(p->content_type) + 1);
    if (p->filename)
        hash_add(h->hash, p->filename, strlen(p->filename) + 1);
    return 0;
}

static int on_data(void *user, const void *data, size_t size, struct err *e)
{
    struct heard *h = user;
    (void)e;
    if (!h->open || size == 0)
        abort();
    hash_add(h->hash, data, size);
    return 0;
}

static int on_end(void *user, struct err *e)
{
    struct heard *h = user;
    (void)e;
    if (!h->open)
        abort();
    h->open = false;
    hash_add(h->hash, "|", 1);
    return 0;
}

/* Pieces are exact copies, so that the sanitizer sees a read past one. */
static enum err_code parse(const char *boundary, const uint8_t *body, size_t size, size_t piece,
                           char out[HASH_HEX_SIZE])
{
    struct heard h = {.hash = hash_new()};
    struct multipart_sink sink = {on_begin, on_data, on_end, &h};
    struct multipart *m = multipart_new(boundary, &sink);
    struct err e = {0};
    uint8_t raw[HASH_SIZE];
    int rc = 0;

    for (size_t at = 0; at < size && rc == 0; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(n);
        if (!copy)
            abort();
        memcpy(copy, body + at, n);
        rc = multipart_feed(m, copy, n, &e);
        free(copy);
    }
    if (rc == 0 && (rc = multipart_end(m, &e)) == 0 && h.open)
        abort();
    if (rc != 0 && e.code == ERR_none)
        abort();
    multipart_free(m);
    hash_final(h.hash, raw);
    hash_free(h.hash);
    hash_hex(raw, out);
    return e.code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = memchr(data, '\n', size);
    char type[512], boundary[MULTIPART_BOUNDARY_MAX + 1], first[HASH_HEX_SIZE], again[HASH_HEX_SIZE];
    size_t length = line_end ? (size_t)(line_end - data) : 0;
    struct err e;

    if (!line_end || length >= sizeof type)
        return 0;
    memcpy(type, data, length);
    type[length] = '\0';
    if (multipart_boundary(type, boundary, &e) != 0)
        return 0;
    data += length + 1;
    size -= length + 1;
    enum err_code code = parse(boundary, data, size, size + 1, first);
    for (size_t piece = 1; piece <= 7; piece += 3)
        if (parse(boundary, data, size, piece, again) != code || strcmp(first, again) != 0)
            abort();
    return 0;
}
