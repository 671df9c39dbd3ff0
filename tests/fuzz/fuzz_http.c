/* What comes in the header block: the first line is a request target, the others are values that go through every
 * field parser. What is accepted must be sane: a path without control bytes, a range inside the file. */
#include "api/fields.h"
#include "api/guard.h"
#include "api/route.h"
#include "api/target.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_target(const char *raw, size_t size)
{
    char *copy = malloc(size + 1), *text = malloc(TARGET_TEXT_SIZE(size)), allow[64];
    char params[2][REQ_PARAM_MAX + 1];
    const struct route *route;
    struct target t;
    struct err e = {0};

    if (!copy || !text)
        abort();
    memcpy(copy, raw, size);
    copy[size] = '\0';
    if (target_parse(&t, copy, size, text, &e) == 0) {
        if ((t.path[0] != '/' && strcmp(t.path, "*") != 0) || !text_utf8_valid(t.path, strlen(t.path)) ||
            strstr(t.path, "/../") || (int)t.arg_count > TARGET_ARGS_MAX)
            abort();
        for (const char *s = t.path; *s; s++)
            if ((unsigned char)*s < 0x20)
                abort();
        route_find(&route_api, "GET", t.path, &route, params, allow, &e);
        route_methods(&route_api, t.path, allow);
    } else if (e.code == ERR_none) {
        abort();
    }
    free(copy);
    free(text);
}

static void try_value(const char *value)
{
    char sha256[HASH_HEX_SIZE], type[32];
    int64_t first = -1, last = -1, seconds = -1;
    struct err e;

    if (fields_range(value, 1000, &first, &last) == RANGE_PART && (first < 0 || first > last || last >= 1000))
        abort();
    fields_none_match(value, "\"v1\"");
    fields_if_range(value, "\"v1\"");
    if (fields_prefer_wait(value, 60) > 60)
        abort();
    if (fields_digest(value, "Repr-Digest", sha256, &e) == 1 && strlen(sha256) != 64)
        abort();
    if (fields_seconds(value, "X", 100, &seconds, &e) == 0 && (seconds < 1 || seconds > 100))
        abort();
    fields_accepts_gzip(value);
    fields_media_type(value, type, sizeof type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;

    for (int line = 0; at < end; line++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((next ? next : end) - at);
        if (line == 0)
            try_target(at, length);
        char *value = malloc(length + 1);
        if (!value)
            abort();
        memcpy(value, at, length);
        value[length] = '\0';
        try_value(value);
        free(value);
        at += length + 1;
    }
    return 0;
}
