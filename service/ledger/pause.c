/* Pools that operators hold back: "pools/<name>.json" in the store, so that a lost Redis does not let go of them. */
#include "ledger/ledger_int.h"

#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FOLDER "pools/"

/* Bytes that names in the store may not have are written as "_xx". */
static void name_of(const char *pool, char out[STORE_KEY_MAX])
{
    size_t used = (size_t)snprintf(out, STORE_KEY_MAX, FOLDER);
    for (const char *c = pool; *c && used + 16 < STORE_KEY_MAX; c++) {
        bool plain = isalnum((unsigned char)*c) || *c == '-';
        used += (size_t)snprintf(out + used, STORE_KEY_MAX - used, plain ? "%c" : "_%02x", (unsigned char)*c);
    }
    snprintf(out + used, STORE_KEY_MAX - used, ".json");
}

int ledger_pause(const struct ledger *l, const char *pool, bool paused, struct err *e)
{
    char name[STORE_KEY_MAX];
    json_t *object;
    name_of(pool, name);
    /* When it stops in between, the pool is held back until it is tried again. */
    if (!paused)
        return store_delete(l->store, name, e) == 0 ? queue_pause(l->queue, pool, false, e) : -1;
    if (queue_pause(l->queue, pool, true, e) != 0)
        return -1;
    object = json_object();
    json_put_str(object, "format", "longanimation-pause");
    json_put_int(object, "format_version", 1);
    json_put_str(object, "pool", pool);
    return ledger__write(l, name, object, e);
}

/* The store must not be asked for other things in the middle of a list. */
struct names {
    char list[LEDGER_POOLS_MAX][STORE_KEY_MAX];
    int count;
};

static int take_name(void *user, const char *name, const struct store_info *info)
{
    struct names *n = user;
    (void)info;
    if (strlen(name) < STORE_KEY_MAX)
        memcpy(n->list[n->count++], name, strlen(name) + 1);
    return n->count == LEDGER_POOLS_MAX;
}

int ledger__restore_pauses(const struct ledger *l, struct err *e)
{
    struct names names = {.count = 0};
    int result = store_list(l->store, FOLDER, "", take_name, &names, e);
    for (int i = 0; i < names.count && result == 0; i++) {
        struct err why = {0};
        json_t *object = NULL;
        const char *pool = NULL;
        if (ledger__read(l, names.list[i], &object, &why) != 0) {
            if (why.code != ERR_job_not_found && why.code != ERR_internal) /* resumed meanwhile; none of ours */
                result = err_set(e, why.code, "%s", why.detail);
        } else if (json_need_str(object, "pool", &pool, NULL) == 0) {
            result = queue_pause_again(l->queue, pool, e);
        }
        json_decref(object);
    }
    return result;
}
