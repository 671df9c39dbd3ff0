/* key_store.h - keys made through the API, an object each in the store: "keys/<id>.json", hashes only.
 * They are never removed, so that an id, once revoked, is nobody else's. Any thread. */
#ifndef LONGANIM_API_KEY_STORE_H
#define LONGANIM_API_KEY_STORE_H

#include "key.h"
#include "store/store.h"

/* All of them; *out is malloc'ed. Broken records are logged and left out. */
int key_store_load(struct store *store, struct key **out, int *out_count, struct err *e);

int key_store_get(struct store *store, const char *id, struct key *out, struct err *e); /* key_not_found */
int key_store_put(struct store *store, const struct key *k, struct err *e);

#endif
