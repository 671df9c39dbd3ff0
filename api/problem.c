#include "problem.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

/* Seconds after which the same request may work. Locks and queues move slower than a restart. */
static int retry_after_s(enum err_code code)
{
    switch (code) {
    case ERR_storage_full:
        return 30;
    case ERR_quota_queued:
    case ERR_quota_running:
    case ERR_quota_storage:
        return 10;
    case ERR_result_not_ready:
    case ERR_job_not_terminal:
        return 2;
    default:
        return 1;
    }
}

struct answer *problem_answer(const struct err *e, int status, const char *path, const char *trace_id)
{
    const struct err_info *info = err_info(e->code);
    json_t *object = json_object();
    char type[80];
    struct answer *a;
    char *text;

    if (status == 0)
        status = info->http_status;
    snprintf(type, sizeof type, "/problems/%s", info->name);
    json_put_str(object, "type", type);
    json_put_str(object, "title", info->title);
    json_put_int(object, "status", status);
    json_put(object, "detail", json_safe_string(e->detail[0] ? e->detail : info->title));
    json_put(object, "instance", json_safe_string(path));
    json_put_str(object, "code", info->name);
    json_put_bool(object, "retryable", err_retryable(e->code));
    json_put_str(object, "trace_id", trace_id);
    if (e->field[0] || info->http_status == 422) {
        json_t *errors = json_array(), *item = json_object();
        json_put(item, "field", json_safe_string(e->field[0] ? e->field : "body"));
        json_put(item, "detail", json_safe_string(e->detail[0] ? e->detail : info->title));
        json_array_append_new(errors, item);
        json_put(object, "errors", errors);
    }
    text = json_text(object, false);
    json_decref(object);
    a = answer_take(status, "application/problem+json", text, strlen(text));
    answer_header(a, "Cache-Control", "no-store");
    if (err_retryable(e->code) || info->http_status == 429 || info->http_status == 503)
        answer_header(a, "Retry-After", "%d", retry_after_s(e->code));
    if (info->http_status == 401)
        answer_header(a, "WWW-Authenticate", "Bearer");
    return a;
}
