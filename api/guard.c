#include "guard.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Two of these and somebody may have read the other one. */
static const char *const SINGLE[] = {"Host",          "Content-Length", "Transfer-Encoding",
                                     "Authorization", "Content-Type",   "Idempotency-Key"};

static bool is_token(const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)s[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return size > 0;
}

/* The only field of that name (case-insensitive), or NULL. */
static const struct guard_field *find_field(const struct guard_request *r, const char *name)
{
    for (int i = 0; i < r->field_count; i++)
        if (strcasecmp(r->fields[i].name, name) == 0)
            return &r->fields[i];
    return NULL;
}

static int count(const struct guard_request *r, const char *name)
{
    int n = 0;

    for (int i = 0; i < r->field_count; i++)
        n += strcasecmp(r->fields[i].name, name) == 0;
    return n;
}

static int check_characters(const struct guard_request *r, struct err *e)
{
    for (int i = 0; i < r->field_count; i++) {
        const struct guard_field *f = &r->fields[i];
        if (!is_token(f->name, f->name_size))
            return err_set(e, ERR_ambiguous_framing, "a header name has a character that may not be there");
        for (size_t k = 0; k < f->value_size; k++) {
            unsigned char c = (unsigned char)f->value[k];
            if ((c < 0x20 && c != '\t') || c == 0x7f)
                return err_set_field(e, ERR_ambiguous_framing, f->name, "the value has a control character");
        }
    }
    return 0;
}

/* The library puts a NUL over the space, colon or line ending behind each string and leaves the strings where they
 * were received. So the strings must tile the block: a name starts two bytes (CR LF) behind the value before it. A
 * bare LF leaves one byte, a folded line or a NUL inside leaves a gap. */
static int check_lines(const struct guard_request *r, struct err *e)
{
    uintptr_t at = (uintptr_t)r->method + strlen(r->method) + 1;

    if (!r->raw_target)
        return 0;
    if (at != (uintptr_t)r->raw_target || at + r->raw_target_size + 1 != (uintptr_t)r->version)
        return err_set(e, ERR_ambiguous_framing, "the request line is malformed");
    at = (uintptr_t)r->version + strlen(r->version) + 2;
    for (int i = 0; i < r->field_count; i++) {
        const struct guard_field *f = &r->fields[i];
        if ((uintptr_t)f->name != at || (uintptr_t)f->value < at + strlen(f->name) + 1)
            return err_set(e, ERR_ambiguous_framing, "a header line is folded or not ended by CR LF");
        at = (uintptr_t)f->value + strlen(f->value) + 2;
    }
    if (at + 2 != (uintptr_t)r->method + r->block_size)
        return err_set(e, ERR_ambiguous_framing, "the header block is not ended by CR LF CR LF");
    return 0;
}

static int check_framing(const struct guard_request *r, struct err *e)
{
    const struct guard_field *coding = find_field(r, "Transfer-Encoding"), *length = find_field(r, "Content-Length");

    for (size_t i = 0; i < sizeof SINGLE / sizeof *SINGLE; i++)
        if (count(r, SINGLE[i]) > 1)
            return err_set_field(e, ERR_ambiguous_framing, SINGLE[i], "this header was sent more than once");
    if (coding && length)
        return err_set(e, ERR_ambiguous_framing, "Content-Length and Transfer-Encoding exclude each other");
    if (coding && strcasecmp(coding->value, "chunked") != 0)
        return err_set_field(e, ERR_ambiguous_framing, "Transfer-Encoding", "the only transfer coding is chunked");
    if (coding && strcmp(r->version, "HTTP/1.1") != 0)
        return err_set_field(e, ERR_ambiguous_framing, "Transfer-Encoding", "only HTTP/1.1 has transfer codings");
    if (length && (length->value_size == 0 || length->value_size > 18 ||
                   strspn(length->value, "0123456789") != length->value_size))
        return err_set_field(e, ERR_ambiguous_framing, "Content-Length", "the length is not a number");
    return 0;
}

static int check_host(const struct guard_request *r, struct err *e)
{
    const struct guard_field *host = find_field(r, "Host");

    if (!host && strcmp(r->version, "HTTP/1.1") == 0)
        return err_set_field(e, ERR_bad_request, "Host", "HTTP/1.1 requires a Host header");
    if (host && strpbrk(host->value, " \t/@?#\\,"))
        return err_set_field(e, ERR_bad_header, "Host", "the value is not a host");
    if (r->authority[0] && (!host || strcasecmp(host->value, r->authority) != 0))
        return err_set(e, ERR_bad_request, "the request target names another host than the Host header");
    return 0;
}

int guard_check(const struct guard_request *r, struct err *e)
{
    if (r->field_count > GUARD_FIELDS_MAX)
        return err_set(e, ERR_header_too_large, "there are more than %d header fields", GUARD_FIELDS_MAX);
    if (strcmp(r->version, "HTTP/1.1") != 0 && strcmp(r->version, "HTTP/1.0") != 0)
        return err_set(e, ERR_bad_request, "the protocol must be HTTP/1.1");
    if (!is_token(r->method, strlen(r->method)))
        return err_set(e, ERR_bad_request, "the method is malformed");
    if (check_characters(r, e) || check_lines(r, e) || check_framing(r, e))
        return -1;
    return check_host(r, e);
}
