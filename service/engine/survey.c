/* Stage 1: every frame of the input is decoded once, before any network runs. After it the number of frames is a
 * fact, a file that ends early has been refused, and it is known whether the shot is line art. */
#include "engine/engine_int.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/lineart_detect.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOK_EVERY = 6, /* frames between two looks for line art */
    LOOKS = 3,      /* frames that must have an opinion */
    LOOK_UNTIL = 240
};

int engine__open_input(const struct engine__run *r, struct media_reader **out, struct err *e)
{
    return media_reader_open(out, r->job->video_path, true, &r->g->conf.limits, e);
}

/* Straight alpha over white: transparent paper is paper. */
static void over_white(const uint8_t *rgba, int64_t pixels, uint8_t *rgb)
{
    for (int64_t i = 0; i < pixels; i++) {
        uint32_t a = rgba[4 * i + 3];
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * a + 255 * (255 - a) + 127) / 255);
    }
}

int engine__next(const struct engine__run *r, struct media_reader *reader, uint8_t *rgb, struct media_frame *out,
                 struct err *e)
{
    struct media_frame f;
    int got;
    do
        got = media_reader_next(reader, &f, e);
    while (got == 1 && r->exposure.keep && f.index < r->exposure.frames && !r->exposure.keep[f.index]);
    if (got != 1)
        return got;
    if (f.width != r->info.width || f.height != r->info.height)
        return err_set(e, ERR_media_unreadable, "frame %lld has another size than the frames before it",
                       (long long)f.index);
    int64_t pixels = (int64_t)f.width * f.height;
    if (f.channels == 4)
        over_white(f.pixels, pixels, rgb);
    else
        memcpy(rgb, f.pixels, (size_t)pixels * 3);
    *out = f;
    return 1;
}

static int grow(struct engine__run *r, int64_t *capacity, bool named)
{
    *capacity = *capacity ? *capacity * 2 : 256;
    int64_t *pts = realloc(r->pts, (size_t)*capacity * sizeof *pts);
    if (pts)
        r->pts = pts;
    char **names = named ? realloc(r->names, (size_t)*capacity * sizeof *names) : NULL;
    if (names)
        r->names = names;
    return pts && (names || !named) ? 0 : -1;
}

static int keep_times(struct engine__run *r, const struct media_frame *f, int64_t *capacity, struct err *e)
{
    bool zip = r->info.kind == MEDIA_FRAMES_ZIP;
    if (r->decoded >= r->g->conf.limits.frames)
        return err_set(e, ERR_media_too_many_frames, "the video has more than %lld frames",
                       (long long)r->g->conf.limits.frames);
    if (r->decoded == *capacity && grow(r, capacity, zip) != 0)
        return err_set(e, ERR_internal, "out of memory");
    int64_t pts = zip ? r->decoded : f->pts;
    if (r->decoded > 0 && pts <= r->pts[r->decoded - 1])
        pts = r->pts[r->decoded - 1] + 1;
    if (zip && !(r->names[r->decoded] = strdup(f->name ? f->name : "")))
        return err_set(e, ERR_internal, "out of memory");
    r->pts[r->decoded++] = pts;
    r->last_long = f->duration;
    return 0;
}

/* prints: of as many frames as the timesheet has, or NULL. */
static int survey_frames(struct engine__run *r, struct media_reader *reader, uint8_t *rgb, uint8_t *prints,
                         struct err *e)
{
    struct lineart_votes votes = {0};
    bool look = r->job->params->input == INPUT_AUTO && r->job->params->profile == PROFILE_COMPLETE;
    int64_t capacity = 0, expected = r->info.frames > 0 ? r->info.frames : 1;
    for (;;) {
        struct media_frame f;
        int got = engine__next(r, reader, rgb, &f, e);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        if (prints && r->decoded < r->sheet.frames)
            exposure_print(rgb, f.width, f.height, prints + r->decoded * EXPOSURE_PRINT);
        if (!prints && drawings_offer(&r->drawings, &f, e) != 0)
            return -1;
        if (look && r->decoded % LOOK_EVERY == 0 && r->decoded < LOOK_UNTIL && votes.lines + votes.color < LOOKS)
            lineart_vote(&votes, lineart_detect(rgb, f.width, f.height));
        if (keep_times(r, &f, &capacity, e) != 0)
            return -1;
        int64_t ppm = r->decoded * SURVEY_PPM / expected;
        if (engine__progress(r, "decode", ppm > SURVEY_PPM ? SURVEY_PPM : (int32_t)ppm, 0, 0, 0, e) != 0)
            return -1;
    }
    r->frames = r->decoded;
    if (r->frames == 0)
        return err_set(e, ERR_media_no_video, "the video has no frame");
    bool lines = look ? lineart_verdict(&votes) == LINEART_LINES : r->job->params->input == INPUT_LINEART;
    r->input_kind = lines ? MDL_INPUT_LINEART : MDL_INPUT_COLOR;
    return 0;
}

static int survey_video(struct engine__run *r, struct err *e)
{
    struct media_reader *reader = NULL;
    uint8_t *rgb = NULL, *prints = NULL;
    int failed = -1;
    if (hash_file(r->job->video_path, r->video_sha256, &r->video_bytes, e) != 0 ||
        engine__open_input(r, &reader, e) != 0)
        goto out;
    r->info = *media_reader_info(reader);
    if (r->info.kind == MEDIA_FRAMES_ZIP) {
        r->info.fps_num = r->job->params->fps_num;
        r->info.fps_den = r->job->params->fps_den;
        r->time_base_num = r->info.fps_den;
        r->time_base_den = r->info.fps_num;
    } else {
        media_reader_time_base(reader, &r->time_base_num, &r->time_base_den);
    }
    drawings_init(&r->drawings, r->job->params, &r->info);
    rgb = malloc((size_t)r->info.width * (size_t)r->info.height * 3);
    if (r->sheet.frames > 0)
        prints = malloc((size_t)r->sheet.frames * EXPOSURE_PRINT);
    if (!rgb || (r->sheet.frames > 0 && !prints)) {
        err_set(e, ERR_internal, "out of memory");
        goto out;
    }
    int64_t began_ms = clock_mono_ms();
    failed = survey_frames(r, reader, rgb, prints, e);
    drawings_end(&r->drawings);
    r->survey_ms = clock_mono_ms() - began_ms;
    if (!failed && prints)
        failed = engine__expose(r, prints, e);
out:
    media_reader_close(reader);
    free(rgb);
    free(prints);
    return failed;
}

static int read_reference(struct engine__run *r, int i, struct err *e)
{
    struct picture *p = &r->references[i];
    uint8_t *rgba = NULL;
    if (hash_file(r->job->reference_paths[i], r->reference_sha256[i], &r->reference_bytes[i], e) != 0 ||
        media_still_read(r->job->reference_paths[i], 4, &r->g->conf.limits, &rgba, &p->width, &p->height, e) != 0)
        return -1;
    int64_t pixels = (int64_t)p->width * p->height;
    p->rgb = malloc((size_t)pixels * 3);
    if (p->rgb)
        over_white(rgba, pixels, p->rgb);
    free(rgba);
    return p->rgb ? 0 : err_set(e, ERR_internal, "out of memory");
}

static int read_palette(struct engine__run *r, struct err *e)
{
    struct buf b;
    buf_init(&b, PALETTE_FILE_MAX);
    r->palette = calloc(1, sizeof *r->palette);
    if (!r->palette)
        abort();
    int failed = fs_read(r->job->palette_path, &b, e) != 0 ||
                 hash_file(r->job->palette_path, r->palette_sha256, &r->palette_bytes, e) != 0 ||
                 palette_parse(r->palette, b.data ? b.data : "", b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : 0;
}

static int read_timesheet(struct engine__run *r, struct err *e)
{
    struct buf b;
    buf_init(&b, TIMESHEET_FILE_MAX);
    int failed = fs_read(r->job->timesheet_path, &b, e) != 0 ||
                 hash_file(r->job->timesheet_path, r->timesheet_sha256, &r->timesheet_bytes, e) != 0 ||
                 timesheet_parse(&r->sheet, b.data ? b.data : "", b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : 0;
}

int engine__survey(struct engine__run *r, struct err *e)
{
    if (r->job->reference_count < 1 || r->job->reference_count > 4)
        return err_set_field(e, ERR_part_missing, "reference", "one to four references are needed");
    for (int i = 0; i < r->job->reference_count; i++)
        if (read_reference(r, i, e) != 0)
            return -1;
    if ((r->job->palette_path && read_palette(r, e) != 0) || (r->job->timesheet_path && read_timesheet(r, e) != 0))
        return -1;
    return survey_video(r, e);
}
