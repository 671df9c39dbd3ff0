/* A job's folder in the store: its keys, and which of them have a purpose. */
#include "ledger/ledger_int.h"

#include "base/fault.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ledger__folder_free(struct ledger_folder *f)
{
    free(f->keys);
    *f = (struct ledger_folder){0};
}

void ledger__folder_add(struct ledger_folder *f, const char *key, int64_t modified_ms)
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 16;
        f->keys = realloc(f->keys, (size_t)f->capacity * sizeof *f->keys);
        if (!f->keys)
            abort();
    }
    struct ledger_key *k = &f->keys[f->count++];
    text_clean(k->key, sizeof k->key, key);
    k->modified_ms = modified_ms;
}

bool ledger__folder_has(const struct ledger_folder *f, const char *name)
{
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->keys[i].key + strlen(f->prefix), name) == 0)
            return true;
    return false;
}

static int add_key(void *user, const char *key, const struct store_info *info)
{
    ledger__folder_add(user, key, info->modified_ms);
    return 0;
}

int ledger__folder_read(const struct ledger *l, const char *manifest_key, struct ledger_folder *out, struct err *e)
{
    struct ledger_folder f = {0};
    const char *name;
    size_t prefix_length;
    if (manifest_split_key(manifest_key, f.id, &prefix_length, &name) != 0)
        return err_set(e, ERR_internal, "not a manifest's key: %.200s", manifest_key);
    snprintf(f.prefix, sizeof f.prefix, "%.*s", (int)prefix_length, manifest_key);
    snprintf(f.tenant, sizeof f.tenant, "%.*s", (int)strcspn(manifest_key + 3, "/"), manifest_key + 3);
    if (store_list(l->store, f.prefix, "", add_key, &f, e) != 0) {
        ledger__folder_free(&f);
        return -1;
    }
    *out = f;
    return 0;
}

/* ---- what has a purpose ---- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_referred(const struct queue_segment *segments, int count, const char *key)
{
    for (int i = 0; i < count; i++)
        if (strcmp(segments[i].key, key) == 0 || strcmp(segments[i].state_key, key) == 0)
            return true;
    return false;
}

/* The epoch in "out/e7/…" or "seg/00003.e7.…"; -1 when there is none. */
static int64_t epoch_of(const char *name)
{
    const char *at = begins(name, "out/e") ? name + 5 : NULL;
    if (!at && (at = strstr(name, ".e")) != NULL)
        at += 2;
    return at && *at >= '0' && *at <= '9' ? strtoll(at, NULL, 10) : -1;
}

static bool is_in_result_folder(const struct job *j, const char *key)
{
    const char *slash = strrchr(j->result_key, '/');
    return slash && strncmp(key, j->result_key, (size_t)(slash + 1 - j->result_key)) == 0;
}

/* Objects of an attempt that is at work stay. */
bool ledger__is_waste(const struct ledger_folder *f, const struct job *j, const struct queue_segment *segments,
                      int count, const char *key)
{
    const char *name = key + strlen(f->prefix);
    bool out = begins(name, "out/"), part = begins(name, "seg/") || begins(name, "ckpt/");
    if (!out && !part)
        return false;
    if (!job_state_terminal(j->state))
        return epoch_of(name) < j->epoch && (out || !is_referred(segments, count, key));
    if (out)
        return j->state != JOB_SUCCEEDED || !is_in_result_folder(j, key);
    /* A failed job may be tried again and then goes on from its segments; others need no checkpoints. */
    if (begins(name, "ckpt/") && (j->state == JOB_CANCELED || j->state == JOB_EXPIRED))
        return true;
    return !is_referred(segments, count, key);
}

int ledger__tidy(const struct ledger *l, const struct ledger_folder *f, const struct job *j, int64_t before_ms,
                 int *removed, struct err *e)
{
    struct queue_segment *segments = NULL;
    int count = 0, result = 0;
    if (queue_segments(l->queue, j->id, NULL, &segments, &count, e) != 0)
        return -1;
    for (int i = 0; i < f->count && result == 0; i++) {
        if (f->keys[i].modified_ms > before_ms || !ledger__is_waste(f, j, segments, count, f->keys[i].key))
            continue;
        result = store_delete(l->store, f->keys[i].key, e);
        *removed += result == 0;
    }
    free(segments);
    return result;
}

int ledger__clear(const struct ledger *l, const struct ledger_folder *f, int *removed, struct err *e)
{
    char manifest[STORE_KEY_MAX];
    if (manifest_sibling(f->prefix, LEDGER_MANIFEST, manifest) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", f->prefix);
    if (ledger__folder_has(f, LEDGER_MANIFEST) && store_delete(l->store, manifest, e) != 0)
        return -1;
    fault("ledger.delete.half_cleared");
    for (int i = 0; i < f->count; i++) {
        if (strcmp(f->keys[i].key + strlen(f->prefix), LEDGER_TOMBSTONE) == 0)
            continue;
        if (store_delete(l->store, f->keys[i].key, e) != 0)
            return -1;
        ++*removed;
    }
    return 0;
}
