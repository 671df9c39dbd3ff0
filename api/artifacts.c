#include "artifacts.h"

#include "app.h"
#include "blob.h"
#include "files.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIPT_MAX_BYTES = 16 << 20 };

/* An object of the attempt that made the result. */
static int beside_result(const struct job *job, const char *name, char out[MANIFEST_KEY_MAX], struct err *e)
{
    return manifest_sibling(job->result_key, name, out) ? err_set(e, ERR_internal, "a key of the store is too long")
                                                        : 0;
}

/* The receipt's list; *out is a new reference, empty for receipts from before there were any. */
static int read_list(struct req *r, struct worker *w, struct snapshot **s, json_t **out, struct err *e)
{
    char key[MANIFEST_KEY_MAX];
    struct buf text;
    json_t *receipt = NULL;

    buf_init(&text, RECEIPT_MAX_BYTES);
    if (files_need_result(r, w, s, e) == 0 && beside_result(&(*s)->job, "receipt.json", key, e) == 0 &&
        store_get_bytes(r->app->store, key, &text, e) == 0)
        receipt = json_parse(text.data ? text.data : "", text.size, ERR_internal, e);
    buf_free(&text);
    if (!receipt)
        return -1;
    *out = json_is_array(json_object_get(receipt, "artifacts")) ? json_incref(json_object_get(receipt, "artifacts"))
                                                                : json_array();
    json_decref(receipt);
    return 0;
}

void artifacts_list(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct err e;
    json_t *list = NULL, *object, *one;
    size_t i;

    if (read_list(r, w, &s, &list, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    json_array_foreach(list, i, one)
    {
        char url[160];
        const char *name = json_string_value(json_object_get(one, "name"));
        snprintf(url, sizeof url, "/v1/jobs/%s/artifacts/%.64s", s->job.id, name ? name : "");
        json_put_str(one, "url", url);
    }
    object = json_object();
    json_put(object, "data", json_incref(list));
    req_done_document(r, object);
out:
    json_decref(list);
    snapshot_unref(s);
}

void artifacts_get(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct err e;
    json_t *list = NULL, *one;
    char key[MANIFEST_KEY_MAX], name[REQ_PARAM_MAX + ID_SIZE + 2];
    const char *sha256 = NULL, *type = NULL;
    size_t i;

    if (read_list(r, w, &s, &list, &e))
        goto problem;
    json_array_foreach(list, i, one)
    {
        const char *found = json_string_value(json_object_get(one, "name"));
        if (found && strcmp(found, r->params[1]) == 0) {
            sha256 = json_string_value(json_object_get(one, "sha256"));
            type = json_string_value(json_object_get(one, "content_type"));
        }
    }
    if (!sha256 || !type) {
        err_set(&e, ERR_artifact_not_found, "the job has no such file; GET /jobs/{id}/artifacts lists them");
        goto problem;
    }
    if (beside_result(&s->job, r->params[1], key, &e))
        goto problem;
    snprintf(name, sizeof name, "%s-%s", s->job.id, r->params[1]);
    blob_answer(r, &(struct blob){key, sha256, type, name, s->job.expires_ms});
    goto out;
problem:
    req_done_problem(r, &e);
out:
    json_decref(list);
    snapshot_unref(s);
}
