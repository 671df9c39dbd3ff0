#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 64 * 1024 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *program_name;
static enum log_level lowest = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    lowest = level;
}

int log_level_by_name(const char *name)
{
    for (int i = 0; i <= LOG_ERROR; i++)
        if (strcmp(level_names[i], name) == 0)
            return i;
    return -1;
}

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
static void add_string(struct buf *b, const char *s)
{
    buf_add(b, "\"", 1);
    for (size_t left = strlen(s); left > 0;) {
        size_t step = text_utf8_step(s, left);
        unsigned char c = (unsigned char)*s;
        if (step == 0) {
            buf_add_str(b, "\xEF\xBF\xBD");
            step = 1;
        } else if (c < 0x20 || c == 0x7F) {
            buf_printf(b, "\\u%04x", c);
        } else if (c == '"' || c == '\\') {
            buf_printf(b, "\\%c", c);
        } else {
            buf_add(b, s, step);
        }
        s += step;
        left -= step;
    }
    buf_add(b, "\"", 1);
}

static void begin(struct buf *b, enum log_level level, const char *event)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), now);
    buf_init(b, LINE_MAX_BYTES);
    buf_printf(b, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":", now, level_names[level]);
    add_string(b, event);
    if (program_name) {
        buf_add_str(b, ",\"program\":");
        add_string(b, program_name);
    }
}

static void add_name(struct buf *b, const char *name)
{
    buf_add(b, ",", 1);
    add_string(b, name);
    buf_add(b, ":", 1);
}

static void add_text(struct buf *b, const char *name, const char *value)
{
    add_name(b, name);
    if (value)
        add_string(b, value);
    else
        buf_add_str(b, "null");
}

static void finish(struct buf *b, const char *event)
{
    buf_add_str(b, "}\n");
    if (b->failed) {
        buf_free(b);
        buf_printf(b, "{\"level\":\"error\",\"event\":\"log.too_long\",\"of\":\"%.60s\"}\n", event);
    }
    /* Nobody is left to tell when stderr is gone. */
    if (b->data && fs_write_all(STDERR_FILENO, b->data, b->size) != 0)
        lowest = LOG_ERROR;
    buf_free(b);
}

static void add_fields(struct buf *b, va_list fields)
{
    const char *name;
    while ((name = va_arg(fields, const char *)) != NULL) {
        const char *type = va_arg(fields, const char *);
        if (type[0] == 's') {
            add_text(b, name, va_arg(fields, const char *));
            continue;
        }
        add_name(b, name);
        if (type[0] == 'i') {
            buf_printf(b, "%lld", (long long)va_arg(fields, int64_t));
        } else if (type[0] == 'f') {
            double value = va_arg(fields, double);
            if (isfinite(value))
                buf_printf(b, "%.9g", value);
            else
                buf_add_str(b, "null");
        } else {
            buf_add_str(b, va_arg(fields, int) ? "true" : "false");
        }
    }
}

void log_event(enum log_level level, const char *event, ...)
{
    struct buf b;
    va_list fields;
    if (level < lowest)
        return;
    begin(&b, level, event);
    va_start(fields, event);
    add_fields(&b, fields);
    va_end(fields);
    finish(&b, event);
}

void log_event_to(struct buf *copy, enum log_level level, const char *event, ...)
{
    struct buf b;
    va_list fields;
    begin(&b, level, event);
    va_start(fields, event);
    add_fields(&b, fields);
    va_end(fields);
    if (copy && !b.failed && copy->size + b.size + 2 <= copy->max) { /* without room an append would empty it */
        buf_add(copy, b.data, b.size);
        buf_add(copy, "}\n", 2);
    }
    if (level >= lowest)
        finish(&b, event);
    buf_free(&b);
}

void log_err(enum log_level level, const char *event, const char *job, const struct err *e)
{
    struct buf b;
    if (level < lowest)
        return;
    begin(&b, level, event);
    if (job)
        add_text(&b, "job", job);
    add_text(&b, "code", err_info(e->code)->name);
    add_text(&b, "detail", e->detail);
    if (e->field[0])
        add_text(&b, "field", e->field);
    finish(&b, event);
}
