#include "cli/remote.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MAX = 16 << 20 };

int remote_open(struct remote *r, const struct config *c, struct err *e)
{
    const char *key = config_secret("LONGANIM_API_KEY");
    size_t length = strlen(c->server);
    memset(r, 0, sizeof *r);
    while (length > 0 && c->server[length - 1] == '/')
        length--;
    if (strncmp(c->server, "http://", 7) != 0 && strncmp(c->server, "https://", 8) != 0)
        return err_set_field(e, ERR_params_invalid, "server", "\"%.100s\" is not an http URL", c->server);
    if (length + 8 > sizeof r->base || (key && strlen(key) > 400))
        return err_set_field(e, ERR_params_invalid, "server", "the server's URL or the API key is too long");
    snprintf(r->base, sizeof r->base, "%.*s/v1", (int)length, c->server);
    if (key) {
        snprintf(r->authorization, sizeof r->authorization, "Authorization: Bearer %s", key);
        r->headers[0] = r->authorization;
    }
    r->http = http_new();
    return 0;
}

void remote_close(struct remote *r)
{
    http_free(r->http);
    r->http = NULL;
}

void remote_prepare(const struct remote *r, struct http_request *q, char url[1024], const char *method,
                    const char *format, ...)
{
    va_list list;
    int n = snprintf(url, 1024, "%s", r->base);
    va_start(list, format);
    vsnprintf(url + n, 1024 - (size_t)n, format, list);
    va_end(list);
    *q = (struct http_request){.method = method, .url = url, .headers = r->headers};
    q->unreachable = ERR_overloaded;
}

void remote_problem(int status, const struct buf *body, struct err *e)
{
    const char *code = "", *detail = "", *title = "", *field = "";
    json_t *o = body->size ? json_parse(body->data, body->size, ERR_internal, NULL) : NULL;
    if (o) {
        const json_t *first = json_array_get(json_object_get(o, "errors"), 0);
        json_opt_str(o, "code", &code, NULL);
        json_opt_str(o, "title", &title, NULL);
        json_opt_str(o, "detail", &detail, NULL);
        if (first && json_opt_str(first, "field", &field, NULL) == 0 && !field[0])
            json_opt_str(first, "pointer", &field, NULL);
    }
    enum err_code known = err_by_name(code);
    if (!known)
        known = status >= 500 ? ERR_overloaded : ERR_bad_request;
    err_set_field(e, known, field, "the server says %d %s%s%s", status, title, detail[0] ? ": " : "", detail);
    json_decref(o);
}

int remote_call(struct remote *r, struct http_request *q, json_t **out, struct err *e)
{
    struct http_response response;
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    q->out = &body;
    int failed = http_do(r->http, q, &response, e);
    if (!failed && response.status >= 300) {
        remote_problem(response.status, &body, e);
        failed = -1;
    }
    json_t *answer = !failed && body.size ? json_parse(body.data, body.size, ERR_internal, e) : NULL;
    if (!failed && body.size && !answer)
        failed = -1;
    if (!failed && out)
        *out = answer;
    else
        json_decref(answer);
    buf_free(&body);
    return failed ? -1 : 0;
}

int remote_job(struct remote *r, const char *id, json_t **out, struct err *e)
{
    struct http_request q;
    char url[1024];
    if (!id_is_job(id))
        return err_set(e, ERR_job_not_found, "\"%.60s\" is not a job's id", id);
    remote_prepare(r, &q, url, "GET", "/jobs/%s", id);
    return remote_call(r, &q, out, e);
}

static int64_t integer(const json_t *o, const char *key)
{
    int64_t n = 0;
    json_opt_int(o, key, &n, NULL);
    return n;
}

static double seconds_until(const json_t *o, const char *key)
{
    const char *text = NULL;
    int64_t when_ms;
    if (!json_is_string(json_object_get(o, key)) || json_opt_str(o, key, &text, NULL) != 0 ||
        clock_parse(text, &when_ms) != 0)
        return -1;
    double left = (double)(when_ms - clock_wall_ms()) / 1000;
    return left < 0 ? 0 : left;
}

void remote_state(const json_t *job, struct cli_state *out)
{
    const json_t *progress = json_object_get(job, "progress"), *queue = json_object_get(job, "queue");
    const json_t *eta = json_object_get(queue, "eta");
    *out = (struct cli_state){.state = "unknown", .stage = "", .eta_low_s = -1, .eta_high_s = -1};
    json_opt_str(job, "state", &out->state, NULL);
    if (strcmp(out->state, "running") == 0 && json_is_string(json_object_get(progress, "stage")))
        out->stage = json_string_value(json_object_get(progress, "stage"));
    out->fraction = json_number_value(json_object_get(progress, "fraction"));
    if (json_is_object(progress)) {
        out->segments_done = integer(progress, "segments_done");
        out->segments_total = integer(progress, "segments_total");
        out->step = integer(progress, "step");
        out->steps = integer(progress, "steps");
    }
    if (json_is_integer(json_object_get(queue, "position")))
        out->position = integer(queue, "position");
    if (json_is_object(eta)) {
        out->eta_low_s = seconds_until(eta, "low");
        out->eta_high_s = seconds_until(eta, "high");
    }
}

int remote_verdict(const json_t *job)
{
    const char *state = "unknown", *code = "", *detail = "";
    const json_t *error = json_object_get(job, "error");
    json_opt_str(job, "state", &state, NULL);
    if (strcmp(state, "succeeded") == 0)
        return CLI_DONE;
    if (json_is_object(error)) {
        json_opt_str(error, "code", &code, NULL);
        json_opt_str(error, "detail", &detail, NULL);
    }
    fprintf(stderr, "longanim: the job is %s%s%s%s%s\n", state, code[0] ? ": " : "", code, detail[0] ? ", " : "",
            detail);
    enum err_code known = err_by_name(code);
    return known && strcmp(state, "failed") == 0 ? cli_exit_of(known) : CLI_FAILED;
}

int remote_exit_of(const struct err *e)
{
    static const enum err_code refused[] = {ERR_payload_too_large, ERR_unsupported_media_type, ERR_params_invalid,
                                            ERR_model_unknown,     ERR_part_missing,           ERR_part_duplicate};
    if (cli_interrupted())
        return CLI_INTERRUPTED;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (e->code == refused[i])
            return CLI_REFUSED;
    return err_info(e->code)->class == ERR_CLASS_MEDIA ? CLI_REFUSED : CLI_FAILED;
}

int remote_exit_of_question(const struct err *e)
{
    int status = remote_exit_of(e);
    return status == CLI_REFUSED ? CLI_USAGE : status;
}
