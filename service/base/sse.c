#include "base/sse.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { SSE_MAX_BYTES = 1 << 20 };

void sse_init(struct sse *s)
{
    *s = (struct sse){.retry_ms = -1};
    buf_init(&s->line, SSE_MAX_BYTES);
    buf_init(&s->data, SSE_MAX_BYTES);
}

void sse_free(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->data);
}

static int dispatch(struct sse *s, int (*fn)(void *user, const struct sse_event *event), void *user)
{
    int result = 0;
    if (s->data.size > 0) {
        s->data.data[s->data.size - 1] = '\0'; /* the last line's \n */
        struct sse_event event = {s->id, s->type[0] ? s->type : "message", s->data.data};
        result = fn(user, &event);
    }
    buf_reset(&s->data);
    s->type[0] = '\0';
    return result;
}

static int field(struct sse *s, const char *name, size_t length, const char *value)
{
    if (length == 4 && memcmp(name, "data", 4) == 0)
        return buf_printf(&s->data, "%s\n", value);
    if (length == 5 && memcmp(name, "event", 5) == 0)
        text_clean(s->type, sizeof s->type, value);
    else if (length == 2 && memcmp(name, "id", 2) == 0)
        text_clean(s->id, sizeof s->id, value);
    else if (length == 5 && memcmp(name, "retry", 5) == 0 && strspn(value, "0123456789") == strlen(value) && value[0] &&
             strlen(value) < 9)
        s->retry_ms = (int)strtol(value, NULL, 10);
    return 0;
}

static int end_line(struct sse *s, int (*fn)(void *user, const struct sse_event *event), void *user)
{
    int result;
    if (s->line.size == 0) {
        result = dispatch(s, fn, user);
    } else {
        size_t length = strcspn(s->line.data, ":");
        const char *value = s->line.data + length + (s->line.data[length] == ':');
        result = length == 0 ? 0 : field(s, s->line.data, length, value + (*value == ' '));
    }
    buf_reset(&s->line);
    return result;
}

int sse_feed(struct sse *s, const char *data, size_t size, int (*fn)(void *user, const struct sse_event *event),
             void *user)
{
    for (size_t i = 0; i < size; i++) {
        bool after_cr = s->skip_lf;
        s->skip_lf = data[i] == '\r';
        if (data[i] == '\n' && after_cr)
            continue;
        int result = data[i] == '\n' || data[i] == '\r' ? end_line(s, fn, user) : buf_add(&s->line, &data[i], 1);
        if (result != 0)
            return result;
    }
    return 0;
}
