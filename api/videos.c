#include "videos.h"

#include "app.h"
#include "create.h"
#include "fields.h"
#include "files.h"
#include "jobs.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 20, LIST_MAX = 100, POLL_MS = 1000 };

/* ---- the object ---- */

/* Clients know four states; a job that ended without a result is "failed" to them, and the error says how. */
static const char *status_name(enum job_state state)
{
    switch (state) {
    case JOB_QUEUED:
    case JOB_WAITING:
        return "queued";
    case JOB_RUNNING:
        return "in_progress";
    case JOB_SUCCEEDED:
        return "completed";
    default:
        return "failed";
    }
}

/* RFC 3339 as Unix seconds; null stays null. */
static void put_time(json_t *object, const char *name, const json_t *time)
{
    int64_t wall_ms;

    if (json_is_string(time) && clock_parse(json_string_value(time), &wall_ms) == 0)
        json_put_int(object, name, wall_ms / 1000);
    else
        json_put(object, name, json_null());
}

/* How long the clip is, as a text: "3.375". */
static void put_length(json_t *object, const json_t *video)
{
    const char *fps = json_string_value(json_object_get(video, "fps"));
    int64_t frames = json_integer_value(json_object_get(video, "frames"));
    long long num = 0, den = 1;
    char text[32];

    if (!fps || sscanf(fps, "%18lld/%18lld", &num, &den) < 1 || num <= 0 || den <= 0)
        num = 24, den = 1;
    snprintf(text, sizeof text, "%.7g", (double)frames * (double)den / (double)num);
    json_put_str(object, "seconds", text);
}

/* That of the result, else the one asked for, else that of the line art. */
static void put_size(json_t *object, const json_t *job)
{
    const json_t *from = json_object_get(job, "result");
    char text[32];

    if (!json_is_object(from))
        from = json_object_get(json_object_get(job, "params"), "size");
    if (!json_is_object(from))
        from = json_object_get(json_object_get(job, "input"), "video");
    snprintf(text, sizeof text, "%lldx%lld", (long long)json_integer_value(json_object_get(from, "width")),
             (long long)json_integer_value(json_object_get(from, "height")));
    json_put_str(object, "size", text);
}

static void put_error(json_t *object, const json_t *job, enum job_state state)
{
    const json_t *why = json_object_get(job, "error");
    const char *code = json_string_value(json_object_get(why, "code"));
    const char *detail = json_string_value(json_object_get(why, "detail"));
    json_t *error;

    if (!job_state_terminal(state) || state == JOB_SUCCEEDED) {
        json_put(object, "error", json_null());
        return;
    }
    error = json_object();
    json_put_str(error, "code", code ? code : job_state_name(state));
    json_put_str(error, "message", detail && detail[0] ? detail : job_state_name(state));
    json_put(object, "error", error);
}

static void copy(json_t *object, const char *name, const json_t *value)
{
    json_put(object, name, value ? json_incref((json_t *)(intptr_t)value) : json_null());
}

/* Out of a job object of ours; takes the reference. */
static json_t *video_json(json_t *take)
{
    json_t *object = json_object();
    const json_t *params = json_object_get(take, "params"), *progress = json_object_get(take, "progress");
    int known = job_state_by_name(json_string_value(json_object_get(take, "state")));
    enum job_state state = known < 0 ? JOB_FAILED : (enum job_state)known;
    bool done = state == JOB_SUCCEEDED;

    copy(object, "id", json_object_get(take, "id"));
    json_put_str(object, "object", "video");
    copy(object, "model", json_object_get(params, "model"));
    json_put_str(object, "status", status_name(state));
    json_put_int(object, "progress",
                 done ? 100 : (int64_t)(json_number_value(json_object_get(progress, "fraction")) * 100));
    put_time(object, "created_at", json_object_get(take, "created_at"));
    put_time(object, "completed_at", done ? json_object_get(take, "finished_at") : NULL);
    put_time(object, "expires_at", json_object_get(take, "expires_at"));
    copy(object, "prompt", json_object_get(params, "prompt"));
    put_length(object, json_object_get(json_object_get(take, "input"), "video"));
    put_size(object, take);
    put_error(object, take, state);
    json_put(object, "remixed_from_video_id", json_null());
    json_decref(take);
    return object;
}

struct answer *videos_answer(json_t *take_job, int status)
{
    json_t *video = video_json(take_job);
    const char *state = json_string_value(json_object_get(video, "status"));
    bool ended = strcmp(state, "completed") == 0 || strcmp(state, "failed") == 0;
    struct answer *a = answer_json(status, video);

    answer_header(a, "Cache-Control", "private, no-cache");
    if (!ended)
        answer_header(a, "openai-poll-after-ms", "%d", POLL_MS);
    return a;
}

/* ---- creating ---- */

void videos_part_name(const char *name, char out[64])
{
    char plain[64];
    size_t n = 0;

    for (; *name && n < sizeof plain - 1; name++) {
        if (name[0] == '[' && name[1] == ']')
            name++;
        else if (*name != ']')
            plain[n++] = *name == '[' ? '.' : *name;
    }
    plain[n] = 0;
    if (strncmp(plain, "input_reference", 15) == 0 && (plain[15] == 0 || plain[15] == '.'))
        snprintf(out, 64, "reference%s", plain + 15);
    else
        memcpy(out, plain, sizeof plain);
}

/* "1280x720" as an object; anything else stays and is judged as a parameter. */
static json_t *reshape_size(json_t *value)
{
    const char *text = json_string_value(value);
    int width, height, used = 0;
    json_t *object;

    if (!text || sscanf(text, "%6dx%6d%n", &width, &height, &used) != 2 || text[used])
        return json_incref(value);
    object = json_object();
    json_put_int(object, "width", width);
    json_put_int(object, "height", height);
    return object;
}

/* A file by the id of a finished upload, whichever of two names it goes by. */
static json_t *reshape_file(json_t *value)
{
    json_t *id = json_object_get(value, "file_id"), *object;

    if (!id || json_object_size(value) != 1)
        return json_incref(value);
    object = json_object();
    json_put(object, "upload_id", json_incref(id));
    return object;
}

static json_t *reshape_references(json_t *value)
{
    json_t *array = json_array();

    if (!json_is_array(value))
        json_array_append_new(array, reshape_file(value));
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(array, reshape_file(json_array_get(value, i)));
    return array;
}

json_t *videos_reshape(json_t *take)
{
    json_t *object, *params, *value;
    const char *name;

    if (!json_is_object(take))
        return take;
    object = json_object();
    params = json_object();
    json_object_foreach(take, name, value)
    {
        if (strcmp(name, "video") == 0)
            json_put(object, name, reshape_file(value));
        else if (strcmp(name, "input_reference") == 0)
            json_put(object, "reference", reshape_references(value));
        else if (strcmp(name, "palette") == 0 || strcmp(name, "timesheet") == 0)
            json_put(object, name, reshape_file(value));
        else if (strcmp(name, "size") == 0)
            json_put(params, name, reshape_size(value));
        else if (strcmp(name, "seconds") != 0) /* a clip is as long as its line art */
            json_put(params, name, json_incref(value));
    }
    json_put(object, "params", params);
    json_decref(take);
    return object;
}

int videos_take(struct req *r, struct taker *out, struct err *e)
{
    r->as_video = true;
    return create_take(r, out, e);
}

/* ---- reading ---- */

void videos_get(struct req *r, struct worker *w)
{
    struct snapshot *s = NULL;
    struct err e;

    if (jobs_read(r, w, &s, &e)) {
        req_done_problem(r, &e);
        return;
    }
    req_answer(r, videos_answer(snapshot_json(s), 200));
    snapshot_unref(s);
    req_done(r);
}

void videos_list(struct req *r, struct worker *w)
{
    const char *limit = target_arg(&r->target, "limit"), *order = target_arg(&r->target, "order");
    struct queue_filter filter = {.tenant = r->who.tenant, .state = -1, .cursor = target_arg(&r->target, "after")};
    struct queue_page page;
    json_t *object, *data;
    int64_t n = LIST_DEFAULT;
    struct err e;

    if (limit && (fields_number(limit, &n) || n < 1 || n > LIST_MAX)) {
        err_set_field(&e, ERR_params_invalid, "limit", "the limit must be 1 to %d", LIST_MAX);
        goto problem;
    }
    if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0) {
        err_set_field(&e, ERR_params_invalid, "order", "the order must be asc or desc");
        goto problem;
    }
    if (fields_cursor(filter.cursor, "after", &e))
        goto problem;
    filter.limit = (int)n;
    filter.ascending = order && strcmp(order, "asc") == 0;
    if (watch_check(r->app->watch, &e) || queue_list(w->queue, &filter, &page, &e))
        goto problem;
    object = json_object();
    data = json_array();
    for (int i = 0; i < page.count; i++)
        json_array_append_new(data, video_json(job_json(&page.jobs[i], "")));
    json_put_str(object, "object", "list");
    json_put(object, "data", data);
    json_put_str(object, "first_id", page.count ? page.jobs[0].id : NULL);
    json_put_str(object, "last_id", page.count ? page.jobs[page.count - 1].id : NULL);
    json_put_bool(object, "has_more", page.next[0] != 0);
    queue_page_free(&page);
    req_done_document(r, object);
    return;
problem:
    req_done_problem(r, &e);
}

void videos_delete(struct req *r, struct worker *w)
{
    json_t *object;
    struct err e;

    if (jobs_remove(r, w, &e)) {
        req_done_problem(r, &e);
        return;
    }
    object = json_object();
    json_put_str(object, "id", r->params[0]);
    json_put_str(object, "object", "video.deleted");
    json_put_bool(object, "deleted", true);
    req_done_document(r, object);
}

void videos_content(struct req *r, struct worker *w)
{
    const char *variant = target_arg(&r->target, "variant");
    struct err e;

    if (!variant || strcmp(variant, "video") == 0) {
        files_result(r, w);
    } else if (strcmp(variant, "thumbnail") == 0) {
        files_preview(r, w);
    } else {
        err_set_field(&e, ERR_params_invalid, "variant", "there are video and thumbnail");
        req_done_problem(r, &e);
    }
}
