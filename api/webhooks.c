#include "webhooks.h"

#include "app.h"
#include "body.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/http.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* ---- an endpoint as text ---- */

static char *webhook_text(const struct webhook *hook)
{
    json_t *object = json_object();
    char key[2 * WEBHOOK_KEY_SIZE + 1], *text;

    for (int i = 0; i < WEBHOOK_KEY_SIZE; i++)
        snprintf(key + 2 * i, 3, "%02x", hook->key[i]);
    json_put_str(object, "url", hook->url);
    json_put_str(object, "key", key);
    json_put_int(object, "created_ms", hook->created_ms);
    text = json_text(object, false);
    json_decref(object);
    return text;
}

static int read_key(const char *hex, uint8_t out[WEBHOOK_KEY_SIZE])
{
    if (strlen(hex) != 2 * WEBHOOK_KEY_SIZE || strspn(hex, "0123456789abcdef") != 2 * WEBHOOK_KEY_SIZE)
        return -1;
    for (int i = 0; i < WEBHOOK_KEY_SIZE; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return 0;
}

int webhook_parse(struct webhook *out, const char *text)
{
    json_t *object = json_parse(text, strlen(text), ERR_internal, NULL);
    const char *url = NULL, *key = NULL;
    struct webhook hook;
    int rc = -1;

    if (object && json_need_str(object, "url", &url, NULL) == 0 && json_need_str(object, "key", &key, NULL) == 0 &&
        json_need_int(object, "created_ms", &hook.created_ms, NULL) == 0 && read_key(key, hook.key) == 0 &&
        text_copy(hook.url, sizeof hook.url, url) == 0) {
        *out = hook;
        rc = 0;
    }
    json_decref(object);
    return rc;
}

void webhook_sign(const struct webhook *hook, const char *id, int64_t timestamp_s, const char *body,
                  char out[WEBHOOK_SIGNATURE_SIZE])
{
    struct buf signed_text;
    uint8_t mac[HASH_SIZE];

    buf_init(&signed_text, 1 << 20);
    buf_printf(&signed_text, "%s.%lld.", id, (long long)timestamp_s);
    if (buf_add_str(&signed_text, body))
        abort();
    hash_hmac(hook->key, WEBHOOK_KEY_SIZE, signed_text.data, signed_text.size, mac);
    buf_free(&signed_text);
    memcpy(out, "v1,", 3);
    hash_base64(mac, HASH_SIZE, out + 3);
}

/* ---- the URL ---- */

static bool looks_private(const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *list = NULL;
    size_t size = strlen(host);
    bool special = false;

    if (strcasecmp(host, "localhost") == 0 || (size > 10 && strcasecmp(host + size - 10, ".localhost") == 0))
        return true;
    if (getaddrinfo(host, NULL, &hints, &list))
        return false; /* a name */
    for (struct addrinfo *a = list; a; a = a->ai_next)
        special = special || http_special_address(a->ai_addr);
    freeaddrinfo(list);
    return special;
}

/* May this URL be called? http or https, no credentials in it, and, unless allow_private, no address that is private by
 * its look. Names are judged when they are resolved, at each delivery. */
static int check_url(const char *url, bool allow_private, struct err *e)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0, size;
    const char *authority = url + scheme, *end;
    char host[256];

    if (scheme == 0 || strlen(url) > WEBHOOK_URL_MAX || strpbrk(url, " \t\r\n\"<>\\^`{|}"))
        return err_set_field(e, ERR_params_invalid, "url", "an http or https URL of at most %d characters is needed",
                             WEBHOOK_URL_MAX);
    size = strcspn(authority, "/?#");
    if (size == 0 || memchr(authority, '@', size))
        return err_set_field(e, ERR_params_invalid, "url", "the URL must name a host and no user");
    end = authority + size;
    if (*authority == '[') {
        authority++;
        size = strcspn(authority, "]/");
    } else {
        size = strcspn(authority, ":/?#");
    }
    if (size == 0 || size >= sizeof host || authority + size > end)
        return err_set_field(e, ERR_params_invalid, "url", "the URL names no usable host");
    memcpy(host, authority, size);
    host[size] = 0;
    if (!allow_private && looks_private(host))
        return err_set_field(e, ERR_params_invalid, "url", "the address is not a public one");
    return 0;
}

/* ---- routes ---- */

static json_t *webhook_json(const char *id, const struct webhook *hook)
{
    json_t *object = json_object();

    json_put_str(object, "id", id);
    json_put_str(object, "object", "webhook");
    json_put_str(object, "url", hook->url);
    json_put_time(object, "created_at", hook->created_ms);
    return object;
}

/* The only member of a small JSON body; a new reference to the body in *out_body. */
static int read_member(struct req *r, const char *name, json_t **out_body, const char **out, struct err *e)
{
    const char *const known[] = {name, NULL};

    if (body_object(r, false, known, out_body, e))
        return -1;
    if (json_need_str(*out_body, name, out, e) == 0)
        return 0;
    json_decref(*out_body);
    *out_body = NULL;
    return -1;
}

void webhooks_create(struct req *r, struct worker *w)
{
    struct webhook hook = {.created_ms = clock_wall_ms()};
    char id[32], hex[2 * WEBHOOK_KEY_SIZE + 1], secret[6 + HASH_BASE64_SIZE(WEBHOOK_KEY_SIZE)] = "whsec_", *text = NULL;
    const char *url = NULL;
    json_t *body = NULL, *object;
    struct err e;

    if (watch_check(r->app->watch, &e) || read_member(r, "url", &body, &url, &e) ||
        check_url(url, r->app->config->webhook_allow_private, &e))
        goto problem;
    text_copy(hook.url, sizeof hook.url, url);
    memcpy(id, "wh_", 3);
    id_random_hex(id + 3, 12);
    id_random_hex(hex, WEBHOOK_KEY_SIZE);
    read_key(hex, hook.key);
    text = webhook_text(&hook);
    struct ledger ledger = app_ledger(r->app, w->queue);
    if (house_store_check(r->app->house, &e) || ledger_hook_put(&ledger, r->who.tenant, id, text, &e))
        goto problem;
    hash_base64(hook.key, WEBHOOK_KEY_SIZE, secret + 6);
    object = webhook_json(id, &hook);
    json_put_str(object, "secret", secret);
    req_answer(r, answer_json(201, object));
    answer_header(r->answer, "Location", "/v1/webhooks/%s", id);
    answer_header(r->answer, "Cache-Control", "no-store");
    req_done(r);
    goto out;
problem:
    req_done_problem(r, &e);
out:
    free(text);
    json_decref(body);
}

struct listing {
    json_t *data;
    const char *wanted; /* NULL = all */
};

static void add_hook(void *user, const char *hook_id, const char *text)
{
    struct listing *l = user;
    struct webhook hook;

    if ((!l->wanted || strcmp(hook_id, l->wanted) == 0) && webhook_parse(&hook, text) == 0)
        json_array_append_new(l->data, webhook_json(hook_id, &hook));
}

void webhooks_list(struct req *r, struct worker *w)
{
    struct listing l = {json_array(), NULL};
    json_t *object;
    struct err e;

    if (watch_check(r->app->watch, &e) || queue_hooks(w->queue, r->who.tenant, add_hook, &l, &e)) {
        json_decref(l.data);
        req_done_problem(r, &e);
        return;
    }
    object = json_object();
    json_put(object, "data", l.data);
    req_done_document(r, object);
}

/* webhook_not_found unless this tenant has it. */
static int find_hook(struct req *r, struct worker *w, json_t **out, struct err *e)
{
    struct listing l = {json_array(), r->params[0]};
    int rc = -1;

    if (watch_check(r->app->watch, e) == 0 && queue_hooks(w->queue, r->who.tenant, add_hook, &l, e) == 0)
        rc = json_array_size(l.data) == 1 ? 0 : err_set(e, ERR_webhook_not_found, "there is no webhook with this id");
    if (rc == 0 && out)
        *out = json_incref(json_array_get(l.data, 0));
    json_decref(l.data);
    return rc;
}

void webhooks_get(struct req *r, struct worker *w)
{
    json_t *hook = NULL;
    struct err e;

    if (find_hook(r, w, &hook, &e))
        req_done_problem(r, &e);
    else
        req_done_answer(r, answer_json(200, hook));
}

void webhooks_delete(struct req *r, struct worker *w)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    struct err e;

    if (find_hook(r, w, NULL, &e) || ledger_hook_delete(&ledger, r->who.tenant, r->params[0], &e))
        req_done_problem(r, &e);
    else
        req_done_answer(r, answer_new(204));
}

static void add_delivery(void *user, const char *text)
{
    json_t *entry = json_parse(text, strlen(text), ERR_internal, NULL);

    if (entry)
        json_array_append_new(user, entry);
}

void webhooks_deliveries(struct req *r, struct worker *w)
{
    json_t *data = json_array(), *object;
    struct err e;

    if (find_hook(r, w, NULL, &e) || queue_hook_log(w->queue, r->who.tenant, r->params[0], add_delivery, data, &e)) {
        json_decref(data);
        req_done_problem(r, &e);
        return;
    }
    object = json_object();
    json_put(object, "data", data);
    req_done_document(r, object);
}

void webhooks_redeliver(struct req *r, struct worker *w)
{
    struct ledger ledger = app_ledger(r->app, w->queue);
    const char *job_id = NULL;
    json_t *body = NULL;
    struct job job;
    struct err e;

    job_init(&job);
    if (read_member(r, "job_id", &body, &job_id, &e) || find_hook(r, w, NULL, &e))
        goto problem;
    if (id_is_job(job_id) && queue_get(w->queue, job_id, &job, &e) && e.code != ERR_job_not_found)
        goto problem;
    if (strcmp(job.tenant, r->who.tenant) != 0) {
        err_set(&e, ERR_job_not_found, "there is no job with this id");
        goto problem;
    }
    if (ledger_hook_untold(&ledger, job.manifest_key, r->params[0], &e) ||
        queue_hook_send(w->queue, r->who.tenant, r->params[0], job_id, &e))
        goto problem;
    req_done_answer(r, answer_text(202, "application/json", "{\"queued\":true}"));
    goto out;
problem:
    req_done_problem(r, &e);
out:
    job_free(&job);
    json_decref(body);
}
