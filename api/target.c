#include "target.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes percent signs (and '+' in a query) into out, which has room for size + 1 bytes. */
static int decode(char *out, const char *in, size_t size, bool query, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        int c = (unsigned char)in[i];
        if (c == '%') {
            int high = size - i > 2 ? hex_value(in[i + 1]) : -1;
            int low = size - i > 2 ? hex_value(in[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(e, ERR_bad_request, "the request target has a broken percent sign");
            c = high << 4 | low;
            i += 2;
            if (!query && (c == '/' || c == '\\'))
                return err_set(e, ERR_bad_request, "the path has an encoded slash");
        } else if (c == '+' && query) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f)
            return err_set(e, ERR_bad_request, "the request target has a control character");
        out[n++] = (char)c;
    }
    out[n] = 0;
    if (!text_utf8_valid(out, n))
        return err_set(e, ERR_bad_request, "the request target is not UTF-8");
    return 0;
}

static int check_segments(const char *path, struct err *e)
{
    for (const char *s = path; s; s = strchr(s, '/')) {
        s += *s == '/';
        size_t length = strcspn(s, "/");
        if ((length == 1 && s[0] == '.') || (length == 2 && s[0] == '.' && s[1] == '.'))
            return err_set(e, ERR_bad_request, "the path has a dot segment");
    }
    return 0;
}

/* Decoding never makes text longer and every name and value ends where a separator was, so `text` needs no more room
 * than the query and one NUL. */
static int parse_query(struct target *out, const char *query, size_t size, char *text, struct err *e)
{
    const char *end = query + size;

    while (query < end) {
        const char *ampersand = memchr(query, '&', (size_t)(end - query));
        size_t length = (size_t)((ampersand ? ampersand : end) - query);
        const char *equals = memchr(query, '=', length);
        size_t name_length = equals ? (size_t)(equals - query) : length;
        if (length > 0) {
            struct target_arg arg = {text, ""};
            if (out->arg_count == TARGET_ARGS_MAX)
                return err_set(e, ERR_bad_request, "the query has more than %d parameters", TARGET_ARGS_MAX);
            if (decode(text, query, name_length, true, e))
                return -1;
            text += strlen(text) + 1;
            if (equals) {
                arg.value = text;
                if (decode(text, equals + 1, length - name_length - 1, true, e))
                    return -1;
                text += strlen(text) + 1;
            }
            if (target_arg(out, arg.name))
                return err_set_field(e, ERR_bad_request, arg.name, "the query names this parameter twice");
            out->args[out->arg_count++] = arg;
        }
        query += length + (ampersand != NULL);
    }
    return 0;
}

/* Takes "scheme://authority" off the front of an absolute-form target; returns the room used, or 0 on error. */
static size_t split_absolute(struct target *out, const char **raw, size_t *size, char *text, struct err *e)
{
    size_t scheme = *size > 7 && strncasecmp(*raw, "http://", 7) == 0    ? 7
                    : *size > 8 && strncasecmp(*raw, "https://", 8) == 0 ? 8
                                                                         : 0;
    size_t length = 0;

    while (scheme + length < *size && !strchr("/?", (*raw)[scheme + length]))
        length++;
    if (scheme == 0 || length == 0) {
        err_set(e, ERR_bad_request, "the request target is not a path");
        return 0;
    }
    memcpy(text, *raw + scheme, length);
    text[length] = 0;
    out->authority = text;
    *raw += scheme + length;
    *size -= scheme + length;
    return length + 1;
}

int target_parse(struct target *out, const char *raw, size_t size, char *text, struct err *e)
{
    const char *question;
    size_t path_size, used = 0;

    *out = (struct target){.path = "/", .authority = ""};
    if (size > TARGET_MAX)
        return err_set(e, ERR_uri_too_long, "the request target is longer than %d bytes", TARGET_MAX);
    if (memchr(raw, 0, size) || memchr(raw, '#', size) || memchr(raw, ' ', size))
        return err_set(e, ERR_bad_request, "the request target has a byte that may not be there");
    if (size == 1 && raw[0] == '*') {
        out->path = "*";
        return 0;
    }
    if ((size == 0 || raw[0] != '/') && (used = split_absolute(out, &raw, &size, text, e)) == 0)
        return -1;
    text += used;
    question = memchr(raw, '?', size);
    path_size = question ? (size_t)(question - raw) : size;
    if (path_size > 0) {
        if (decode(text, raw, path_size, false, e) || check_segments(text, e))
            return -1;
        out->path = text;
        text += strlen(text) + 1;
    }
    return question ? parse_query(out, question + 1, size - path_size - 1, text, e) : 0;
}

const char *target_arg(const struct target *t, const char *name)
{
    for (int i = 0; i < t->arg_count; i++)
        if (strcmp(t->args[i].name, name) == 0)
            return t->args[i].value;
    return NULL;
}
