#include "engine/snap.h"

#include "base/log.h"
#include "paint/paint.h"

#include <stdlib.h>
#include <string.h>

struct snap {
    struct engine__run *r;
    struct paint *paint;
    struct paint_scratch *scratch;
    struct media_reader *input;
    uint8_t *lines, *result; /* one frame each, at the input's size */
    int32_t channels;        /* of result */
    int64_t next;            /* frame that the input delivers next */
};

static bool wanted(const struct engine__run *r)
{
    int snap = r->job->params->output_snap;
    return r->input_kind == MDL_INPUT_LINEART &&
           (snap == SNAP_REGION || (snap == SNAP_AUTO && r->job->params->profile == PROFILE_COMPLETE));
}

/* The input from the frame that the result begins with. */
static int rewind_input(struct snap *s, struct err *e)
{
    struct media_frame f;
    media_reader_close(s->input);
    s->input = NULL;
    s->next = 0;
    if (engine__open_input(s->r, &s->input, e) != 0)
        return -1;
    for (int64_t i = 0; i < s->r->skip_first; i++)
        if (engine__next(s->r, s->input, s->lines, &f, e) < 0)
            return -1;
    return 0;
}

static int next_lines(struct snap *s, struct paint_image *out, struct err *e)
{
    struct media_frame f;
    int got = engine__next(s->r, s->input, s->lines, &f, e);
    if (got == 0)
        return err_set(e, ERR_media_truncated, "the video ended early at its last reading");
    *out = (struct paint_image){s->lines, s->r->info.width, s->r->info.height, 3};
    s->next++;
    return got < 0 ? -1 : 0;
}

static struct paint_image network_frame(const struct snap *s, const uint8_t *rgb)
{
    return (struct paint_image){rgb, s->r->plan.width, s->r->plan.height, 3};
}

static int observe_all(struct snap *s, struct shot *shot, struct err *e)
{
    struct engine__run *r = s->r;
    for (int64_t i = 0; i < r->plan.frames; i++) {
        struct paint_image lines, proposal;
        const uint8_t *rgb;
        if (next_lines(s, &lines, e) != 0 || shot_frame(shot, i, &rgb, e) != 0)
            return -1;
        proposal = network_frame(s, rgb);
        int32_t ppm = RENDER_PPM + (int32_t)((SNAP_PPM - RENDER_PPM) * (i + 1) / r->plan.frames);
        if (paint_observe(s->paint, &lines, &proposal, e) != 0)
            return -1;
        eta_end(&r->eta, SNAP_COST * (i + 1), SNAP_COST * r->plan.frames + r->result.frames);
        if (engine__progress(r, "snap", ppm, 0, 0, r->plan.frames, e) != 0)
            return -1;
    }
    return paint_decide(s->paint, e);
}

/* With alpha, which the engine's own pictures do not have: a cut-out reference tells paint from background. */
static int read_references(const struct engine__run *r, struct paint_image *out, struct err *e)
{
    for (int i = 0; i < r->job->reference_count; i++) {
        uint8_t *pixels;
        if (media_still_read(r->job->reference_paths[i], 4, &r->g->conf.limits, &pixels, &out[i].width, &out[i].height,
                             e) != 0)
            return -1;
        out[i].pixels = pixels;
        out[i].channels = 4;
    }
    return 0;
}

static int open_paint(struct snap *s, struct err *e)
{
    const struct engine__run *r = s->r;
    const struct job_params *p = r->job->params;
    struct paint_conf conf;
    struct paint_image references[4] = {{0}};
    paint_conf_init(&conf, r->info.width, r->info.height);
    conf.hold_tolerance = paint_hold_tolerance(r->info.codec);
    _Static_assert(PARAMS_GAP_MAX <= PAINT_GAP_MAX, "gaps that a job may ask for can be closed");
    if (p->gap >= 0)
        conf.gap_px = p->gap;
    conf.transparent = r->info.has_alpha || p->background == BACKGROUND_TRANSPARENT;
    s->channels = conf.transparent && p->output_format != FORMAT_MP4 ? 4 : 3;
    int failed = paint_trace_lines(p->trace_lines, &conf.trace_lines);
    if (failed)
        err_set_field(e, ERR_params_invalid, "/trace_lines", "trace_lines takes red, green and blue");
    else
        failed = read_references(r, references, e) != 0 ||
                 paint_open(&s->paint, &conf, references, r->job->reference_count, r->palette, e) != 0;
    for (int i = 0; i < r->job->reference_count; i++)
        free((uint8_t *)(uintptr_t)references[i].pixels);
    return failed ? -1 : 0;
}

static int prepare(struct snap *s, struct shot *shot, struct err *e)
{
    size_t pixels = (size_t)s->r->info.width * (size_t)s->r->info.height;
    s->lines = malloc(pixels * 3);
    s->result = malloc(pixels * (size_t)s->channels);
    if (!s->lines || !s->result)
        return err_set(e, ERR_internal, "out of memory");
    if (rewind_input(s, e) != 0 || observe_all(s, shot, e) != 0 || rewind_input(s, e) != 0)
        return -1;
    s->scratch = paint_scratch_new(s->paint);
    return s->scratch ? 0 : err_set(e, ERR_internal, "out of memory");
}

int snap_open(struct snap **out, struct engine__run *r, struct shot *shot, struct err *e)
{
    struct err why = {0};
    *out = NULL;
    r->snapped = "none";
    if (!wanted(r))
        return 0;
    struct snap *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->r = r;
    int failed = open_paint(s, &why);
    if (!failed && r->job->params->output_snap == SNAP_AUTO && paint_mode_used(s->paint) != PAINT_FLAT)
        failed = err_set(&why, ERR_params_invalid, "a reference has no flat colours");
    bool unfit = failed && (why.code == ERR_params_invalid || why.code == ERR_media_unreadable ||
                            why.code == ERR_media_too_many_pixels);
    if (unfit && r->job->params->output_snap == SNAP_AUTO) {
        log_err(LOG_INFO, "engine.not_snapped", NULL, &why);
        snap_close(s);
        return 0;
    }
    if (!failed)
        failed = prepare(s, shot, &why);
    if (failed) {
        snap_close(s);
        if (e)
            *e = why;
        return -1;
    }
    r->snapped = paint_mode_used(s->paint) == PAINT_FLAT ? "flat" : "smooth";
    *out = s;
    return 0;
}

void snap_close(struct snap *s)
{
    if (!s)
        return;
    media_reader_close(s->input);
    paint_scratch_free(s->scratch);
    paint_close(s->paint);
    free(s->lines);
    free(s->result);
    free(s);
}

int32_t snap_channels(const struct snap *s)
{
    return s->channels;
}

int snap_frame(struct snap *s, int64_t index, const uint8_t *proposal, struct planes *planes,
               const uint8_t **out_pixels, struct err *e)
{
    struct paint_planes to = {.result = s->result, .result_channels = s->channels};
    struct paint_image lines, network = network_frame(s, proposal);
    if (index < s->next && rewind_input(s, e) != 0)
        return -1;
    while (s->next <= index)
        if (next_lines(s, &lines, e) != 0)
            return -1;
    if (planes)
        planes_offer(planes, &to);
    if (paint_render(s->paint, s->scratch, index, &lines, &network, &to, e) != 0)
        return -1;
    *out_pixels = s->result;
    return 0;
}

int64_t snap_first(const struct snap *s, int64_t index)
{
    struct paint_drawing d = {.first_frame = index};
    paint_drawing(s->paint, index, &d);
    return d.first_frame;
}

int snap_palette(const struct snap *s, const int32_t *shown, int64_t frames, const char *folder, struct err *e)
{
    return planes_palette(s->paint, shown, frames, folder, e);
}
