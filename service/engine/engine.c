#include "engine/engine_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/shot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECODE_CPU_SECONDS = 3600 };

/* clang-format off */
static const struct {
    const char *name;
    int (*run)(struct engine__run *r, struct err *e);
} stages[] = {
    {"survey",  engine__survey},  /* what the files are, frame by frame; are they line art? */
    {"plan",    engine__plan},    /* what the model will make of them */
    {"colour",  engine__colour},  /* the networks, segment by segment */
    {"render",  engine__render},  /* to the input's size, times and names */
    {"receipt", engine__receipt}, /* what was made of what, with what */
};
/* clang-format on */

static void run_free(struct engine__run *r)
{
    media_reader_close(r->source);
    media_writer_abort(r->writer);
    for (int i = 0; i < 4; i++)
        free(r->references[i].rgb);
    for (int64_t i = 0; r->names && i < r->decoded; i++)
        free(r->names[i]);
    free(r->names);
    free(r->pts);
    exposure_fini(&r->exposure);
    drawings_fini(&r->drawings);
    timesheet_fini(&r->sheet);
    free(r->palette);
    free(r->segments);
    free(r->state);
}

int engine_run(struct engine *g, const struct engine_job *j, struct engine_result *out, struct err *e)
{
    struct engine__run r = {.g = g, .job = j};
    int failed = 0;
    for (size_t i = 0; i < sizeof stages / sizeof stages[0] && !failed; i++) {
        struct err why = {0};
        failed = stages[i].run(&r, &why);
        if (!failed)
            continue;
        log_event(LOG_INFO, "engine.stopped", "stage", "s", stages[i].name, "code", "s", err_info(why.code)->name,
                  "detail", "s", why.detail, NULL);
        if (e)
            *e = why;
    }
    run_free(&r);
    if (!failed)
        *out = r.result;
    return failed ? -1 : 0;
}

int engine__path(const struct engine__run *r, char out[ENGINE_PATH_MAX], const char *name, struct err *e)
{
    int n = snprintf(out, ENGINE_PATH_MAX, "%s/%s", r->job->work_dir, name);
    if (n < 0 || n >= ENGINE_PATH_MAX)
        return err_set(e, ERR_internal, "the work folder's path is too long");
    return 0;
}

int engine__progress(struct engine__run *r, const char *stage, int32_t fraction_ppm, int32_t step, int32_t steps,
                     int64_t frames_done, struct err *e)
{
    if (!r->job->on_progress)
        return 0;
    struct engine_progress p = {.stage = stage,
                                .fraction_ppm = fraction_ppm,
                                .segments_done = r->done,
                                .segments_total = r->plan.segments,
                                .step = step,
                                .steps = steps,
                                .frames_done = frames_done};
    p.eta_low_ms = p.eta_high_ms = -1;
    if (r->segments)
        eta_estimate(&r->eta, clock_mono_ms(), &p.eta_low_ms, &p.eta_high_ms);
    return r->job->on_progress(r->job->user, &p) ? err_set(e, ERR_canceled_by_user, "the run was asked to stop") : 0;
}

void engine_limits(struct media_limits *out, const struct config *c)
{
    media_limits_default(out);
    out->bytes = c->max_upload_bytes;
    out->pixels = c->max_pixels;
    out->frames = c->max_frames;
    out->seconds = c->max_seconds;
    out->cpu_seconds = DECODE_CPU_SECONDS;
}
