#include "key_routes.h"

#include "app.h"
#include "body.h"
#include "key_store.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERLAP_MAX_S = 30 * 86400, LOCK_MS = 10000 };

int key_routes_reload(struct app *app, struct err *e)
{
    struct key *list;
    int count;

    if (key_store_load(app->store, &list, &count, e))
        return -1;
    keys_take_made(app->keys, list, count);
    return 0;
}

/* ---- showing ---- */

static void add_key(void *user, const struct key *key, bool from_file, const struct key_limits *defaults)
{
    json_array_append_new(user, key_show(key, from_file ? "file" : "api", defaults));
}

void key_routes_list(struct req *r, struct worker *w)
{
    json_t *object = json_object(), *data = json_array();

    (void)w;
    keys_each(r->app->keys, add_key, data);
    json_put(object, "data", data);
    req_done_document(r, object);
}

static int not_found(struct err *e)
{
    return err_set(e, ERR_key_not_found, "there is no key with this id");
}

void key_routes_get(struct req *r, struct worker *w)
{
    struct key key;
    struct key_limits defaults;
    int found = keys_find(r->app->keys, r->params[0], &key, &defaults);
    struct err e;

    (void)w;
    if (!found) {
        not_found(&e);
        req_done_problem(r, &e);
        return;
    }
    req_done_answer(r, answer_json(200, key_show(&key, found == 2 ? "file" : "api", &defaults)));
}

/* ---- changing ---- */

/* What was changed here is known here at once and elsewhere within a second. */
static void spread(struct req *r, struct worker *w, const struct key *key, const char *what)
{
    struct err e;

    if (queue_bump(w->queue, KEY_ROUTES_COUNTER, &e) || key_routes_reload(r->app, &e))
        log_err(LOG_WARN, "api.keys", NULL, &e); /* they are read again every minute */
    log_event(LOG_INFO, "api.key", "what", "s", what, "key", "s", key->id, "by", "s", r->who.tenant, NULL);
}

static void answer_key(struct req *r, int status, const struct key *key, const char *secret)
{
    struct key_limits defaults;
    struct key known;
    json_t *object;

    keys_find(r->app->keys, key->id, &known, &defaults);
    object = key_show(key, "api", &defaults);
    if (secret)
        json_put_str(object, "secret", secret);
    req_answer(r, answer_json(status, object));
    answer_header(r->answer, "Cache-Control", "no-store");
    if (status == 201)
        answer_header(r->answer, "Location", "/v1/keys/%s", key->id);
    req_done(r);
}

/* One change at a time, whichever api it comes to. */
struct change {
    struct req *r;
    struct worker *w;
    char name[64], token[33];
    bool locked;
};

static int change_begin(struct change *c, const char *id, struct err *e)
{
    bool got;

    if (watch_check(c->r->app->watch, e))
        return -1;
    snprintf(c->name, sizeof c->name, "key:%.40s", id);
    id_random_hex(c->token, 16);
    if (queue_lock(c->w->queue, c->name, c->token, LOCK_MS, &got, e))
        return -1;
    if (!got)
        return err_set(e, ERR_overloaded, "this key is being changed by another request");
    c->locked = true;
    return 0;
}

static void change_end(struct change *c)
{
    struct err e;

    if (c->locked && queue_unlock(c->w->queue, c->name, c->token, &e))
        log_err(LOG_WARN, "api.key_not_unlocked", NULL, &e);
}

/* A key that may be changed here, as the store has it. */
static int read_made(struct req *r, struct key *out, struct err *e)
{
    struct key_limits defaults;

    if (keys_find(r->app->keys, r->params[0], out, &defaults) == 2)
        return err_set(e, ERR_key_not_changeable, "this key is set in the file that LONGANIM_KEYS names");
    if (key_store_get(r->app->store, r->params[0], out, e))
        return -1;
    return out->revoked_ms ? err_set(e, ERR_key_not_changeable, "this key was revoked") : 0;
}

static int read_new(struct req *r, struct key *out, struct err *e)
{
    static const char *const known[] = {"id", "scopes", "expires_at", "limits", NULL};
    struct key key = {.limits = KEY_LIMITS_DEFAULT, .scopes = SCOPE_SUBMIT | SCOPE_READ};
    const char *id = NULL;
    char random[17];
    json_t *body;
    int rc = -1;

    if (body_object(r, true, known, &body, e))
        return -1;
    id_random_hex(random, 4);
    if (json_opt_str(body, "id", &id, e))
        goto out;
    if (id && !key_id_valid(id)) {
        err_set_field(e, ERR_params_invalid, "id", "an id has 1 to %d letters, digits, '-' and '_'", KEY_ID_MAX);
        goto out;
    }
    text_copy(key.id, sizeof key.id, id ? id : random);
    key.created_ms = clock_wall_ms();
    if (key_apply(&key, body, e))
        goto out;
    *out = key;
    rc = 0;
out:
    json_decref(body);
    return rc;
}

static int check_free(struct req *r, const char *id, struct err *e)
{
    struct key_limits defaults;
    struct key key;
    struct err why;

    if (keys_find(r->app->keys, id, &key, &defaults) || key_store_get(r->app->store, id, &key, &why) == 0)
        return err_set_field(e, ERR_key_exists, "id", "an id stands for one key for ever, also when it is revoked");
    return why.code == ERR_key_not_found ? 0 : err_set(e, why.code, "%s", why.detail);
}

void key_routes_create(struct req *r, struct worker *w)
{
    struct change c = {.r = r, .w = w};
    char secret[KEY_SECRET_SIZE];
    struct key key;
    struct err e;

    if (read_new(r, &key, &e) || change_begin(&c, key.id, &e) || check_free(r, key.id, &e))
        goto problem;
    key_draw_secret(&key, 0, secret);
    if (key_store_put(r->app->store, &key, &e))
        goto problem;
    spread(r, w, &key, "created");
    change_end(&c);
    answer_key(r, 201, &key, secret);
    return;
problem:
    change_end(&c);
    req_done_problem(r, &e);
}

void key_routes_change(struct req *r, struct worker *w)
{
    static const char *const known[] = {"scopes", "expires_at", "limits", NULL};
    struct change c = {.r = r, .w = w};
    json_t *body = NULL;
    struct key key;
    struct err e;
    int rc;

    rc = body_object(r, false, known, &body, &e) || change_begin(&c, r->params[0], &e) || read_made(r, &key, &e) ||
         key_apply(&key, body, &e) || key_store_put(r->app->store, &key, &e);
    json_decref(body);
    if (rc == 0)
        spread(r, w, &key, "changed");
    change_end(&c);
    if (rc)
        req_done_problem(r, &e);
    else
        answer_key(r, 200, &key, NULL);
}

void key_routes_rotate(struct req *r, struct worker *w)
{
    static const char *const known[] = {"overlap_seconds", NULL};
    struct change c = {.r = r, .w = w};
    char secret[KEY_SECRET_SIZE];
    json_t *body = NULL;
    int64_t overlap_s = 0;
    struct key key;
    struct err e;
    int rc = body_object(r, true, known, &body, &e) || json_opt_int(body, "overlap_seconds", &overlap_s, &e);

    json_decref(body);
    if (rc == 0 && (overlap_s < 0 || overlap_s > OVERLAP_MAX_S))
        rc = err_set_field(&e, ERR_params_invalid, "overlap_seconds", "0 to %d", OVERLAP_MAX_S);
    rc = rc || change_begin(&c, r->params[0], &e) || read_made(r, &key, &e);
    if (rc == 0) {
        key_draw_secret(&key, clock_wall_ms() + overlap_s * 1000, secret);
        rc = key_store_put(r->app->store, &key, &e);
    }
    if (rc == 0)
        spread(r, w, &key, "rotated");
    change_end(&c);
    if (rc)
        req_done_problem(r, &e);
    else
        answer_key(r, 200, &key, secret);
}

void key_routes_revoke(struct req *r, struct worker *w)
{
    struct change c = {.r = r, .w = w};
    struct key key;
    struct err e;
    int rc = change_begin(&c, r->params[0], &e) || read_made(r, &key, &e);

    if (rc == 0) {
        key.revoked_ms = clock_wall_ms();
        key.secret_count = 0;
        rc = key_store_put(r->app->store, &key, &e);
    }
    if (rc == 0)
        spread(r, w, &key, "revoked");
    change_end(&c);
    if (rc)
        req_done_problem(r, &e);
    else
        answer_key(r, 200, &key, NULL);
}
