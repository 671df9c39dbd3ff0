/* guard.h - may this header block be believed? Pure; run before anything else looks at a request.
 *
 * libmicrohttpd 0.9.75 takes Content-Length with Transfer-Encoding, several Content-Lengths, unknown transfer codings,
 * folded lines, bare line feeds and NULs (docs/http.md has the table). A proxy in front may read any of these
 * differently, which is how requests are smuggled, so all are refused with ambiguous_framing and the connection is
 * closed. */
#ifndef LONGANIM_API_GUARD_H
#define LONGANIM_API_GUARD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define GUARD_FIELDS_MAX 100

/* A header field as the library hands it out: both strings end in a NUL, `value_size` may count NULs inside. */
struct guard_field {
    const char *name, *value;
    size_t name_size, value_size;
};

struct guard_request {
    const char *method, *version;
    const char *authority; /* of an absolute-form target; "" = none */
    const struct guard_field *fields;
    int field_count; /* more than GUARD_FIELDS_MAX: header_too_large */
    /* Where the strings lie, when the library parses in place (0.9.75): where the target was received and how long it
     * was, and the bytes of the whole block. NULL = not known, then lines are not checked. */
    const char *raw_target;
    size_t raw_target_size, block_size;
};

/* ambiguous_framing, bad_header, bad_request, header_too_large. */
int guard_check(const struct guard_request *r, struct err *e);

#endif
