/* keys.h - whose request is this? The API keys that are valid now: those of a file and those made through the API.
 *
 * The hash is that of the whole secret as it stands behind "Bearer ". Without a file everybody holds every scope (the
 * server then listens on loopback only). Any thread; reloading does not disturb requests under way. */
#ifndef LONGANIM_API_KEYS_H
#define LONGANIM_API_KEYS_H

#include "key.h"

#define KEYS_MAX 10000

struct identity {
    char tenant[KEY_ID_MAX + 1]; /* the key's id; "local" without keys */
    unsigned scopes;
    struct key_limits limits; /* in force; without keys all 0 but `queued` */
};

struct keys;

/* path "" or NULL: no keys. `defaults`: the limits of keys when neither they nor the file say any. params_invalid
 * naming the line that is wrong. */
int keys_open(struct keys **out, const char *path, const struct key_limits *defaults, struct err *e);
void keys_close(struct keys *k);

/* Reads the file again; on error the old keys stay. */
int keys_reload(struct keys *k, struct err *e);

/* Replaces the keys made through the API; takes the malloc'ed list. */
void keys_take_made(struct keys *k, struct key *list, int count);

bool keys_required(const struct keys *k);

/* Has keys_take_made been called? */
bool keys_complete(struct keys *k);

/* Rises with every reload and keys_take_made. */
int64_t keys_generation(struct keys *k);

/* The holder of an Authorization value (NULL = none sent). unauthenticated, key_expired; dependency_storage for a
 * secret that is not in the file before the first keys_take_made. */
int keys_check(struct keys *k, const char *authorization, struct identity *out, struct err *e);

/* Calls fn for every key, those of the file first, with the limits that fill up its own. The lock is held meanwhile. */
typedef void (*keys_fn)(void *user, const struct key *key, bool from_file, const struct key_limits *defaults);
void keys_each(struct keys *k, keys_fn fn, void *user);

/* The key of this id: 1 = made through the API, 2 = of the file, 0 = none. */
int keys_find(struct keys *k, const char *id, struct key *out, struct key_limits *out_defaults);

#endif
