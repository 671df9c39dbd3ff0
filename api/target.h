/* target.h - the request target as it came over the wire, decoded once. Pure; no allocation.
 *
 * libmicrohttpd's own decoding is not used: it cuts at %00 and hides %2f. Refused here: control bytes, NUL, encoded
 * slashes and backslashes, "." and ".." segments, broken percent signs and text that is not UTF-8. */
#ifndef LONGANIM_API_TARGET_H
#define LONGANIM_API_TARGET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define TARGET_MAX 4096 /* bytes of the raw target, query included */
#define TARGET_ARGS_MAX 16

struct target_arg {
    const char *name, *value; /* decoded */
};

struct target {
    const char *path;      /* decoded, starts with '/'; "*" for OPTIONS * */
    const char *authority; /* of the absolute form; "" = origin form */
    struct target_arg args[TARGET_ARGS_MAX];
    int arg_count;
};

/* Room that target_parse needs for the decoded text of a raw target. */
#define TARGET_TEXT_SIZE(raw_size) ((raw_size) + 8)

/* raw: `size` bytes as sent; text: room for the decoded strings, which must live as long as *out. bad_request,
 * uri_too_long. A query name that comes twice is refused. */
int target_parse(struct target *out, const char *raw, size_t size, char *text, struct err *e);

/* The value of a query parameter, or NULL. */
const char *target_arg(const struct target *t, const char *name);

#endif
