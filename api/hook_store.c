#include "hook_store.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "hooks/"

enum { BATCH = 256 };

static void name_of(const char *tenant, const char *hook_id, char out[STORE_KEY_MAX])
{
    snprintf(out, STORE_KEY_MAX, FOLDER "%.63s/%.40s.json", tenant, hook_id);
}

int hook_store_put(struct store *store, const char *tenant, const char *hook_id, const char *text, struct err *e)
{
    char name[STORE_KEY_MAX];

    name_of(tenant, hook_id, name);
    return store_put_bytes(store, name, text, strlen(text), e);
}

int hook_store_delete(struct store *store, const char *tenant, const char *hook_id, struct err *e)
{
    char name[STORE_KEY_MAX];

    name_of(tenant, hook_id, name);
    return store_delete(store, name, e);
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
    if (strlen(name) < STORE_KEY_MAX)
        memcpy(b->names[b->count++], name, strlen(name) + 1);
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

static int restore_one(struct store *store, struct queue *queue, const char *name, int *count, struct err *e)
{
    char tenant[64], hook_id[64];
    struct buf text;
    struct err why;
    int rc = 0;

    if (split(name, tenant, hook_id))
        return 0;
    buf_init(&text, QUEUE_HOOK_TEXT_MAX);
    if (store_get_bytes(store, name, &text, &why)) {
        if (why.code != ERR_job_not_found && why.code != ERR_internal) /* deleted meanwhile; none of ours */
            rc = err_set(e, why.code, "%s", why.detail);
    } else if (text.data) {
        rc = queue_hook_put(queue, tenant, hook_id, text.data, e);
        *count += rc == 0;
    }
    buf_free(&text);
    return rc;
}

int hook_store_restore(struct store *store, struct queue *queue, int *out_count, struct err *e)
{
    struct batch *b = malloc(sizeof(*b));
    char after[STORE_KEY_MAX] = "";
    int rc = 0, count = 0;

    if (b == NULL)
        abort();
    do {
        b->count = 0;
        rc = store_list(store, FOLDER, after, take_name, b, e);
        for (int i = 0; i < b->count && rc == 0; i++)
            rc = restore_one(store, queue, b->names[i], &count, e);
        if (b->count > 0)
            text_copy(after, sizeof(after), b->names[b->count - 1]);
    } while (rc == 0 && b->count == BATCH);
    free(b);
    if (rc == 0)
        *out_count = count;
    return rc;
}
