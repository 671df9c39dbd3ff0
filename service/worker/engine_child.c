#include "worker/engine_child.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "worker/wire.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum { PROGRESS_MS = 100 /* between two reports of the same stage */, SEGMENTS_MAX = 100000 };

struct child {
    struct wire wire;
    struct engine *engine;
    struct engine_segment *keep; /* of this run; owned */
    bool canceled, gone;         /* gone: the parent is */
    char stage[24];
    int64_t told_ms;
};

static int tell(struct child *c, json_t *message)
{
    if (!c->gone && wire_send(&c->wire, message, NULL) != 0)
        c->gone = true;
    return c->gone;
}

/* Reads what has come, without waiting: only a cancel can. */
static int listen(struct child *c)
{
    json_t *m = NULL;
    int got;
    while (!c->gone && (got = wire_receive(&c->wire, 0, &m, NULL)) != 0) {
        const char *op = "";
        if (got < 0)
            c->gone = true;
        else if (json_opt_str(m, "op", &op, NULL) == 0 && strcmp(op, "cancel") == 0)
            c->canceled = true;
        if (got > 0)
            json_decref(m);
    }
    return c->canceled || c->gone;
}

static int read_keep(struct child *c, const json_t *m, int *out_count)
{
    const json_t *list = json_object_get(m, "segments");
    size_t count = json_array_size(list);
    if (count == 0 || count > SEGMENTS_MAX)
        return 0;
    free(c->keep);
    c->keep = calloc(count, sizeof *c->keep);
    if (!c->keep)
        abort();
    for (size_t i = 0; i < count; i++)
        if (wire_get_segment(json_array_get(list, i), &c->keep[i], NULL) != 0)
            return -1;
    *out_count = (int)count;
    return 0;
}

static int on_plan(void *user, const struct engine_plan *plan, const struct engine_segment **keep, int *keep_count)
{
    struct child *c = user;
    json_t *m = wire_event("plan");
    wire_put_plan(m, plan);
    if (tell(c, m))
        return -1;
    fault("engine.planned");
    for (;;) {
        const char *op = "";
        if (wire_receive(&c->wire, -1, &m, NULL) != 1) {
            c->gone = true;
            return -1;
        }
        bool answer = json_opt_str(m, "op", &op, NULL) == 0 && strcmp(op, "keep") == 0;
        int failed = answer ? read_keep(c, m, keep_count) : 0;
        c->canceled = c->canceled || strcmp(op, "cancel") == 0;
        json_decref(m);
        if (answer) {
            *keep = c->keep;
            return failed || c->canceled;
        }
    }
}

static int on_progress(void *user, const struct engine_progress *p)
{
    struct child *c = user;
    int64_t now_ms = clock_mono_ms();
    fault("engine.progress");
    if (now_ms - c->told_ms >= PROGRESS_MS || strcmp(c->stage, p->stage) != 0) {
        c->told_ms = now_ms;
        strncpy(c->stage, p->stage, sizeof c->stage - 1);
        json_t *m = wire_event("progress");
        wire_put_progress(m, p);
        tell(c, m);
    }
    return listen(c);
}

static int on_segment(void *user, const struct engine_segment *s)
{
    struct child *c = user;
    json_t *m = wire_event("segment");
    fault("engine.segment");
    wire_put_segment(m, s);
    tell(c, m);
    return listen(c);
}

static int on_preview(void *user, const char *path)
{
    struct child *c = user;
    json_t *m = wire_event("preview");
    json_put_str(m, "path", path);
    tell(c, m);
    return listen(c);
}

static int read_job(const json_t *m, struct engine_job *j, struct job_params *params, struct err *e)
{
    const json_t *references = json_object_get(m, "references"), *given = json_object_get(m, "params");
    if (json_need_str(m, "video", &j->video_path, e) != 0 || json_need_str(m, "work_dir", &j->work_dir, e) != 0)
        return -1;
    j->reference_count = (int)json_array_size(references);
    if (j->reference_count > 4)
        return err_set(e, ERR_internal, "too many references");
    for (int i = 0; i < j->reference_count; i++)
        if (!(j->reference_paths[i] = json_string_value(json_array_get(references, (size_t)i))))
            return err_set(e, ERR_internal, "a reference is not a path");
    if (json_opt_str(m, "palette", &j->palette_path, e) != 0 ||
        json_opt_str(m, "timesheet", &j->timesheet_path, e) != 0)
        return -1;
    j->params = params;
    return params_apply_json(params, given, e);
}

static void run(struct child *c, const json_t *m)
{
    struct job_params params;
    struct engine_result result;
    struct err e = {0};
    struct engine_job j = {
        .user = c, .on_plan = on_plan, .on_progress = on_progress, .on_segment = on_segment, .on_preview = on_preview};
    params_init(&params);
    fault("engine.run");
    c->canceled = false;
    c->stage[0] = 0;
    int failed = read_job(m, &j, &params, &e) != 0 || engine_run(c->engine, &j, &result, &e) != 0;
    fault("engine.done");
    json_t *answer = wire_event(failed ? "error" : "done");
    if (failed)
        wire_put_err(answer, &e);
    else
        wire_put_result(answer, &result);
    tell(c, answer);
    params_free(&params);
}

static int open_engine(struct child *c, const struct engine_conf *conf, struct err *e)
{
    if (engine_new(&c->engine, conf, e) != 0)
        return -1;
    const char *text = engine_describe(c->engine, e);
    json_t *models = text ? json_parse(text, strlen(text), ERR_internal, e) : NULL;
    if (!models)
        return -1;
    json_t *m = wire_event("ready");
    json_put(m, "models", models);
    tell(c, m);
    return 0;
}

int engine_child(const struct config *conf, bool low_memory)
{
    struct child c = {0};
    struct err e = {0};
    struct engine_conf ec = {.models = conf->models,
                             .device = conf->device,
                             .dtype = conf->dtype,
                             .vram_budget_bytes = conf->vram_budget,
                             .threads = (int32_t)conf->threads,
                             .low_memory = low_memory};
    engine_limits(&ec.limits, conf);
    prctl(PR_SET_NAME, "longanim-engine");
    signal(SIGINT, SIG_IGN); /* the parent decides when a run ends; its death is heard on the socket */
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    wire_init(&c.wire, ENGINE_CHILD_FD);
    if (open_engine(&c, &ec, &e) != 0) {
        json_t *m = wire_event("error");
        wire_put_err(m, &e);
        tell(&c, m);
        engine_free(c.engine);
        wire_close(&c.wire);
        return 1;
    }
    while (!c.gone) {
        json_t *m = NULL;
        const char *op = "";
        if (wire_receive(&c.wire, -1, &m, NULL) != 1)
            break;
        if (json_opt_str(m, "op", &op, NULL) == 0 && strcmp(op, "run") == 0)
            run(&c, m);
        json_decref(m); /* a cancel that came after the end of its run is late and means nothing */
    }
    free(c.keep);
    engine_free(c.engine);
    wire_close(&c.wire);
    return 0;
}
