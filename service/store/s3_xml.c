#include "store/s3_int.h"

#include <stdio.h>
#include <string.h>

bool s3__xml_next(struct s3_span *in, const char *name, struct s3_span *out)
{
    char opening[64], closing[64];
    size_t opening_size = (size_t)snprintf(opening, sizeof opening, "<%s>", name);
    size_t closing_size = (size_t)snprintf(closing, sizeof closing, "</%s>", name);
    const char *end = in->text + in->size;
    const char *from = memmem(in->text, in->size, opening, opening_size);
    if (!from)
        return false;
    from += opening_size;
    const char *to = memmem(from, (size_t)(end - from), closing, closing_size);
    if (!to)
        return false;
    *out = (struct s3_span){from, (size_t)(to - from)};
    to += closing_size;
    *in = (struct s3_span){to, (size_t)(end - to)};
    return true;
}

/* The character that an entity at text stands for, and its length; '&' itself when it is none of the known. */
static char entity(const char *text, size_t size, size_t *length)
{
    static const struct {
        const char *name;
        char value;
    } entities[] = {{"&amp;", '&'},   {"&lt;", '<'},  {"&gt;", '>'},  {"&quot;", '"'},
                    {"&apos;", '\''}, {"&#34;", '"'}, {"&#39;", '\''}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        *length = strlen(entities[i].name);
        if (*length <= size && memcmp(text, entities[i].name, *length) == 0)
            return entities[i].value;
    }
    *length = 1;
    return '&';
}

bool s3__xml_text(struct s3_span in, const char *name, char *out, size_t size)
{
    struct s3_span found;
    size_t used = 0;
    out[0] = '\0';
    if (!s3__xml_next(&in, name, &found))
        return false;
    for (size_t i = 0, step; i < found.size; i += step) {
        step = 1;
        char c = found.text[i] == '&' ? entity(found.text + i, found.size - i, &step) : found.text[i];
        if (used + 1 >= size) {
            out[0] = '\0';
            return false;
        }
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}
