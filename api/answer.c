#include "answer.h"

#include "base/json.h"
#include "source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answer *answer_new(int status)
{
    struct answer *a = calloc(1, sizeof *a);

    if (!a)
        abort();
    atomic_init(&a->refs, 1);
    a->status = status;
    a->fd = -1;
    return a;
}

struct answer *answer_take(int status, const char *type, char *text, size_t size)
{
    struct answer *a = answer_new(status);

    answer_header(a, "Content-Type", "%s", type);
    a->data = text;
    a->size = size;
    return a;
}

struct answer *answer_text(int status, const char *type, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        abort();
    return answer_take(status, type, copy, strlen(copy));
}

struct answer *answer_json(int status, json_t *value)
{
    char *text = json_text(value, false);

    json_decref(value);
    return answer_take(status, "application/json", text, strlen(text));
}

static void add(struct answer *a, const char *name, const char *format, va_list args)
{
    char *value;

    if (a->header_count == ANSWER_HEADERS_MAX || vasprintf(&value, format, args) < 0)
        abort();
    a->headers[a->header_count].name = name;
    a->headers[a->header_count++].value = value;
}

void answer_header(struct answer *a, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(a, name, format, args);
    va_end(args);
}

void answer_set(struct answer *a, const char *name, const char *format, ...)
{
    va_list args;

    for (int i = 0; i < a->header_count; i++) {
        if (strcmp(a->headers[i].name, name) == 0) {
            free(a->headers[i].value);
            a->headers[i] = a->headers[--a->header_count];
            break;
        }
    }
    va_start(args, format);
    add(a, name, format, args);
    va_end(args);
}

struct answer *answer_ref(struct answer *a)
{
    atomic_fetch_add(&a->refs, 1);
    return a;
}

void answer_unref(struct answer *a)
{
    if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    for (int i = 0; i < a->header_count; i++)
        free(a->headers[i].value);
    if (a->prepared)
        a->prepared_free(a->prepared);
    if (a->fd >= 0)
        close(a->fd);
    if (a->source)
        source_unref(a->source);
    free(a->data);
    free(a);
}

const char *answer_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Answer";
}
