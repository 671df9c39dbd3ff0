/* Stage 4: the network's frames of the whole shot become the result: the input's size (or the one that was asked
 * for), its frame times, its names. */
#include "engine/engine_int.h"

#include "engine/contact.h"
#include "engine/planes.h"
#include "engine/shot.h"
#include "engine/snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    enum media_format format;
    const char *extension;
} formats[] = {
    [FORMAT_MP4] = {MEDIA_MP4, "mp4"},
    [FORMAT_MOV] = {MEDIA_MOV, "mov"},
    [FORMAT_WEBM] = {MEDIA_WEBM, "webm"},
    [FORMAT_PNG_ZIP] = {MEDIA_PNG_ZIP, "zip"},
};

int engine__contact(struct engine__run *r, int64_t first, int64_t last, const char *path, struct err *e)
{
    struct contact c = {0};
    struct shot *shot = shot_new(r->segments, r->done, r->plan.width, r->plan.height, &r->g->conf.limits);
    int failed = contact_init(&c, first, last, r->plan.width, r->plan.height, e);
    for (int32_t i = 0; !failed && i < c.count; i++) {
        const uint8_t *rgb;
        failed = shot_frame(shot, c.wanted[i], &rgb, e) != 0 || contact_offer(&c, c.wanted[i], rgb, e) != 0;
    }
    failed = failed || contact_write(&c, path, e) != 0;
    contact_fini(&c);
    shot_free(shot);
    return failed ? -1 : 0;
}

/* clang-format off */
const struct engine_artifact engine_artifacts[ENGINE_ARTIFACTS] = {
    [ENGINE_PALETTE] = {PLANES_PALETTE, "application/json"}, [ENGINE_LINE] = {"line.zip", "application/zip"},
    [ENGINE_PAINT] = {"paint.zip", "application/zip"},       [ENGINE_REGIONS] = {"regions.zip", "application/zip"},
    [ENGINE_CONFIDENCE] = {"confidence.zip", "application/zip"}, [ENGINE_SHEET] = {"sheet.png", "image/png"},
};
/* clang-format on */

/* ---- names inside a zip ---- */

static size_t stem(const char *name)
{
    const char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    return dot && dot != name && (!slash || dot > slash + 1) ? (size_t)(dot - name) : strlen(name);
}

/* The input's name with .png; the reader has refused names that would collide. */
static const char *zip_name(const struct engine__run *r, int64_t index, char *out, size_t size)
{
    if (!r->names || index >= r->decoded || !r->names[index][0])
        return NULL;
    const char *from = r->names[index];
    int n = snprintf(out, size, "%.*s.png", (int)stem(from), from);
    return n > 0 && (size_t)n < size ? out : NULL;
}

/* ---- frames ---- */

/* Without a timesheet, and in zips of one file per drawing, every frame that the networks saw is a frame of the result.
 */
static bool exposed(const struct engine__run *r)
{
    return r->exposure.keep && (r->exposure.kind == EXPOSURE_FRAMES || r->job->params->output_format != FORMAT_PNG_ZIP);
}

/* What the loop over the frames works with. */
struct canvas {
    struct shot *shot;
    struct snap *snap; /* NULL = the network's frames as they are */
    struct media_writer *writer;
    struct contact contact;
    struct planes planes;
    int32_t channels; /* of the result */
    uint8_t *frame;   /* one frame at the result's size */
    uint8_t *rgb;     /* the same over white, for the contact sheet */
    int64_t at;       /* whose picture is in `frame`, counted as the networks saw them; -1 = none */
};

static const uint8_t *over_white(const struct engine__run *r, struct canvas *c)
{
    if (c->channels == 3)
        return c->frame;
    for (int64_t i = 0, n = (int64_t)r->result.width * r->result.height; i < n; i++)
        for (int k = 0; k < 3; k++) {
            int a = c->frame[4 * i + 3];
            c->rgb[3 * i + k] = (uint8_t)((c->frame[4 * i + k] * a + 255 * (255 - a) + 127) / 255);
        }
    return c->rgb;
}

/* Puts frame `index` of those that the networks saw into c->frame. */
static int draw(struct engine__run *r, struct canvas *c, int64_t index, struct err *e)
{
    const uint8_t *from;
    int32_t width = r->plan.width, height = r->plan.height;
    c->at = -1;
    if (shot_frame(c->shot, index, &from, e) != 0)
        return -1;
    if (c->snap) {
        width = r->info.width;
        height = r->info.height;
        if (snap_frame(c->snap, index, from, NULL, &from, e) != 0)
            return -1;
    }
    if (media_scale(from, width, height, c->channels, c->frame, r->result.width, r->result.height, e) != 0)
        return -1;
    c->at = index;
    return 0;
}

/* An empty cel: nothing, or white where nothing cannot be said. */
static void draw_nothing(const struct engine__run *r, struct canvas *c)
{
    size_t pixels = (size_t)r->result.width * (size_t)r->result.height;
    memset(c->frame, c->channels == 4 ? 0 : 255, pixels * (size_t)c->channels);
    c->at = -1;
}

static int render_frame(struct engine__run *r, struct canvas *c, int64_t i, struct err *e)
{
    char name[1100];
    int64_t input = i + r->skip_first, index = i;
    if (exposed(r)) {
        index = r->exposure.shown[i];
        if (index >= 0 && c->snap)
            index = snap_first(c->snap, index);
    }
    if (index < 0)
        draw_nothing(r, c);
    else if (index != c->at && draw(r, c, index, e) != 0)
        return -1;
    if (contact_offer(&c->contact, i, over_white(r, c), e) != 0 ||
        media_writer_put(c->writer, c->frame, r->pts[input], zip_name(r, input, name, sizeof name), e) != 0)
        return -1;
    int64_t looked_at = c->snap ? SNAP_COST * r->plan.frames : 0;
    eta_end(&r->eta, looked_at + i + 1, looked_at + r->result.frames);
    int32_t begin = c->snap ? SNAP_PPM : RENDER_PPM;
    int32_t ppm = begin + (int32_t)((WRITTEN_PPM - begin) * (i + 1) / r->result.frames);
    return engine__progress(r, "render", ppm, 0, 0, i + 1, e);
}

/* ---- what comes beside the result ---- */

/* Of every frame of the input, under its name; with a timesheet of every drawing that was painted. */
static int write_planes(struct engine__run *r, struct canvas *c, struct err *e)
{
    char name[1100];
    const uint8_t *from;
    int64_t i = -1;
    if (planes_open(&c->planes, r->job->work_dir, r->info.width, r->info.height, e) != 0)
        return -1;
    for (int64_t input = r->skip_first; input < r->decoded; input++) {
        bool again = r->exposure.keep && !r->exposure.keep[input];
        if (again && r->sheet.frames > 0)
            continue;
        i += !again;
        if (i == r->plan.frames)
            break;
        if ((!again &&
             (shot_frame(c->shot, i, &from, e) != 0 || snap_frame(c->snap, i, from, &c->planes, &from, e) != 0)) ||
            planes_put(&c->planes, r->info.width, r->info.height, zip_name(r, input, name, sizeof name), e) != 0 ||
            engine__progress(r, "planes", WRITTEN_PPM, 0, 0, r->result.frames, e) != 0)
            return -1;
    }
    return planes_close(&c->planes, e);
}

static int write_artifacts(struct engine__run *r, struct canvas *c, struct err *e)
{
    struct engine_result *to = &r->result;
    char path[ENGINE_PATH_MAX];
    snprintf(to->artifact_dir, sizeof to->artifact_dir, "%s", r->job->work_dir);
    if (!c->snap)
        return 0;
    if (snap_palette(c->snap, exposed(r) ? r->exposure.shown : NULL, to->frames, r->job->work_dir, e) != 0)
        return -1;
    to->artifacts = 1 << ENGINE_PALETTE;
    if (!r->job->params->output_planes)
        return 0;
    if (write_planes(r, c, e) != 0 || engine__path(r, path, engine_artifacts[ENGINE_SHEET].name, e) != 0 ||
        contact_write(&c->contact, path, e) != 0)
        return -1;
    to->artifacts = (1 << ENGINE_ARTIFACTS) - 1;
    return 0;
}

/* How long the last frame is shown, in time_base; 0 = as the one before it. */
static int64_t last_duration(const struct engine__run *r)
{
    int64_t last = r->result.frames - 1 + r->skip_first;
    if (!r->exposure.keep && last + 1 < r->frames)
        return r->pts[last + 1] - r->pts[last];
    return r->last_long > 0 ? r->last_long : r->result.frames == 1 ? 1 : 0;
}

static int render_all(struct engine__run *r, struct canvas *c, struct err *e)
{
    const struct engine_result *to = &r->result;
    struct media_write_conf conf = {.format = formats[r->job->params->output_format].format,
                                    .width = to->width,
                                    .height = to->height,
                                    .time_base_num = r->time_base_num,
                                    .time_base_den = r->time_base_den,
                                    .fps_num = r->info.fps_num,
                                    .fps_den = r->info.fps_den};
    c->frame = malloc((size_t)to->width * (size_t)to->height * 4);
    c->rgb = malloc((size_t)to->width * (size_t)to->height * 3);
    if (!c->frame || !c->rgb)
        return err_set(e, ERR_internal, "out of memory");
    c->shot = shot_new(r->segments, r->done, r->plan.width, r->plan.height, &r->g->conf.limits);
    if (snap_open(&c->snap, r, c->shot, e) != 0)
        return -1;
    conf.channels = c->channels = c->snap ? snap_channels(c->snap) : 3;
    if (contact_init(&c->contact, 0, to->frames - 1, to->width, to->height, e) != 0 ||
        media_writer_open(&c->writer, to->path, &conf, e) != 0)
        return -1;
    for (int64_t i = 0; i < to->frames; i++)
        if (render_frame(r, c, i, e) != 0)
            return -1;
    struct media_writer *writer = c->writer;
    c->writer = NULL;
    if (media_writer_close(writer, last_duration(r), e) != 0 || contact_write(&c->contact, to->preview_path, e) != 0)
        return -1;
    return write_artifacts(r, c, e);
}

int engine__render(struct engine__run *r, struct err *e)
{
    const struct job_params *p = r->job->params;
    struct engine_result *to = &r->result;
    struct canvas c = {.at = -1};
    char name[32];
    snprintf(name, sizeof name, "result.%s", formats[p->output_format].extension);
    to->width = p->width ? p->width : r->info.width;
    to->height = p->height ? p->height : r->info.height;
    to->frames = exposed(r) ? r->exposure.shown_count : r->plan.frames;
    snprintf(to->content_type, sizeof to->content_type, "%s", media_content_type(formats[p->output_format].format));
    int failed = engine__path(r, to->path, name, e) != 0 || engine__path(r, to->preview_path, "preview.jpg", e) != 0;
    if (!failed && r->job->result_path) {
        failed = strlen(r->job->result_path) >= sizeof to->path;
        if (failed)
            err_set(e, ERR_internal, "the result's path is too long");
        else
            memcpy(to->path, r->job->result_path, strlen(r->job->result_path) + 1);
    }
    failed = failed || render_all(r, &c, e) != 0 || hash_file(to->path, to->sha256, &to->bytes, e) != 0;
    media_writer_abort(c.writer);
    planes_fini(&c.planes);
    contact_fini(&c.contact);
    snap_close(c.snap);
    shot_free(c.shot);
    free(c.frame);
    free(c.rgb);
    if (failed)
        return -1;
    if (r->job->on_preview && r->job->on_preview(r->job->user, to->preview_path) != 0)
        return err_set(e, ERR_canceled_by_user, "the run was asked to stop");
    return 0;
}
