#include "multipart.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*  PREAMBLE ── delimiter ──▶ DELIMITED ── CR LF ──▶ HEADER ── empty line ──▶ DATA
 *                               │  ▲                                        │
 *                          "--" ▼  └───────────────── delimiter ────────────┘
 *                            EPILOGUE
 * The delimiter is CR LF "--" boundary. The body is read as if a CR LF stood before it, so a first boundary without
 * one is no special case. CR occurs in the delimiter only at its start, so after a mismatch the search starts anew at
 * the byte that did not match, and what matched so far was data. */
enum state { PREAMBLE, DELIMITED, HEADER, DATA, EPILOGUE };

struct multipart {
    struct multipart_sink sink;
    enum state state;
    char delimiter[MULTIPART_BOUNDARY_MAX + 5];
    size_t delimiter_size;
    size_t matched;  /* bytes of the delimiter seen at the end of what was fed */
    size_t borrowed; /* of these, what stands before the data: the line end of a part header */
    size_t preamble_size;
    char line_end[3]; /* DELIMITED: what came behind the boundary, at most "--" or CR */
    size_t line_end_size;
    bool padded; /* DELIMITED: white space was there, so "--" is too late */
    struct buf header;
    int parts;
};

static int malformed(struct err *e, const char *why)
{
    return err_set(e, ERR_multipart_malformed, "%s", why);
}

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

/* ---- parameters of a header value: ; name=token or ; name="quoted" ---- */

/* Reads one parameter at *at into name and value (each NUL-terminated). 1 = one, 0 = none left, -1 = malformed.
 * In a quoted string only \" and \\ are escapes: old browsers send plain backslashes in file names. */
static int next_param(const char **at, char *name, size_t name_size, char *value, size_t value_size)
{
    const char *s = skip_space(*at);
    size_t n = 0, length;

    while (*s == ';')
        s = skip_space(s + 1);
    if (*s == 0)
        return 0;
    length = strcspn(s, "=; \t\"");
    if (length == 0 || length >= name_size || s[length] != '=')
        return -1;
    memcpy(name, s, length);
    name[length] = 0;
    s += length + 1;
    if (*s == '"') {
        for (s++; *s && *s != '"'; s++) {
            if (*s == '\\' && (s[1] == '"' || s[1] == '\\'))
                s++;
            if (n + 1 >= value_size)
                return -1;
            value[n++] = *s;
        }
        if (*s++ != '"')
            return -1;
    } else {
        n = strcspn(s, "; \t\"");
        if (n >= value_size)
            return -1;
        memcpy(value, s, n);
        s += n;
    }
    value[n] = 0;
    s = skip_space(s);
    if (*s && *s != ';')
        return -1;
    *at = s;
    return 1;
}

int multipart_boundary(const char *content_type, char out[MULTIPART_BOUNDARY_MAX + 1], struct err *e)
{
    static const char type[] = "multipart/form-data";
    char name[64], value[256], found[MULTIPART_BOUNDARY_MAX + 1] = "";
    const char *at = skip_space(content_type);
    int got;

    if (strncasecmp(at, type, sizeof type - 1) != 0 || !strchr("; \t", at[sizeof type - 1]))
        return err_set_field(e, ERR_unsupported_media_type, "Content-Type", "multipart/form-data is expected");
    at += sizeof type - 1;
    while ((got = next_param(&at, name, sizeof name, value, sizeof value)) == 1) {
        size_t size = strlen(value);
        if (strcasecmp(name, "boundary") != 0)
            continue;
        if (found[0] || size == 0 || size > MULTIPART_BOUNDARY_MAX || value[size - 1] == ' ')
            return malformed(e, "the boundary must be given once and have 1 to 70 characters");
        for (size_t i = 0; i < size; i++)
            if ((unsigned char)value[i] < 0x20 || (unsigned char)value[i] > 0x7e)
                return malformed(e, "the boundary has a character that may not be there");
        memcpy(found, value, size + 1);
    }
    if (got < 0)
        return malformed(e, "the parameters of the Content-Type are malformed");
    if (!found[0])
        return malformed(e, "the Content-Type has no boundary");
    memcpy(out, found, sizeof found);
    return 0;
}

struct multipart *multipart_new(const char *boundary, const struct multipart_sink *sink)
{
    struct multipart *m = calloc(1, sizeof *m);
    size_t size = strlen(boundary);

    if (!m || size > MULTIPART_BOUNDARY_MAX)
        abort();
    m->sink = *sink;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary, size);
    m->delimiter_size = size + 4;
    m->matched = m->borrowed = 2;
    buf_init(&m->header, MULTIPART_HEADER_MAX);
    return m;
}

void multipart_free(struct multipart *m)
{
    if (!m)
        return;
    buf_free(&m->header);
    free(m);
}

/* ---- part headers ---- */

struct part_header {
    char name[256], filename[512], content_type[128], digest[256];
    bool has_name, has_filename, has_extended, has_type, has_digest, has_disposition, has_encoding;
};

static int hex_value(char c)
{
    const char *at = c ? strchr("0123456789abcdef", c | 0x20) : NULL;

    return at ? (int)(at - "0123456789abcdef") : -1;
}

/* RFC 8187: UTF-8'language'percent-encoded. Other charsets are not decoded: the name is only shown. */
static void decode_extended(char *out, size_t size, const char *value)
{
    const char *quote = strchr(value, '\''), *second = quote ? strchr(quote + 1, '\'') : NULL;
    size_t n = 0;

    for (const char *s = second ? second + 1 : value; *s && n + 1 < size; s++) {
        int high = *s == '%' && s[1] ? hex_value(s[1]) : -1, low = high >= 0 ? hex_value(s[2]) : -1;
        if (low >= 0 && (high || low)) {
            out[n++] = (char)(high << 4 | low);
            s += 2;
        } else {
            out[n++] = *s;
        }
    }
    out[n] = 0;
}

static int parse_disposition(struct part_header *h, const char *value, struct err *e)
{
    char name[64], text[1024];
    const char *at;
    int got;

    if (h->has_disposition)
        return malformed(e, "a part has two Content-Disposition headers");
    h->has_disposition = true;
    if (strncasecmp(value, "form-data", 9) != 0 || !strchr("; \t", value[9]))
        return malformed(e, "the Content-Disposition of a part is not form-data");
    at = value + 9;
    while ((got = next_param(&at, name, sizeof name, text, sizeof text)) == 1) {
        if (strcasecmp(name, "name") == 0) {
            if (h->has_name || strlen(text) >= sizeof h->name)
                return malformed(e, "the name of a part is given twice or too long");
            memcpy(h->name, text, strlen(text) + 1);
            h->has_name = true;
        } else if (strcasecmp(name, "filename") == 0 && !h->has_extended) {
            size_t size = strlen(text) < sizeof h->filename ? strlen(text) : sizeof h->filename - 1;
            memcpy(h->filename, text, size);
            h->filename[size] = 0;
            h->has_filename = true;
        } else if (strcasecmp(name, "filename*") == 0) {
            decode_extended(h->filename, sizeof h->filename, text);
            h->has_filename = h->has_extended = true;
        }
    }
    return got < 0 ? malformed(e, "the Content-Disposition of a part is malformed") : 0;
}

static int take_once(bool *has, char *out, size_t size, const char *value, struct err *e)
{
    if (*has || strlen(value) >= size)
        return malformed(e, "a part header is given twice or too long");
    *has = true;
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

/* One line without its CR LF, NUL-terminated in place. */
static int parse_header_line(struct part_header *h, char *line, struct err *e)
{
    char *colon = strchr(line, ':'), *value, *end;
    size_t name = colon ? (size_t)(colon - line) : 0;

    if (name == 0 || strcspn(line, " \t") < name)
        return malformed(e, "a part header is folded or has no name");
    value = colon + 1;
    value += strspn(value, " \t");
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        end[-1] = 0;
    if (name == 19 && strncasecmp(line, "Content-Disposition", name) == 0)
        return parse_disposition(h, value, e);
    if (name == 12 && strncasecmp(line, "Content-Type", name) == 0)
        return take_once(&h->has_type, h->content_type, sizeof h->content_type, value, e);
    if (name == 14 && strncasecmp(line, "Content-Digest", name) == 0)
        return take_once(&h->has_digest, h->digest, sizeof h->digest, value, e);
    if (name == 25 && strncasecmp(line, "Content-Transfer-Encoding", name) == 0 && strcasecmp(value, "binary") != 0 &&
        strcasecmp(value, "8bit") != 0 && strcasecmp(value, "7bit") != 0)
        return malformed(e, "a part is encoded; parts are sent as they are");
    return 0;
}

static int begin_part(struct multipart *m, struct err *e)
{
    struct part_header h = {0};
    struct multipart_part part;
    char *line = m->header.data, *end;

    if (++m->parts > MULTIPART_PARTS_MAX)
        return err_set(e, ERR_too_many_parts, "there are more than %d parts", MULTIPART_PARTS_MAX);
    if (memchr(line, 0, m->header.size))
        return malformed(e, "a part header has a NUL");
    for (; (end = strstr(line, "\r\n")) != NULL && end != line; line = end + 2) {
        *end = 0;
        if (strpbrk(line, "\r\n"))
            return malformed(e, "a part header has a bare line end");
        if (parse_header_line(&h, line, e))
            return -1;
    }
    if (!h.has_name || !h.name[0])
        return malformed(e, "a part has no name");
    part = (struct multipart_part){h.name, h.has_filename ? h.filename : NULL, h.content_type,
                                   h.has_digest ? h.digest : NULL};
    return m->sink.begin(m->sink.user, &part, e);
}

/* ---- the states ---- */

static int emit(struct multipart *m, const char *data, size_t size, struct err *e)
{
    if (m->state == DATA)
        return size > 0 ? m->sink.data(m->sink.user, data, size, e) : 0;
    m->preamble_size += size;
    if (m->preamble_size > MULTIPART_PREAMBLE_MAX)
        return malformed(e, "the boundary of the Content-Type does not occur at the start of the body");
    return 0;
}

/* Where the delimiter, or a start of it that the end of the piece cuts, begins; size when nowhere. */
static size_t find_delimiter(const struct multipart *m, const char *data, size_t size, size_t *out_matched)
{
    size_t at = 0;
    const char *cr;

    *out_matched = 0;
    while (at < size && (cr = memchr(data + at, '\r', size - at)) != NULL) {
        size_t k = 1, rest = size - (size_t)(cr - data);
        while (k < rest && k < m->delimiter_size && cr[k] == m->delimiter[k])
            k++;
        at = (size_t)(cr - data);
        if (k == m->delimiter_size || k == rest) {
            *out_matched = k;
            return at;
        }
        at += k;
    }
    return size;
}

/* Bytes up to the next delimiter go to the sink (or, in the preamble, nowhere). Returns how many were eaten, or -1. */
static ssize_t eat_data(struct multipart *m, const char *data, size_t size, struct err *e)
{
    size_t at = 0, clear;

    if (m->matched > 0) {
        while (at < size && m->matched < m->delimiter_size && data[at] == m->delimiter[m->matched])
            m->matched++, at++;
        if (m->matched == m->delimiter_size || at == size)
            return (ssize_t)at;
        if (emit(m, m->delimiter + m->borrowed, m->matched - m->borrowed, e))
            return -1;
        m->matched = m->borrowed = 0;
    }
    clear = find_delimiter(m, data + at, size - at, &m->matched);
    if (emit(m, data + at, clear, e))
        return -1;
    return (ssize_t)(at + clear + m->matched);
}

/* Behind a boundary: white space and CR LF, or "--". */
static int eat_line_end(struct multipart *m, char c, struct err *e)
{
    if (m->line_end_size == 0 && (c == ' ' || c == '\t')) {
        m->padded = true;
        return 0;
    }
    if (m->line_end_size < 2)
        m->line_end[m->line_end_size++] = c;
    if (m->line_end_size == 1 && (c == '\r' || (c == '-' && !m->padded)))
        return 0;
    if (memcmp(m->line_end, "\r\n", 2) == 0) {
        m->state = HEADER;
        buf_reset(&m->header);
    } else if (memcmp(m->line_end, "--", 2) == 0) {
        m->state = EPILOGUE;
    } else {
        return malformed(e, "a boundary is followed by something else than a line end");
    }
    return 0;
}

/* Collects a part header up to its empty line. Returns bytes eaten or -1. */
static ssize_t eat_header(struct multipart *m, const char *data, size_t size, struct err *e)
{
    for (size_t at = 0; at < size; at++) {
        const char *tail;
        if (buf_add(&m->header, data + at, 1))
            return err_set(e, ERR_multipart_malformed, "a part header is longer than %d bytes", MULTIPART_HEADER_MAX);
        if (data[at] != '\n')
            continue;
        tail = m->header.data + m->header.size;
        if (m->header.size < 2 || tail[-2] != '\r')
            return malformed(e, "a part header has a bare line feed");
        if (m->header.size == 2 || (m->header.size >= 4 && memcmp(tail - 4, "\r\n\r\n", 4) == 0)) {
            if (begin_part(m, e))
                return -1;
            m->state = DATA;
            m->matched = m->borrowed = 2; /* the empty line's CR LF may be the delimiter's: an empty part */
            return (ssize_t)at + 1;
        }
    }
    return (ssize_t)size;
}

static int end_of_data(struct multipart *m, struct err *e)
{
    if (m->state == DATA && m->sink.end(m->sink.user, e))
        return -1;
    m->state = DELIMITED;
    m->matched = m->borrowed = m->line_end_size = 0;
    m->padded = false;
    return 0;
}

int multipart_feed(struct multipart *m, const void *data, size_t size, struct err *e)
{
    const char *at = data, *end = at + size;

    while (at < end && m->state != EPILOGUE) {
        ssize_t eaten = 1;
        if (m->state == DELIMITED) {
            if (eat_line_end(m, *at, e))
                return -1;
        } else if (m->state == HEADER) {
            eaten = eat_header(m, at, (size_t)(end - at), e);
        } else {
            eaten = eat_data(m, at, (size_t)(end - at), e);
            if (eaten >= 0 && m->matched == m->delimiter_size && end_of_data(m, e))
                return -1;
        }
        if (eaten < 0)
            return -1;
        at += eaten;
    }
    return 0;
}

int multipart_end(struct multipart *m, struct err *e)
{
    if (m->state == EPILOGUE)
        return 0;
    if (m->state == PREAMBLE && m->preamble_size > 0)
        return malformed(e, "the boundary of the Content-Type does not occur in the body");
    return err_set(e, ERR_multipart_truncated, "the body ends before its closing boundary");
}
