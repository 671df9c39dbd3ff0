/* keys.h - whose request is this? API keys from a file that holds only their SHA-256.
 *
 * One key a line: `id sha256hex scope[,scope] [expiry RFC 3339]`; '#' starts a comment. Scopes: submit, read, admin.
 * The hash is that of the whole secret as it stands behind "Bearer ". Without a file everybody holds every scope (the
 * server then listens on loopback only). Any thread; reloading does not disturb requests under way. */
#ifndef LONGANIM_API_KEYS_H
#define LONGANIM_API_KEYS_H

#include "base/err.h"

#include <stdbool.h>

enum { SCOPE_SUBMIT = 1, SCOPE_READ = 2, SCOPE_ADMIN = 4, SCOPE_ALL = 7 };

#define KEYS_ID_MAX 40
#define KEYS_LINES_MAX 10000

struct identity {
    char tenant[KEYS_ID_MAX + 1]; /* the key's id; "local" without keys */
    unsigned scopes;
};

struct keys;

/* path "" or NULL: no keys. params_invalid naming the line that is wrong. */
int keys_open(struct keys **out, const char *path, struct err *e);
void keys_close(struct keys *k);

/* Reads the file again; on error the old keys stay. */
int keys_reload(struct keys *k, struct err *e);

bool keys_required(const struct keys *k);

/* The holder of an Authorization value (NULL = none sent). unauthenticated, key_expired. */
int keys_check(struct keys *k, const char *authorization, struct identity *out, struct err *e);

#endif
