/* The job object as clients see it. Numbers that only the store or the queue need stay inside. */
#include "job/job.h"

#include "base/err.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_init(struct job *j)
{
    *j = (struct job){.progress = {.eta_low_ms = -1, .eta_high_ms = -1}};
}

void job_free(struct job *j)
{
    free(j->params_text);
    free(j->input_text);
    free(j->tags_text);
    free(j->trace_state);
    job_init(j);
}

void job_set_text(char **slot, const char *text_or_null)
{
    char *own = text_or_null ? strdup(text_or_null) : NULL;
    if (text_or_null && !own)
        abort();
    free(*slot);
    *slot = own;
}

/* The texts come from our own manifest; one that cannot be read is shown as null rather than not at all. */
static json_t *stored(const char *text)
{
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static json_t *queue_json(const struct job *j)
{
    json_t *queue = json_object(), *eta = NULL;
    const struct job_progress *p = &j->progress;
    json_put_str(queue, "pool", j->pool);
    json_put_int(queue, "priority", j->priority);
    if (j->queue_position > 0)
        json_put_int(queue, "position", j->queue_position);
    else
        json_put(queue, "position", NULL);
    if (j->state == JOB_RUNNING && p->eta_low_ms >= 0 && p->eta_high_ms >= p->eta_low_ms) {
        eta = json_object();
        json_put_time(eta, "start", j->started_ms);
        json_put_time(eta, "finish", j->progress_at_ms + (p->eta_low_ms + p->eta_high_ms) / 2);
        json_put_time(eta, "low", j->progress_at_ms + p->eta_low_ms);
        json_put_time(eta, "high", j->progress_at_ms + p->eta_high_ms);
    }
    json_put(queue, "eta", eta);
    return queue;
}

/* A job that succeeded has done everything, whatever its last heartbeat knew. */
static json_t *progress_json(const struct job *j)
{
    const struct job_progress *p = &j->progress;
    bool all = j->state == JOB_SUCCEEDED;
    int32_t segments = p->segments_total > p->segments_done ? p->segments_total : p->segments_done;
    json_t *object = json_object();
    json_put_real(object, "fraction", all ? 1.0 : p->fraction_ppm / 1e6);
    json_put_str(object, "stage", p->stage[0] && !all ? p->stage : NULL);
    json_put_int(object, "segments_done", all ? segments : p->segments_done);
    json_put_int(object, "segments_total", all ? segments : p->segments_total);
    json_put_int(object, "step", all ? p->steps : p->step);
    json_put_int(object, "steps", p->steps);
    json_put_int(object, "frames_done", all ? j->result_frames : p->frames_done);
    return object;
}

static json_t *result_json(const struct job *j)
{
    if (j->state != JOB_SUCCEEDED)
        return NULL;
    json_t *object = json_object();
    json_put_str(object, "sha256", j->result_sha256);
    json_put_int(object, "bytes", j->result_bytes);
    json_put_int(object, "width", j->result_width);
    json_put_int(object, "height", j->result_height);
    json_put_int(object, "frames", j->result_frames);
    json_put_str(object, "content_type", j->result_type);
    return object;
}

static json_t *error_json(const struct job *j)
{
    enum err_code code = err_by_name(j->error_code);
    if ((j->state != JOB_FAILED && j->state != JOB_EXPIRED) || !j->error_code[0])
        return NULL;
    json_t *object = json_object();
    json_put_str(object, "code", j->error_code);
    json_put_str(object, "title", err_info(code ? code : ERR_internal)->title);
    json_put_str(object, "detail", j->error_detail);
    json_put_bool(object, "retryable", code && err_retryable(code));
    return object;
}

static json_t *urls_json(const struct job *j, const char *base_url)
{
    static const char *const names[][2] = {{"self", ""},           {"events", "/events"},     {"result", "/result"},
                                           {"cancel", "/cancel"},  {"segments", "/segments"}, {"preview", "/preview"},
                                           {"receipt", "/receipt"}};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char url[512];
        snprintf(url, sizeof url, "%.200s/v1/jobs/%s%s", base_url, j->id, names[i][1]);
        json_put_str(object, names[i][0], url);
    }
    return object;
}

/* "00-<32 hex>-<16 hex>-<2 hex>" (W3C Trace Context) -> the middle. */
static json_t *trace_json(const struct job *j)
{
    if (strlen(j->trace_parent) != 55 || j->trace_parent[2] != '-' || j->trace_parent[35] != '-')
        return NULL;
    return json_stringn(j->trace_parent + 3, 32);
}

json_t *job_json(const struct job *j, const char *base_url)
{
    json_t *object = json_object(), *params = stored(j->params_text), *tags = stored(j->tags_text);
    if (params)
        json_object_del(params, "tags");
    json_put_str(object, "id", j->id);
    json_put_str(object, "object", "job");
    json_put_str(object, "state", job_state_name(j->state));
    json_put_bool(object, "terminal", job_state_terminal(j->state));
    json_put_bool(object, "cancel_requested", j->cancel_requested);
    json_put_int(object, "version", j->version);
    json_put_time(object, "created_at", j->created_ms);
    json_put_time(object, "queued_at", j->queued_ms);
    json_put_time(object, "started_at", j->started_ms);
    json_put_time(object, "finished_at", j->finished_ms);
    json_put_time(object, "expires_at", j->expires_ms);
    json_put(object, "queue", queue_json(j));
    json_put_int(object, "attempt", j->attempt);
    json_put_int(object, "max_attempts", j->max_attempts);
    json_put_int(object, "worker_losses", j->worker_losses);
    json_put(object, "progress", progress_json(j));
    json_put(object, "input", stored(j->input_text));
    json_put(object, "params", params);
    json_put(object, "result", result_json(j));
    json_put(object, "error", error_json(j));
    json_put(object, "urls", urls_json(j, base_url));
    json_put(object, "tags", tags ? tags : json_object());
    json_put(object, "trace_id", trace_json(j));
    return object;
}
