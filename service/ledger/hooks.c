/* Webhooks in the store: "hooks/<tenant>/<id>.json" is an endpoint, "told/<id>" in a job's folder says that this
 * endpoint need not hear of the job's end any more. After a loss of Redis the outbox is made up from both. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "hooks/"
#define TOLD "told/"

enum { BATCH = 256 };

/* Longer than all tries of a delivery take: what ended before that was told, or given up. */
#define TELL_MS (INT64_C(4) * 24 * 3600 * 1000)

static void name_of(const char *tenant, const char *hook_id, char out[STORE_KEY_MAX])
{
    snprintf(out, STORE_KEY_MAX, FOLDER "%.63s/%.40s.json", tenant, hook_id);
}

/* ---- endpoints ---- */

int ledger_hook_delete(const struct ledger *l, const char *tenant, const char *hook_id, struct err *e)
{
    char name[STORE_KEY_MAX];
    name_of(tenant, hook_id, name);
    return store_delete(l->store, name, e) == 0 ? queue_hook_delete(l->queue, tenant, hook_id, e) : -1;
}

/* The store first: what Redis alone knew would be lost with it. */
int ledger_hook_put(const struct ledger *l, const char *tenant, const char *hook_id, const char *text, struct err *e)
{
    struct err why = {0};
    char name[STORE_KEY_MAX];
    name_of(tenant, hook_id, name);
    if (store_put_bytes(l->store, name, text, strlen(text), e) != 0)
        return -1;
    if (queue_hook_put(l->queue, tenant, hook_id, text, e) == 0)
        return 0;
    if (ledger_hook_delete(l, tenant, hook_id, &why) != 0 && why.code != ERR_webhook_not_found)
        log_err(LOG_WARN, "ledger.webhook_not_removed", NULL, &why);
    return -1;
}

/* The store must not be asked for other things in the middle of a list. */
struct batch {
    char names[BATCH][STORE_KEY_MAX];
    int count;
};

static int take_name(void *user, const char *name, const struct store_info *info)
{
    struct batch *b = user;
    (void)info;
    text_copy(b->names[b->count++], STORE_KEY_MAX, name);
    return b->count == BATCH;
}

/* "hooks/<tenant>/<id>.json" */
static int split(const char *name, char tenant[64], char hook_id[64])
{
    int used = 0;
    return sscanf(name, FOLDER "%63[A-Za-z0-9_-]/%63[a-z0-9_].json%n", tenant, hook_id, &used) == 2 && used > 0 &&
                   name[used] == 0
               ? 0
               : -1;
}

/* One that is broken, or one too many, does not keep the others away. */
static int restore_one(const struct ledger *l, const char *name, struct err *e)
{
    char tenant[64], hook_id[64];
    struct err why = {0};
    struct buf text;
    if (split(name, tenant, hook_id) != 0)
        return 0;
    buf_init(&text, QUEUE_HOOK_TEXT_MAX);
    int result = store_get_bytes(l->store, name, &text, &why);
    if (result == 0 && text.data)
        result = queue_hook_put(l->queue, tenant, hook_id, text.data, &why);
    buf_free(&text);
    if (result == 0 || why.code == ERR_job_not_found) /* deleted meanwhile */
        return 0;
    if (why.code == ERR_internal || why.code == ERR_params_invalid) {
        log_err(LOG_WARN, "ledger.webhook_not_restored", NULL, &why);
        return 0;
    }
    return err_set(e, why.code, "%s", why.detail);
}

int ledger__restore_hooks(const struct ledger *l, struct err *e)
{
    struct batch *b = malloc(sizeof *b);
    char after[STORE_KEY_MAX] = "";
    int result = 0;
    if (!b)
        abort();
    do {
        b->count = 0;
        result = store_list(l->store, FOLDER, after, take_name, b, e);
        for (int i = 0; i < b->count && result == 0; i++)
            result = restore_one(l, b->names[i], e);
        if (b->count > 0)
            text_copy(after, sizeof after, b->names[b->count - 1]);
    } while (result == 0 && b->count == BATCH);
    free(b);
    return result;
}

/* ---- what they were told ---- */

static int told_key(const char *manifest_key, const char *hook_id, char out[MANIFEST_KEY_MAX], struct err *e)
{
    char name[64];
    snprintf(name, sizeof name, TOLD "%.40s", hook_id);
    return manifest_sibling(manifest_key, name, out) == 0
               ? 0
               : err_set(e, ERR_internal, "key too long: %.200s", manifest_key);
}

int ledger_hook_told(const struct ledger *l, const char *manifest_key, const char *hook_id, struct err *e)
{
    char key[MANIFEST_KEY_MAX], tombstone[MANIFEST_KEY_MAX];
    struct store_info info;
    struct err why = {0};
    if (told_key(manifest_key, hook_id, key, e) != 0 || store_put_bytes(l->store, key, "\n", 1, e) != 0)
        return -1;
    /* Of a job that was deleted meanwhile nothing but its tombstone stays. */
    if (manifest_sibling(manifest_key, LEDGER_TOMBSTONE, tombstone) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", manifest_key);
    if (store_stat(l->store, tombstone, &info, &why) == 0)
        return store_delete(l->store, key, e);
    return why.code == ERR_job_not_found ? 0 : err_set(e, why.code, "%s", why.detail);
}

int ledger_hook_untold(const struct ledger *l, const char *manifest_key, const char *hook_id, struct err *e)
{
    char key[MANIFEST_KEY_MAX];
    return told_key(manifest_key, hook_id, key, e) == 0 ? store_delete(l->store, key, e) : -1;
}

int ledger__untell_all(const struct ledger *l, const char *manifest_key, struct err *e)
{
    struct ledger_folder f = {0};
    int result = ledger__folder_read(l, manifest_key, &f, e);
    for (int i = 0; i < f.count && result == 0; i++)
        if (strncmp(f.keys[i].key + strlen(f.prefix), TOLD, strlen(TOLD)) == 0)
            result = store_delete(l->store, f.keys[i].key, e);
    ledger__folder_free(&f);
    return result;
}

struct due {
    const struct ledger_folder *folder;
    int64_t finished_ms;
    struct ledger_hooks *out;
};

static void add_due(void *user, const char *hook_id, const char *text)
{
    struct due *d = user;
    struct ledger_hooks *out = d->out;
    char name[64];
    int64_t created_ms = 0;
    json_t *hook = json_parse(text, strlen(text), ERR_internal, NULL);
    snprintf(name, sizeof name, TOLD "%.40s", hook_id);
    bool known = hook && json_need_int(hook, "created_ms", &created_ms, NULL) == 0;
    json_decref(hook);
    if (known && created_ms <= d->finished_ms && !ledger__folder_has(d->folder, name) && out->count < QUEUE_HOOKS_MAX &&
        text_copy(out->list[out->count], sizeof out->list[0], hook_id) == 0)
        out->count++;
}

int ledger__hooks_due(const struct ledger *l, const struct ledger_folder *f, const struct job *j,
                      struct ledger_hooks *out, struct err *e)
{
    struct due d = {f, j->finished_ms, out};
    out->count = 0;
    return clock_wall_ms() - j->finished_ms > TELL_MS ? 0 : queue_hooks(l->queue, f->tenant, add_due, &d, e);
}
