/* Walks all jobs' folders. They are taken in batches of one listing, so that what is done with a folder does
 * not disturb the listing that it came from. */
#include "ledger/ledger_int.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_FOLDERS = 1024, BATCH_KEYS = 50000 };

struct batch {
    struct ledger_folder *folders;
    struct ledger_folder strays; /* id "": keys that belong to no job */
    int count, keys;
    char last[STORE_KEY_MAX]; /* where the next listing goes on */
    bool full;
};

/* A folder is complete when a key of another one follows; the batch ends there. */
static int take_key(void *user, const char *key, const struct store_info *info)
{
    struct batch *b = user;
    char id[ID_SIZE];
    const char *name;
    size_t prefix;
    if (manifest_split_key(key, id, &prefix, &name) != 0) {
        ledger__folder_add(&b->strays, key, info->modified_ms);
        text_clean(b->last, sizeof b->last, key);
        b->keys++;
        b->full = b->keys >= BATCH_KEYS;
        return b->full;
    }
    struct ledger_folder *f = b->count > 0 ? &b->folders[b->count - 1] : NULL;
    if (!f || strncmp(f->prefix, key, prefix) != 0 || strlen(f->prefix) != prefix) {
        if (b->count == BATCH_FOLDERS || b->keys >= BATCH_KEYS) {
            b->full = true;
            return 1;
        }
        f = &b->folders[b->count++];
        *f = (struct ledger_folder){0};
        memcpy(f->id, id, sizeof f->id);
        snprintf(f->prefix, sizeof f->prefix, "%.*s", (int)prefix, key);
        snprintf(f->tenant, sizeof f->tenant, "%.*s", (int)strcspn(key + 3, "/"), key + 3);
    }
    ledger__folder_add(f, key, info->modified_ms);
    text_clean(b->last, sizeof b->last, key);
    b->keys++;
    return 0;
}

int ledger__each_folder(const struct ledger *l, ledger_folder_fn fn, void *user, struct err *e)
{
    struct batch b = {.folders = calloc(BATCH_FOLDERS, sizeof *b.folders), .full = true};
    int result = 0;
    if (!b.folders)
        abort();
    while (result == 0 && b.full) {
        char after[STORE_KEY_MAX];
        memcpy(after, b.last, sizeof after);
        b.full = false;
        b.count = b.keys = 0;
        result = store_list(l->store, "v1/", after, take_key, &b, e);
        for (int i = 0; i < b.count; i++) {
            if (result == 0)
                result = fn(l, &b.folders[i], user, e);
            ledger__folder_free(&b.folders[i]);
        }
        if (result == 0 && b.strays.count > 0)
            result = fn(l, &b.strays, user, e);
        ledger__folder_free(&b.strays);
    }
    free(b.folders);
    return result;
}
