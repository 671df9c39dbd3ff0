#include "fields.h"

#include "base/id.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

int fields_number(const char *text, int64_t *out)
{
    int64_t n = 0;
    size_t length = strlen(text);

    if (length == 0 || length > 18 || strspn(text, "0123456789") != length)
        return -1;
    for (size_t i = 0; i < length; i++)
        n = n * 10 + (text[i] - '0');
    *out = n;
    return 0;
}

/* Digits at *at, at least one, at most 18; moves *at behind them. */
static int take_number(const char **at, int64_t *out)
{
    size_t length = strspn(*at, "0123456789");
    char text[20];

    if (length == 0 || length > 18)
        return -1;
    memcpy(text, *at, length);
    text[length] = 0;
    *at += length;
    return fields_number(text, out);
}

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

enum fields_range fields_range(const char *value, int64_t size, int64_t *out_first, int64_t *out_last)
{
    int64_t first = 0, last = size - 1;
    const char *at;

    if (!value || strncasecmp(value, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    at = skip_space(value + 6);
    if (*at == '-') {
        at++;
        if (take_number(&at, &first) || *skip_space(at))
            return RANGE_WHOLE;
        if (first == 0 || size == 0)
            return RANGE_UNSATISFIABLE;
        first = first > size ? 0 : size - first;
    } else {
        if (take_number(&at, &first) || *at++ != '-')
            return RANGE_WHOLE;
        if (isdigit((unsigned char)*at) && take_number(&at, &last))
            return RANGE_WHOLE;
        if (*skip_space(at) || last < first) {
            /* "5-4" is malformed; "900-" on a short file is not, it only asks for what is not there. */
            if (*skip_space(at) || first < size)
                return RANGE_WHOLE;
        }
        if (first >= size)
            return RANGE_UNSATISFIABLE;
        if (last > size - 1)
            last = size - 1;
    }
    *out_first = first;
    *out_last = last;
    return RANGE_PART;
}

/* Calls fn for each entity tag of a list; stops when it returns true. */
static bool each_tag(const char *value, bool (*fn)(void *user, bool weak, const char *tag, size_t size), void *user)
{
    const char *at = value;

    while (*(at = at + strspn(at, " \t,"))) {
        bool weak = at[0] == 'W' && at[1] == '/';
        const char *start = at + (weak ? 2 : 0), *end;
        if (*start != '"' || (end = strchr(start + 1, '"')) == NULL)
            return false;
        if (fn(user, weak, start, (size_t)(end - start) + 1))
            return true;
        at = end + 1;
    }
    return false;
}

static bool same_tag(void *user, bool weak, const char *tag, size_t size)
{
    const char *wanted = user;

    (void)weak;
    return strlen(wanted) == size && memcmp(wanted, tag, size) == 0;
}

bool fields_none_match(const char *value, const char *tag)
{
    char wanted[96];
    size_t size = strlen(tag);

    if (!value || size >= sizeof wanted)
        return false;
    if (strcmp(skip_space(value), "*") == 0)
        return true;
    memcpy(wanted, tag, size + 1);
    return each_tag(value, same_tag, wanted);
}

bool fields_if_range(const char *value, const char *tag)
{
    return !value || strcmp(skip_space(value), tag) == 0;
}

int64_t fields_prefer_wait(const char *value, int64_t max_s)
{
    for (const char *at = value; at && *at; at += strcspn(at, ","), at += *at == ',') {
        const char *item = skip_space(at);
        int64_t seconds;
        if (strncasecmp(item, "wait", 4) != 0)
            continue;
        item = skip_space(item + 4);
        if (*item != '=')
            continue;
        item = skip_space(item + 1);
        if (strspn(item, "0123456789") > 18)
            return max_s;
        if (take_number(&item, &seconds) == 0 && strchr(",; \t", *item))
            return seconds > max_s ? max_s : seconds;
    }
    return -1;
}

static int base64_value(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

/* Exactly 32 bytes in base 64 with padding: 43 characters and '='. */
static int decode_sha256(const char *text, size_t size, uint8_t out[HASH_SIZE])
{
    uint32_t bits = 0;
    int have = 0, n = 0;

    if (size != 44 || text[43] != '=')
        return -1;
    for (size_t i = 0; i < 43; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n < HASH_SIZE)
                out[n++] = (uint8_t)(bits >> have);
        }
    }
    return n == HASH_SIZE && (bits & 3) == 0 ? 0 : -1;
}

int fields_digest(const char *value, const char *field, char out[HASH_HEX_SIZE], struct err *e)
{
    const char *at = value;
    int found = 0;

    while (*(at = skip_space(at))) {
        size_t name = strcspn(at, "= \t,"), length;
        const char *start = at + name;
        uint8_t raw[HASH_SIZE];
        bool ours = name == 7 && strncasecmp(at, "sha-256", 7) == 0;
        if (name == 0 || start[0] != '=' || start[1] != ':')
            goto malformed;
        length = strcspn(start + 2, ":");
        if (start[2 + length] != ':' || (ours && decode_sha256(start + 2, length, raw)))
            goto malformed;
        if (ours) {
            hash_hex(raw, out);
            found = 1;
        }
        at = skip_space(start + 3 + length);
        if (*at == ',')
            at++;
        else if (*at)
            goto malformed;
    }
    return found;
malformed:
    return err_set_field(e, ERR_bad_header, field, "the value must look like sha-256=:<base64>:");
}

int fields_tus_checksum(const char *value, char out[HASH_HEX_SIZE], struct err *e)
{
    uint8_t raw[HASH_SIZE];

    if (strncmp(value, "sha256 ", 7) != 0 || decode_sha256(value + 7, strlen(value + 7), raw))
        return err_set_field(e, ERR_bad_header, "Upload-Checksum", "the value must look like sha256 <base64>");
    hash_hex(raw, out);
    return 0;
}

int fields_seconds(const char *value, const char *field, int64_t max_s, int64_t *out, struct err *e)
{
    int64_t seconds;

    if (fields_number(value, &seconds) || seconds < 1 || seconds > max_s)
        return err_set_field(e, ERR_bad_header, field, "the value must be a whole number of seconds, 1 to %lld",
                             (long long)max_s);
    *out = seconds;
    return 0;
}

void fields_media_type(const char *value, char *out, size_t size)
{
    const char *start = value ? skip_space(value) : "";
    size_t length = strcspn(start, "; \t");

    if (length >= size)
        length = 0;
    for (size_t i = 0; i < length; i++)
        out[i] = (char)tolower((unsigned char)start[i]);
    out[length] = 0;
}

/* ---- cursors ---- */

int fields_cursor(const char *cursor, const char *parameter, struct err *e)
{
    if (!cursor || id_is_job(cursor))
        return 0;
    return err_set_field(e, ERR_params_invalid, parameter, "the cursor is not one of ours");
}

/* ---- Accept-Encoding ---- */

bool fields_accepts_gzip(const char *value)
{
    bool any = false, named = false, allowed = false;

    for (const char *at = value ? value : ""; *at;) {
        size_t size = strcspn(at, ","), name = strcspn(at, ",; \t");
        const char *q = memchr(at, '=', size);
        bool zero = q && strspn(q + 1, "0.") == size - (size_t)(q + 1 - at);
        if ((name == 4 && strncasecmp(at, "gzip", 4) == 0) || (name == 6 && strncasecmp(at, "x-gzip", 6) == 0)) {
            named = true;
            allowed = !zero;
        } else if (name == 1 && *at == '*') {
            any = !zero;
        }
        at += size;
        at += strspn(at, ", \t");
    }
    return named ? allowed : any;
}
