#include "files.h"

#include "app.h"
#include "blob.h"
#include "fields.h"
#include "jobs.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRESIGN_S = 900, SMALL_MAX_BYTES = 8 << 20, EPOCHS_BACK = 16, ATTEMPTS_MAX = 64 };

int files_need_result(struct req *r, struct worker *w, struct snapshot **out, struct err *e)
{
    if (jobs_read(r, w, out, e))
        return -1;
    if ((*out)->job.state == JOB_SUCCEEDED)
        return 0;
    if ((*out)->terminal)
        return err_set(e, ERR_job_has_no_result, "the job ended as %s", job_state_name((*out)->job.state));
    return err_set(e, ERR_result_not_ready, "the job is %s", job_state_name((*out)->job.state));
}

static const char *ending(const char *key)
{
    const char *slash = strrchr(key, '/'), *dot = strchr(slash ? slash : key, '.');

    return dot ? dot : "";
}

/* ---- result ---- */

static bool redirect(struct req *r, const struct job *job, const char *name)
{
    const char *wanted = target_arg(&r->target, "redirect");
    char url[2048] = "";
    struct answer *a;
    struct err e;

    if (!wanted || strcmp(wanted, "1") != 0)
        return false;
    if (store_presign_get(r->app->store, job->result_key, PRESIGN_S, name, url, &e) || !url[0])
        return false; /* a folder has no links: the file itself is as good an answer */
    a = answer_new(302);
    answer_header(a, "Location", "%s", url);
    answer_header(a, "Cache-Control", "no-store");
    req_done_answer(r, a);
    return true;
}

void files_result(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct err e;
    char name[80];

    if (files_need_result(r, w, &s, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    snprintf(name, sizeof name, "%s%.20s", s->job.id, ending(s->job.result_key));
    if (!redirect(r, &s->job, name)) {
        struct blob b = {s->job.result_key, s->job.result_sha256, s->job.result_type, name, s->job.expires_ms};
        blob_answer(r, &b);
    }
out:
    snapshot_unref(s);
}

/* ---- segments ---- */

static json_t *segment_json(const struct queue_segment *g, const char *job_id)
{
    json_t *object = json_object();
    char url[96];

    snprintf(url, sizeof url, "/v1/jobs/%s/segments/%d", job_id, (int)g->n);
    json_put_int(object, "n", g->n);
    json_put_int(object, "first_frame", g->first_frame);
    json_put_int(object, "frames", g->frames);
    json_put_int(object, "bytes", g->bytes);
    json_put_str(object, "sha256", g->sha256);
    json_put_str(object, "url", url);
    return object;
}

static int read_segments(struct req *r, struct worker *w, struct snapshot **s, struct queue_segment **out, int *count,
                         struct err *e)
{
    if (jobs_read(r, w, s, e) || watch_check(r->app->watch, e))
        return -1;
    return queue_segments(w->queue, (*s)->job.id, NULL, out, count, e);
}

void files_segments(struct req *r, struct worker *w)
{
    struct queue_segment *list = NULL;
    struct snapshot *s = NULL;
    struct err e;
    json_t *object, *data;
    int count = 0;

    if (read_segments(r, w, &s, &list, &count, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    object = json_object();
    data = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(data, segment_json(&list[i], s->job.id));
    json_put(object, "data", data);
    req_done_document(r, object);
out:
    free(list);
    snapshot_unref(s);
}

void files_segment(struct req *r, struct worker *w)
{
    struct queue_segment *list = NULL, *found = NULL;
    struct snapshot *s = NULL;
    struct err e;
    int64_t n = -1;
    int count = 0;

    if (read_segments(r, w, &s, &list, &count, &e))
        goto problem;
    if (fields_number(r->params[1], &n) == 0)
        for (int i = 0; i < count; i++)
            if (list[i].n == n)
                found = &list[i];
    if (found) {
        struct blob b = {found->key, found->sha256, "video/x-matroska", NULL, s->job.expires_ms};
        blob_answer(r, &b);
        goto out;
    }
    err_set(&e, ERR_segment_not_found, "there is no such segment (yet)");
problem:
    req_done_problem(r, &e);
out:
    free(list);
    snapshot_unref(s);
}

/* ---- preview, receipt: beside the result, or of the newest attempt that left one ---- */

static int find_output(struct req *r, const struct job *job, const char *name, struct buf *out, struct err *e)
{
    char path[64], key[MANIFEST_KEY_MAX];
    int64_t first = job->epoch, last = first > EPOCHS_BACK ? first - EPOCHS_BACK : 1;

    for (int64_t epoch = first; epoch >= last; epoch--) {
        snprintf(path, sizeof path, "out/e%lld/%s", (long long)epoch, name);
        if (manifest_sibling(job->manifest_key, path, key))
            return err_set(e, ERR_internal, "the job has no usable prefix");
        if (store_get_bytes(r->app->store, key, out, e) == 0)
            return 0;
        if (e->code != ERR_job_not_found)
            return -1;
    }
    return job_state_terminal(job->state) && job->state != JOB_SUCCEEDED
               ? err_set(e, ERR_job_has_no_result, "the job ended as %s", job_state_name(job->state))
               : err_set(e, ERR_result_not_ready, "there is none yet");
}

static void answer_output(struct req *r, struct worker *w, const char *name, const char *type, bool needs_result)
{
    struct snapshot *s = NULL;
    struct buf bytes;
    struct err e;
    size_t size;
    char *data, sha256[HASH_HEX_SIZE], tag[HASH_HEX_SIZE + 2];
    struct answer *a;

    buf_init(&bytes, SMALL_MAX_BYTES);
    if ((needs_result ? files_need_result(r, w, &s, &e) : jobs_read(r, w, &s, &e)) ||
        find_output(r, &s->job, name, &bytes, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    hash_bytes(bytes.data ? bytes.data : "", bytes.size, sha256);
    snprintf(tag, sizeof tag, "\"%s\"", sha256);
    if (fields_none_match(req_header(r, REQ_if_none_match), tag)) {
        a = answer_new(304);
    } else {
        data = buf_take(&bytes, &size);
        a = answer_take(200, type, data, size);
        answer_header(a, "X-Content-Type-Options", "nosniff");
    }
    answer_header(a, "ETag", "%s", tag);
    answer_header(a, "Cache-Control", "private, no-cache");
    req_done_answer(r, a);
out:
    buf_free(&bytes);
    snapshot_unref(s);
}

void files_preview(struct req *r, struct worker *w)
{
    answer_output(r, w, "preview.jpg", "image/jpeg", false);
}

void files_receipt(struct req *r, struct worker *w)
{
    answer_output(r, w, "receipt.json", "application/json", true);
}

/* ---- logs: one object an attempt, put together in order ---- */

struct attempts {
    int64_t epochs[ATTEMPTS_MAX];
    int count;
};

/* ".../log/e<epoch>.ndjson" */
static int note_attempt(void *user, const char *key, const struct store_info *info)
{
    struct attempts *a = user;
    char *end;
    int64_t epoch = strtoll(strrchr(key, '/') + 2, &end, 10);

    (void)info;
    if (strcmp(end, ".ndjson") == 0)
        a->epochs[a->count++] = epoch;
    return a->count == ATTEMPTS_MAX;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* What is there of the logs; what cannot be read is left out. */
static void read_logs(struct req *r, const struct job *job, struct buf *out, struct err *e)
{
    struct attempts found = {.count = 0};
    char path[48], key[MANIFEST_KEY_MAX];
    struct buf one;

    if (manifest_sibling(job->manifest_key, "log/", key) || store_list(r->app->store, key, "", note_attempt, &found, e))
        return;
    qsort(found.epochs, (size_t)found.count, sizeof found.epochs[0], by_number);
    buf_init(&one, SMALL_MAX_BYTES);
    for (int i = 0; i < found.count; i++) {
        snprintf(path, sizeof path, "log/e%lld.ndjson", (long long)found.epochs[i]);
        buf_reset(&one);
        if (manifest_sibling(job->manifest_key, path, key) == 0 && store_get_bytes(r->app->store, key, &one, e) == 0 &&
            one.size > 0)
            buf_add(out, one.data, one.size);
    }
    buf_free(&one);
}

void files_logs(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct buf all;
    struct err e;
    size_t size;
    char *data;

    buf_init(&all, SMALL_MAX_BYTES);
    if (jobs_read(r, w, &s, &e)) {
        req_done_problem(r, &e);
        goto out;
    }
    read_logs(r, &s->job, &all, &e);
    data = buf_take(&all, &size);
    if (data)
        req_done_answer(r, answer_take(200, "application/x-ndjson", data, size));
    else
        req_done_answer(r, answer_text(200, "application/x-ndjson", ""));
out:
    buf_free(&all);
    snapshot_unref(s);
}
