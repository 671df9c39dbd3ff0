#include "key_store.h"

#include "keys.h"

#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "keys/"

enum { RECORD_MAX_BYTES = 16384 };

static int read_record(struct store *store, const char *name, struct key *out, struct err *e)
{
    struct buf text;
    json_t *object = NULL;
    int rc = -1;

    buf_init(&text, RECORD_MAX_BYTES);
    if (store_get_bytes(store, name, &text, e) == 0 &&
        (object = json_parse(text.data ? text.data : "", text.size, ERR_internal, e)) != NULL)
        rc = key_parse(out, object, e);
    json_decref(object);
    buf_free(&text);
    return rc;
}

struct names {
    char (*list)[STORE_KEY_MAX];
    int count;
};

static int take_name(void *user, const char *name, const struct store_info *info)
{
    struct names *n = user;

    (void)info;
    if (n->count == KEYS_MAX)
        return 1;
    if (strlen(name) < STORE_KEY_MAX)
        snprintf(n->list[n->count++], STORE_KEY_MAX, "%s", name);
    return 0;
}

int key_store_load(struct store *store, struct key **out, int *out_count, struct err *e)
{
    struct names names = {calloc(KEYS_MAX, STORE_KEY_MAX), 0};
    struct key *keys = NULL;
    int count = 0, rc = -1;

    if (!names.list)
        abort();
    if (store_list(store, FOLDER, "", take_name, &names, e))
        goto out;
    keys = calloc((size_t)names.count + 1, sizeof *keys);
    if (!keys)
        abort();
    for (int i = 0; i < names.count; i++) {
        struct err why;
        if (read_record(store, names.list[i], &keys[count], &why) == 0) {
            count++;
        } else if (why.code == ERR_internal) {
            log_err(LOG_ERROR, "api.key_broken", NULL, &why);
        } else if (why.code != ERR_job_not_found) {
            err_set(e, why.code, "%s", why.detail);
            goto out;
        }
    }
    *out = keys;
    *out_count = count;
    keys = NULL;
    rc = 0;
out:
    free(keys);
    free(names.list);
    return rc;
}

static void name_of(const char *id, char out[STORE_KEY_MAX])
{
    snprintf(out, STORE_KEY_MAX, FOLDER "%.40s.json", id);
}

int key_store_get(struct store *store, const char *id, struct key *out, struct err *e)
{
    char name[STORE_KEY_MAX];
    struct err why;

    name_of(id, name);
    if (!key_id_valid(id))
        return err_set(e, ERR_key_not_found, "there is no key with this id");
    if (read_record(store, name, out, &why) == 0)
        return 0;
    if (why.code == ERR_job_not_found)
        return err_set(e, ERR_key_not_found, "there is no key with this id");
    return err_set(e, why.code, "%s", why.detail);
}

int key_store_put(struct store *store, const struct key *k, struct err *e)
{
    json_t *object = key_json(k);
    char name[STORE_KEY_MAX], *text = json_text(object, false);
    int rc;

    name_of(k->id, name);
    rc = store_put_bytes(store, name, text, strlen(text), e);
    free(text);
    json_decref(object);
    return rc;
}
