/* Stage 3: the networks. Frames go in through on_source and come out through on_frames into one lossless file per
 * segment; a complete segment is handed to the listener, who makes it durable. */
#include "engine/engine_int.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/shot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_MAX = 1 << 30 };

/* ---- what was made before ---- */

static bool intact(const char *path, const char *sha256, struct err *e)
{
    char found[HASH_HEX_SIZE];
    int64_t bytes;
    return hash_file(path, found, &bytes, e) == 0 && strcmp(found, sha256) == 0;
}

/* Takes segments in order until one does not fit; the last one taken must have its state. */
static int32_t accept_kept(struct engine__run *r, const struct engine_segment *keep, int count)
{
    int64_t first = 0;
    int32_t n = 0;
    for (; n < count && n < r->plan.segments; n++) {
        const struct engine_segment *s = &keep[n];
        if (s->n != n || s->first_frame != first || s->frames < 1 || !intact(s->path, s->sha256, NULL))
            break;
        r->segments[n] = *s;
        first += s->frames;
    }
    while (n > 0 && n < r->plan.segments && r->segments[n - 1].state_path[0] &&
           !intact(r->segments[n - 1].state_path, r->segments[n - 1].state_sha256, NULL))
        n--;
    if (n < count)
        log_event(LOG_WARN, "engine.kept_refused", "given", "i", (int64_t)count, "kept", "i", (int64_t)n, NULL);
    return n;
}

static int load_state(struct engine__run *r, struct err *e)
{
    const struct engine_segment *last = &r->segments[r->kept - 1];
    if (!last->state_path[0])
        return 0;
    struct buf b;
    buf_init(&b, STATE_MAX);
    if (fs_read(last->state_path, &b, e) != 0)
        return -1;
    size_t size;
    r->state = buf_take(&b, &size);
    r->mdl.resume_state = r->state;
    r->mdl.resume_state_size_bytes = size;
    return 0;
}

static int resume(struct engine__run *r, struct err *e)
{
    const struct engine_segment *keep = NULL;
    int count = 0;
    if (r->job->on_plan && r->job->on_plan(r->job->user, &r->plan, &keep, &count) != 0)
        return err_set(e, ERR_canceled_by_user, "the run was asked to stop");
    r->kept = r->done = accept_kept(r, keep, count);
    r->mdl.resume_segment = r->kept;
    return r->kept > 0 && r->kept < r->plan.segments ? load_state(r, e) : 0;
}

/* Snap and render against the survey's one decoding: 240 frames at 720p took 7 and 2 times as long with and without. */
static int64_t end_ms(const struct engine__run *r)
{
    bool snaps = r->input_kind == MDL_INPUT_LINEART && r->job->params->output_snap != SNAP_NONE;
    return r->survey_ms * (snaps ? 7 : 2);
}

static void forget_kept(struct engine__run *r)
{
    memset(r->segments, 0, (size_t)r->kept * sizeof *r->segments);
    r->kept = r->done = 0;
    r->mdl.resume_segment = 0;
    r->mdl.resume_state = NULL;
    r->mdl.resume_state_size_bytes = 0;
    shot_free(r->history);
    r->history = NULL;
    eta_init(&r->eta, r->plan.segments, r->plan.steps, 0, end_ms(r), clock_mono_ms());
}

/* ---- callbacks; non-zero stops, r->trouble says why ---- */

static int on_source(void *user, int64_t index, uint8_t *rgb)
{
    struct engine__run *r = user;
    if (index < 0 || index >= r->frames)
        return err_set(&r->trouble, ERR_internal, "the model asked for frame %lld", (long long)index);
    if (!r->source || index < r->source_next) {
        media_reader_close(r->source);
        r->source = NULL;
        r->source_next = 0;
        if (engine__open_input(r, &r->source, &r->trouble) != 0)
            return -1;
    }
    for (; r->source_next <= index; r->source_next++) {
        struct media_frame f;
        int got = engine__next(r, r->source, rgb, &f, &r->trouble);
        if (got < 0)
            return -1;
        if (got == 0)
            return err_set(&r->trouble, ERR_media_truncated, "the video ended early at its second reading");
    }
    return 0;
}

static int64_t frames_before(const struct engine__run *r)
{
    const struct engine_segment *last = r->done > 0 ? &r->segments[r->done - 1] : NULL;
    return last ? last->first_frame + last->frames : 0;
}

static int open_segment(struct engine__run *r, struct engine_segment *s)
{
    char name[32];
    snprintf(name, sizeof name, "segment-%05d.mkv", (int)r->done);
    if (engine__path(r, s->path, name, &r->trouble) != 0)
        return -1;
    s->n = r->done;
    s->segments = r->plan.segments;
    s->first_frame = frames_before(r);
    struct media_write_conf c = {.format = MEDIA_LOSSLESS,
                                 .width = r->plan.width,
                                 .height = r->plan.height,
                                 .channels = 3,
                                 .time_base_num = 1,
                                 .time_base_den = 24,
                                 .fps_num = 24,
                                 .fps_den = 1};
    return media_writer_open(&r->writer, s->path, &c, &r->trouble);
}

static int on_frames(void *user, const uint8_t *rgb, int64_t first_frame, int32_t n, int32_t width, int32_t height)
{
    struct engine__run *r = user;
    if (r->done >= r->plan.segments)
        return err_set(&r->trouble, ERR_internal, "the model delivered too many segments");
    struct engine_segment *s = &r->segments[r->done];
    if (!r->writer && open_segment(r, s) != 0)
        return -1;
    if (width != r->plan.width || height != r->plan.height || first_frame != s->first_frame + s->frames)
        return err_set(&r->trouble, ERR_internal, "the model delivered frame %lld at %dx%d, out of order or size",
                       (long long)first_frame, width, height);
    for (int32_t i = 0; i < n; i++, s->frames++)
        if (media_writer_put(r->writer, rgb + (size_t)i * (size_t)width * (size_t)height * 3, s->frames, NULL,
                             &r->trouble) != 0)
            return -1;
    return 0;
}

static int write_state(struct engine__run *r, struct engine_segment *s, const struct mdl_segment *from)
{
    if (!from->state || from->state_size_bytes == 0)
        return 0;
    char name[32];
    snprintf(name, sizeof name, "state-%05d.bin", (int)s->n);
    if (from->state_size_bytes > STATE_MAX)
        return err_set(&r->trouble, ERR_internal, "a segment's state is too large");
    if (engine__path(r, s->state_path, name, &r->trouble) != 0 ||
        fs_write_atomic(s->state_path, from->state, from->state_size_bytes, &r->trouble) != 0)
        return -1;
    hash_bytes(from->state, from->state_size_bytes, s->state_sha256);
    s->state_bytes = (int64_t)from->state_size_bytes;
    return 0;
}

static int preview(struct engine__run *r, const struct engine_segment *s)
{
    if (!r->job->on_preview)
        return 0;
    char path[ENGINE_PATH_MAX];
    if (engine__path(r, path, "latest.jpg", &r->trouble) != 0 ||
        engine__contact(r, s->first_frame, s->first_frame + s->frames - 1, path, &r->trouble) != 0)
        return -1;
    return r->job->on_preview(r->job->user, path)
               ? err_set(&r->trouble, ERR_canceled_by_user, "the run was asked to stop")
               : 0;
}

static int on_segment(void *user, const struct mdl_segment *from)
{
    struct engine__run *r = user;
    if (from->index != r->done || !r->writer || from->frames != r->segments[r->done].frames)
        return err_set(&r->trouble, ERR_internal, "the model ended segment %d with %d frames", from->index,
                       from->frames);
    struct engine_segment *s = &r->segments[r->done];
    struct media_writer *writer = r->writer;
    r->writer = NULL;
    if (media_writer_close(writer, 1, &r->trouble) != 0 || write_state(r, s, from) != 0 ||
        hash_file(s->path, s->sha256, &s->bytes, &r->trouble) != 0)
        return -1;
    r->done++;
    eta_segment_done(&r->eta, s->n, clock_mono_ms());
    if (r->job->on_segment && r->job->on_segment(r->job->user, s) != 0)
        return err_set(&r->trouble, ERR_canceled_by_user, "the run was asked to stop");
    return preview(r, s);
}

static int on_history(void *user, int64_t index, uint8_t *rgb)
{
    struct engine__run *r = user;
    const uint8_t *frame;
    if (!r->history)
        r->history = shot_new(r->segments, r->kept, r->plan.width, r->plan.height, &r->g->conf.limits);
    if (shot_frame(r->history, index, &frame, &r->trouble) != 0)
        return -1;
    memcpy(rgb, frame, (size_t)r->plan.width * (size_t)r->plan.height * 3);
    return 0;
}

/* Share of a segment's time that lies before and inside each stage, for the progress bar only. */
/* clang-format off */
static const struct {
    const char *name;
    double begin, share;
} stage_rows[] = {
    [MDL_STAGE_LOAD]      = {"load",      0.00, 0.00},
    [MDL_STAGE_TEXT]      = {"text",      0.00, 0.01},
    [MDL_STAGE_MEMORY]    = {"memory",    0.01, 0.05},
    [MDL_STAGE_ENCODE]    = {"encode",    0.06, 0.04},
    [MDL_STAGE_DIFFUSION] = {"diffusion", 0.10, 0.75},
    [MDL_STAGE_DECODE]    = {"vae",       0.85, 0.15},
};
/* clang-format on */

static int on_progress(void *user, const struct mdl_progress *p)
{
    struct engine__run *r = user;
    if (p->stage < 0 || p->stage > MDL_STAGE_DECODE)
        return 0;
    if (p->stage == MDL_STAGE_DIFFUSION)
        eta_step(&r->eta, p->segment, p->step, clock_mono_ms());
    double inside = p->steps > 0 ? (double)p->step / p->steps : 0;
    double segment = stage_rows[p->stage].begin + stage_rows[p->stage].share * inside;
    double all = (p->segment + segment) / r->plan.segments;
    int32_t ppm = SURVEY_PPM + (int32_t)((RENDER_PPM - SURVEY_PPM) * (all > 1 ? 1 : all));
    if (ppm > r->fraction_ppm)
        r->fraction_ppm = ppm;
    return engine__progress(r, stage_rows[p->stage].name, r->fraction_ppm, p->step, p->steps, p->frames_done,
                            &r->trouble);
}

int engine__colour(struct engine__run *r, struct err *e)
{
    if (resume(r, e) != 0)
        return -1;
    eta_init(&r->eta, r->plan.segments, r->plan.steps, r->kept, end_ms(r), clock_mono_ms());
    if (r->kept == r->plan.segments)
        return 0;
    r->mdl.on_source = on_source;
    r->mdl.on_frames = on_frames;
    r->mdl.on_segment = on_segment;
    r->mdl.on_history = on_history;
    r->mdl.on_progress = on_progress;
    r->mdl.user = r;
    struct mdl_error why = {0};
    int rc = r->g->lib.run(r->model, &r->mdl, &why);
    if (rc == MDL_EINVAL && r->kept > 0 && r->done == r->kept && !r->trouble.code) {
        /* The plan is the same, but the model knows better: what was kept is not its own. */
        log_event(LOG_WARN, "engine.started_over", "detail", "s", why.text, NULL);
        forget_kept(r);
        rc = r->g->lib.run(r->model, &r->mdl, &why);
    }
    media_reader_close(r->source);
    r->source = NULL;
    shot_free(r->history);
    r->history = NULL;
    if (r->trouble.code) {
        if (e)
            *e = r->trouble;
        return -1;
    }
    if (model_lib_check(rc, &why, e) != 0)
        return -1;
    if (r->done != r->plan.segments || frames_before(r) != r->plan.frames)
        return err_set(e, ERR_internal, "the model ended after %d of %d segments and %lld of %lld frames", r->done,
                       r->plan.segments, (long long)frames_before(r), (long long)r->plan.frames);
    return 0;
}
