/* hook_store.h - webhooks as the store keeps them, "hooks/<tenant>/<id>.json", so that they outlive Redis. Any thread.
 */
#ifndef LONGANIM_API_HOOK_STORE_H
#define LONGANIM_API_HOOK_STORE_H

#include "queue/queue.h"
#include "store/store.h"

int hook_store_put(struct store *store, const char *tenant, const char *hook_id, const char *text, struct err *e);
int hook_store_delete(struct store *store, const char *tenant, const char *hook_id, struct err *e);

/* Tells the queue of all of them again; it keeps what it knows. *out_count = how many there are. */
int hook_store_restore(struct store *store, struct queue *queue, int *out_count, struct err *e);

#endif
