#include "meta.h"

#include "app.h"
#include "fields.h"
#include "models.h"

#include "base/gzip.h"
#include "base/json.h"
#include "base/version.h"
#include "job/place.h"

#include <openapi_json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- /capabilities ---- */

static json_t *strings(const char *const *list)
{
    json_t *array = json_array();

    for (; *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

static json_t *limits_json(const struct config *c)
{
    json_t *object = json_object();

    json_put_int(object, "upload_bytes", c->max_upload_bytes);
    json_put_int(object, "pixels", c->max_pixels);
    json_put_int(object, "frames", c->max_frames);
    json_put_int(object, "seconds", c->max_seconds);
    json_put_int(object, "references", MANIFEST_REFERENCES_MAX);
    json_put_int(object, "wait_seconds", 60);
    return object;
}

static json_t *formats_json(void)
{
    static const char *const video[] = {"mp4", "mov", "mkv", "webm", "avi", "zip", NULL};
    static const char *const reference[] = {"png", "jpeg", "webp", NULL};
    static const char *const output[] = {"mp4", "mov", "webm", "png.zip", NULL};
    json_t *object = json_object();

    json_put(object, "video", strings(video));
    json_put(object, "reference", strings(reference));
    json_put(object, "output", strings(output));
    return object;
}

static void add_param(void *user, const char *name, const char *type, const char *fallback, const char *doc)
{
    json_t *object = json_object();

    json_put_str(object, "type", type);
    json_put_str(object, "default", fallback[0] ? fallback : NULL);
    json_put_str(object, "description", doc);
    json_put(user, name, object);
}

static json_t *models_json(const json_t *models)
{
    json_t *array = json_array(), *description;
    const char *name;

    json_object_foreach((json_t *)(intptr_t)models, name, description)
    {
        json_t *item = json_object();
        json_put_str(item, "name", name);
        json_put_bool(item, "default", json_array_size(array) == 0);
        json_put_bool(item, "available", json_is_object(description));
        json_put(item, "description", json_incref(description));
        json_array_append_new(array, item);
    }
    return array;
}

static json_t *this_key_json(const struct req *r, const struct queue_usage *usage)
{
    json_t *object = json_object(), *scopes = json_array(), *used = json_object();

    for (unsigned bit = SCOPE_SUBMIT; bit <= SCOPE_ADMIN; bit <<= 1)
        if (r->who.scopes & bit)
            json_array_append_new(scopes, json_string(key_scope_name(bit)));
    json_put_str(object, "id", r->who.tenant);
    json_put(object, "scopes", scopes);
    json_put(object, "limits", key_limits_json(&r->who.limits));
    json_put_int(used, "queued", usage->queued + usage->waiting);
    json_put_int(used, "running", usage->running);
    json_put_int(used, "stored_bytes", usage->stored_bytes);
    json_put(object, "used", used);
    json_put(object, "output_to", place_list(r->app->config->output_to, r->who.tenant));
    return object;
}

void meta_capabilities(struct req *r, struct worker *w)
{
    json_t *models = NULL, *object, *params;
    struct queue_usage usage;
    struct err e;

    if (watch_check(r->app->watch, &e) || queue_usage(w->queue, r->who.tenant, &usage, &e) ||
        models_all(r->app, w, &models, &e)) {
        req_done_problem(r, &e);
        return;
    }
    object = json_object();
    params = json_object();
    params_each(add_param, params);
    json_put_str(object, "version", LONGANIM_VERSION);
    json_put(object, "models", models_json(models));
    json_put(object, "limits", limits_json(r->app->config));
    json_put(object, "formats", formats_json());
    json_put(object, "params", params);
    json_put(object, "key", this_key_json(r, &usage));
    json_decref(models);
    req_done_document(r, object);
}

/* ---- documents ---- */

static char *squeezed; /* the document, made small once */
static size_t squeezed_size;

static void squeeze_openapi(void)
{
    if (gzip_bytes(openapi_json, strlen(openapi_json), &squeezed, &squeezed_size))
        squeezed = NULL;
}

bool meta_openapi(struct req *r)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char *copy;

    pthread_once(&once, squeeze_openapi);
    if (squeezed && fields_accepts_gzip(req_header(r, REQ_accept_encoding))) {
        if ((copy = malloc(squeezed_size)) == NULL)
            abort();
        memcpy(copy, squeezed, squeezed_size);
        req_answer(r, answer_take(200, "application/json", copy, squeezed_size));
        answer_header(r->answer, "Content-Encoding", "gzip");
    } else {
        req_answer(r, answer_text(200, "application/json", openapi_json));
    }
    answer_header(r->answer, "Vary", "Accept-Encoding");
    answer_header(r->answer, "Cache-Control", "no-cache");
    return true;
}

static const char docs_page[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>longanim API</title>"
    "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:56rem;padding:0 1rem;color:#222}"
    "code,pre{background:#f3f3f3;border-radius:4px;padding:.1em .3em}pre{padding:1em;overflow:auto}</style>"
    "<h1>longanim</h1><p>Colours line-art video after a reference image. The whole contract is in "
    "<a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1); what this server can do is in "
    "<a href=\"/capabilities\">/capabilities</a>.</p>"
    "<h2>In four commands</h2><pre>"
    "curl -F video=@lines.mp4 -F reference=@colour.png -F seed=7 $SERVER/v1/jobs   # 202, with the job's id\n"
    "curl -H 'Prefer: wait=60' $SERVER/v1/jobs/$ID                                # returns when it moves\n"
    "curl -N $SERVER/v1/jobs/$ID/events                                           # or as it happens\n"
    "curl -OJ $SERVER/v1/jobs/$ID/result                                          # the video</pre>"
    "<p>With API keys add <code>-H \"Authorization: Bearer $KEY\"</code>. Errors are "
    "<code>application/problem+json</code>; their <code>type</code> is a page of this server.</p></html>";

bool meta_docs(struct req *r)
{
    req_answer(r, answer_text(200, "text/html; charset=utf-8", docs_page));
    answer_header(r->answer, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    return true;
}

bool meta_problem(struct req *r)
{
    enum err_code code = err_by_name(r->params[0]);
    const struct err_info *info = err_info(code);
    json_t *object;
    struct err e;

    if (code == ERR_none) {
        err_set(&e, ERR_route_not_found, "there is no problem of this name");
        req_problem(r, &e);
        return true;
    }
    object = json_object();
    json_put_str(object, "code", info->name);
    json_put_int(object, "status", info->http_status);
    json_put_str(object, "title", info->title);
    json_put_bool(object, "retryable", err_retryable(code));
    req_answer(r, answer_json(200, object));
    return true;
}
