/* longanim paint: exact paint from line art, any coloured version of it, and a reference. Two passes over the files
 * (paint/paint.h); no network runs here. */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/contact.h"
#include "engine/engine.h"
#include "engine/planes.h"
#include "paint/exposure.h"
#include "paint/paint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REFERENCES_MAX = 4 };

struct paint_cmd {
    /* arguments */
    const char *lines, *proposal, *out, *palette_file, *mode, *trace, *background, *line_color, *planes_folder, *sheet,
        *timesheet_file;
    struct cli_list references;
    int64_t gap, threshold, fps;
    unsigned trace_lines;
    uint8_t line_rgb[3];
    /* the run */
    struct media_limits limits;
    enum media_format format;
    struct paint_conf conf;
    struct palette palette;
    struct media_reader *line_reader, *proposal_reader;
    struct media_info info;
    int32_t time_base_num, time_base_den;
    struct paint_image pictures[REFERENCES_MAX];
    struct paint *paint;
    struct paint_scratch *scratch;
    struct timesheet timesheet;
    struct exposure exposure; /* keep is NULL without a timesheet */
    char **names;             /* of the lines' frames, with a timesheet: NULL where they have none */
    int64_t *pts;             /* and their times, when there is one for each frame of the sheet */
    struct media_writer *writer;
    struct planes planes;
    uint8_t *result, *rgb; /* one frame each; rgb: over white, for the contact sheet */
    struct contact contact;
    struct cli_progress progress;
};

/* ---- arguments ---- */
static const struct {
    const char *end;
    enum media_format format;
} endings[] = {{".mp4", MEDIA_MP4}, {".mov", MEDIA_MOV}, {".webm", MEDIA_WEBM}, {".zip", MEDIA_PNG_ZIP}};

static int choose_format(struct paint_cmd *c, struct err *e)
{
    size_t length = strlen(c->out);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i].end);
        if (length > end && strcasecmp(c->out + length - end, endings[i].end) == 0) {
            c->format = endings[i].format;
            return 0;
        }
    }
    return err_set(e, ERR_params_invalid, "%s ends in none of .mp4 .mov .webm .zip", c->out);
}

static int read_line_color(const char *text, uint8_t rgb[3], struct err *e)
{
    unsigned long v;
    char *end;
    if (text[0] == '#')
        text++;
    v = strtoul(text, &end, 16);
    if (strlen(text) != 6 || *end)
        return err_set(e, ERR_params_invalid, "--line-color takes #rrggbb");
    for (int i = 0; i < 3; i++)
        rgb[i] = (uint8_t)(v >> (16 - 8 * i));
    return 0;
}

static int check_arguments(struct paint_cmd *c, struct err *e)
{
    if (!c->lines || !c->proposal || !c->out || (c->references.count == 0 && !c->palette_file))
        return err_set(e, ERR_params_invalid, "--lines, --proposal, --out and --reference or --palette are needed");
    if (c->references.count > REFERENCES_MAX)
        return err_set(e, ERR_params_invalid, "there are more than four references");
    if (c->fps < 1 || c->fps > 1000)
        return err_set(e, ERR_params_invalid, "--fps is 1 to 1000");
    if (c->background && strcmp(c->background, "keep") != 0 && strcmp(c->background, "transparent") != 0)
        return err_set(e, ERR_params_invalid, "--background is keep or transparent");
    if (c->mode && strcmp(c->mode, "auto") != 0 && strcmp(c->mode, "flat") != 0 && strcmp(c->mode, "smooth") != 0)
        return err_set(e, ERR_params_invalid, "--mode is auto, flat or smooth");
    if (c->gap < -1 || c->gap > PAINT_GAP_MAX)
        return err_set(e, ERR_params_invalid, "--gap is 0 to %d", PAINT_GAP_MAX);
    if (c->threshold != -1 && (c->threshold < 1 || c->threshold > 254))
        return err_set(e, ERR_params_invalid, "--line-threshold is 1 to 254");
    if (c->trace && paint_trace_lines(c->trace, &c->trace_lines) != 0)
        return err_set(e, ERR_params_invalid, "--trace-lines takes red, green and blue, with commas between");
    if (c->line_color && read_line_color(c->line_color, c->line_rgb, e) != 0)
        return -1;
    return choose_format(c, e);
}

static void configure(struct paint_cmd *c)
{
    struct paint_conf *p = &c->conf;
    paint_conf_init(p, c->info.width, c->info.height);
    p->gap_px = (int32_t)c->gap;
    p->line_threshold = (int32_t)c->threshold;
    p->hold_tolerance = paint_hold_tolerance(c->info.codec);
    p->transparent = c->info.has_alpha || (c->background && strcmp(c->background, "transparent") == 0);
    if (c->mode && strcmp(c->mode, "auto") != 0)
        p->mode = strcmp(c->mode, "flat") == 0 ? PAINT_FLAT : PAINT_SMOOTH;
    p->trace_lines = c->trace_lines;
    p->recolor_lines = c->line_color != NULL;
    memcpy(p->line_rgb, c->line_rgb, sizeof p->line_rgb);
}

/* ---- files in ---- */
static int read_palette(struct paint_cmd *c, struct err *e)
{
    struct buf b;
    if (!c->palette_file)
        return 0;
    buf_init(&b, PALETTE_FILE_MAX);
    int failed =
        fs_read(c->palette_file, &b, e) != 0 || palette_parse(&c->palette, b.data ? b.data : "", b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : 0;
}

static int read_references(struct paint_cmd *c, struct err *e)
{
    for (int i = 0; i < c->references.count; i++) {
        uint8_t *pixels;
        if (media_still_read(c->references.items[i], 4, &c->limits, &pixels, &c->pictures[i].width,
                             &c->pictures[i].height, e) != 0)
            return -1;
        c->pictures[i].pixels = pixels;
        c->pictures[i].channels = 4;
    }
    return 0;
}

static int open_readers(struct paint_cmd *c, bool with_proposal, struct err *e)
{
    media_reader_close(c->line_reader);
    media_reader_close(c->proposal_reader);
    c->line_reader = c->proposal_reader = NULL;
    if (media_reader_open(&c->line_reader, c->lines, true, &c->limits, e) != 0)
        return -1;
    return with_proposal ? media_reader_open(&c->proposal_reader, c->proposal, false, &c->limits, e) : 0;
}

/* The next frame of both files. 1, 0 at the end of the lines, -1. */
static int next_of_all(struct paint_cmd *c, struct media_frame *line, struct media_frame *proposal, struct err *e)
{
    int got = media_reader_next(c->line_reader, line, e);
    if (got <= 0 || !c->proposal_reader)
        return got;
    int also = media_reader_next(c->proposal_reader, proposal, e);
    if (also == 0)
        return err_set(e, ERR_params_invalid, "%s has only %lld frames, the lines have more", c->proposal,
                       (long long)line->index);
    return also;
}

/* The same, of the frames that the timesheet keeps. */
static int next_pair(struct paint_cmd *c, struct media_frame *line, struct media_frame *proposal, struct err *e)
{
    int got;
    do
        got = next_of_all(c, line, proposal, e);
    while (got == 1 && c->exposure.keep && line->index < c->exposure.frames && !c->exposure.keep[line->index]);
    return got;
}

static struct paint_image image_of(const struct media_frame *f)
{
    return (struct paint_image){f->pixels, f->width, f->height, f->channels};
}

/* ---- the timesheet ---- */

/* Looks at every frame of the lines for its name and its print. */
static int look_at_frames(struct paint_cmd *c, uint8_t *prints, int32_t *count, struct err *e)
{
    struct media_reader *reader = NULL;
    struct media_frame f;
    int64_t *pts = malloc((size_t)c->timesheet.frames * sizeof *pts);
    if (!pts)
        return err_set(e, ERR_internal, "no memory for a timesheet");
    c->pts = pts;
    int got = media_reader_open(&reader, c->lines, false, &c->limits, e) != 0 ? -1 : 1;
    for (*count = 0; got > 0 && (got = media_reader_next(reader, &f, e)) > 0; ++*count) {
        if (*count < c->timesheet.frames) {
            exposure_print(f.pixels, f.width, f.height, prints + (size_t)*count * EXPOSURE_PRINT);
            pts[*count] = f.pts < 0 ? *count : f.pts;
        }
        if (*count < c->limits.frames && f.name)
            c->names[*count] = strdup(f.name);
        if (*count >= c->limits.frames || (f.name && !c->names[*count]) || cli_interrupted())
            got = err_set(e, cli_interrupted() ? ERR_canceled_by_user : ERR_media_too_many_frames,
                          "%s has too many frames", c->lines);
    }
    media_reader_close(reader);
    return got < 0 ? -1 : 0;
}

static int expose(struct paint_cmd *c, struct err *e)
{
    uint8_t *prints = malloc((size_t)c->timesheet.frames * EXPOSURE_PRINT);
    int32_t count = 0;
    c->names = calloc((size_t)c->limits.frames, sizeof *c->names);
    int failed = prints && c->names ? look_at_frames(c, prints, &count, e)
                                    : err_set(e, ERR_internal, "no memory for a timesheet");
    bool named = !failed && count > 0 && c->names[0];
    if (!failed)
        failed = exposure_init(&c->exposure, &c->timesheet, count, named ? (const char *const *)(void *)c->names : NULL,
                               e) != 0 ||
                 exposure_check(&c->exposure, prints, e) != 0;
    if (!failed && c->exposure.kind == EXPOSURE_DRAWINGS) {
        free(c->pts);
        c->pts = NULL;
    }
    free(prints);
    return failed ? -1 : 0;
}

static int read_timesheet(struct paint_cmd *c, struct err *e)
{
    struct buf b;
    if (!c->timesheet_file)
        return 0;
    buf_init(&b, TIMESHEET_FILE_MAX);
    int failed =
        fs_read(c->timesheet_file, &b, e) != 0 || timesheet_parse(&c->timesheet, b.data ? b.data : "", b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : expose(c, e);
}

/* A zip of drawings stays one in a zip; everything else shows what the sheet says. */
static bool exposed(const struct paint_cmd *c)
{
    return c->exposure.keep && (c->exposure.kind == EXPOSURE_FRAMES || c->format != MEDIA_PNG_ZIP);
}

/* ---- pass 1 ---- */
static int observe(struct paint_cmd *c, struct err *e)
{
    struct media_frame line, proposal;
    int got;
    while ((got = next_pair(c, &line, &proposal, e)) > 0) {
        struct paint_image l = image_of(&line), p = image_of(&proposal);
        if (cli_interrupted())
            return err_set(e, ERR_canceled_by_user, "interrupted");
        if (paint_observe(c->paint, &l, &p, e) != 0)
            return -1;
        cli_progress_count(&c->progress, "looking at frames", line.index + 1, c->info.frames);
    }
    if (got == 0 && paint_frames(c->paint) == 0)
        return err_set(e, ERR_media_unreadable, "%s has no frames", c->lines);
    return got < 0 ? -1 : paint_decide(c->paint, e);
}

/* ---- files out ---- */
static int64_t frames_out(const struct paint_cmd *c)
{
    return exposed(c) ? c->exposure.shown_count : paint_frames(c->paint);
}

static int open_outputs(struct paint_cmd *c, int32_t channels, struct err *e)
{
    size_t pixels = (size_t)c->info.width * (size_t)c->info.height;
    struct media_write_conf conf = {.format = c->format,
                                    .width = c->info.width,
                                    .height = c->info.height,
                                    .channels = channels,
                                    .time_base_num = c->time_base_num,
                                    .time_base_den = c->time_base_den,
                                    .fps_num = c->info.fps_num,
                                    .fps_den = c->info.fps_den};
    c->result = malloc(pixels * 4);
    c->rgb = malloc(pixels * 3);
    if (!c->result || !c->rgb)
        return err_set(e, ERR_internal, "no memory for a frame");
    if (media_writer_open(&c->writer, c->out, &conf, e) != 0)
        return -1;
    if (c->sheet && contact_init(&c->contact, 0, frames_out(c) - 1, c->info.width, c->info.height, e) != 0)
        return -1;
    if (!c->planes_folder)
        return 0;
    return fs_mkdirs(c->planes_folder, e) != 0 ||
                   planes_open(&c->planes, c->planes_folder, c->info.width, c->info.height, e) != 0
               ? -1
               : 0;
}

static const uint8_t *over_white(struct paint_cmd *c, int32_t channels)
{
    if (channels == 3)
        return c->result;
    for (int64_t i = 0, n = (int64_t)c->info.width * c->info.height; i < n; i++)
        for (int k = 0; k < 3; k++) {
            int a = c->result[4 * i + 3];
            c->rgb[3 * i + k] = (uint8_t)((c->result[4 * i + k] * a + 255 * (255 - a) + 127) / 255);
        }
    return c->rgb;
}

/* One frame of the result. */
static int put(struct paint_cmd *c, int64_t index, int64_t pts, const char *name, int32_t channels, struct err *e)
{
    if (media_writer_put(c->writer, c->result, pts, name, e) != 0)
        return -1;
    return c->sheet ? contact_offer(&c->contact, index, over_white(c, channels), e) : 0;
}

static int close_outputs(struct paint_cmd *c, int64_t last_duration, struct err *e)
{
    struct media_writer *writer = c->writer;
    c->writer = NULL;
    if (media_writer_close(writer, last_duration, e) != 0)
        return -1;
    if (c->planes_folder &&
        (planes_close(&c->planes, e) != 0 ||
         planes_palette(c->paint, exposed(c) ? c->exposure.shown : NULL, frames_out(c), c->planes_folder, e) != 0))
        return -1;
    return c->sheet ? contact_write(&c->contact, c->sheet, e) : 0;
}

/* ---- pass 2 ---- */
static int paint_one(struct paint_cmd *c, int64_t index, const struct media_frame *line,
                     const struct media_frame *proposal, int32_t channels, bool with_planes, struct err *e)
{
    struct paint_image l = image_of(line), p = proposal ? image_of(proposal) : l;
    struct paint_planes to = {.result = c->result, .result_channels = channels};
    if (cli_interrupted())
        return err_set(e, ERR_canceled_by_user, "interrupted");
    if (with_planes)
        planes_offer(&c->planes, &to);
    if (paint_render(c->paint, c->scratch, index, &l, proposal ? &p : NULL, &to, e) != 0)
        return -1;
    return with_planes ? planes_put(&c->planes, line->width, line->height, line->name, e) : 0;
}

/* Every frame that was looked at, once and in order; written as it comes unless the timesheet says otherwise. */
static int render_in_order(struct paint_cmd *c, int32_t channels, bool smooth, bool write, int64_t *duration,
                           struct err *e)
{
    struct media_frame line, proposal;
    int64_t index = 0;
    int got;
    for (; (got = next_pair(c, &line, &proposal, e)) > 0; index++) {
        if (paint_one(c, index, &line, smooth ? &proposal : NULL, channels, c->planes_folder != NULL, e) != 0 ||
            (write && put(c, index, line.pts < 0 ? index : line.pts, line.name, channels, e) != 0))
            return -1;
        *duration = line.duration;
        cli_progress_count(&c->progress, "painting frames", index + 1, c->info.frames);
    }
    return got < 0 ? -1 : 0;
}

/* The frames that show one drawing look like the first of them, which is where painting it has to begin. */
static int paint_shown(struct paint_cmd *c, int64_t wanted, int64_t *next, int32_t channels, bool smooth, struct err *e)
{
    struct media_frame line, proposal;
    if (wanted < *next) {
        if (open_readers(c, smooth, e) != 0)
            return -1;
        *next = 0;
    }
    for (; *next <= wanted; ++*next)
        if (next_pair(c, &line, &proposal, e) != 1)
            return err_set(e, ERR_media_truncated, "%s ended early at its last reading", c->lines);
    return paint_one(c, wanted, &line, smooth ? &proposal : NULL, channels, false, e);
}

static int render_exposed(struct paint_cmd *c, int32_t channels, bool smooth, struct err *e)
{
    const struct exposure *x = &c->exposure;
    int64_t next = 0, at = -1;
    if (open_readers(c, smooth, e) != 0)
        return -1;
    for (int32_t i = 0; i < x->shown_count; i++) {
        struct paint_drawing d = {.first_frame = -1};
        if (x->shown[i] >= 0 && paint_drawing(c->paint, x->shown[i], &d) != 0)
            return err_set(e, ERR_internal, "frame %d was not painted", x->shown[i]);
        if (d.first_frame < 0) /* an empty cel */
            memset(c->result, channels == 4 ? 0 : 255,
                   (size_t)c->info.width * (size_t)c->info.height * (size_t)channels);
        else if (d.first_frame != at && paint_shown(c, d.first_frame, &next, channels, smooth, e) != 0)
            return -1;
        at = d.first_frame;
        const char *name = x->kind == EXPOSURE_FRAMES && c->names ? c->names[i] : NULL;
        int64_t pts = c->pts ? c->pts[i] : i;
        if (put(c, i, pts, name, channels, e) != 0)
            return -1;
        cli_progress_count(&c->progress, "writing frames", i + 1, x->shown_count);
    }
    return 0;
}

static int render(struct paint_cmd *c, struct err *e)
{
    bool smooth = paint_mode_used(c->paint) == PAINT_SMOOTH;
    int32_t channels = c->conf.transparent && c->format != MEDIA_MP4 ? 4 : 3;
    int64_t duration = 0;
    c->scratch = paint_scratch_new(c->paint);
    if (!c->scratch)
        return err_set(e, ERR_internal, "no memory for a frame");
    if (open_readers(c, smooth, e) != 0 || open_outputs(c, channels, e) != 0)
        return -1;
    bool in_order = !exposed(c);
    if ((in_order || c->planes_folder) && render_in_order(c, channels, smooth, in_order, &duration, e) != 0)
        return -1;
    if (!in_order && render_exposed(c, channels, smooth, e) != 0)
        return -1;
    return close_outputs(c, in_order ? duration : 0, e);
}

/* ---- the whole ---- */
static int run(struct paint_cmd *c, struct err *e)
{
    if (read_palette(c, e) != 0 || read_timesheet(c, e) != 0 || read_references(c, e) != 0 ||
        open_readers(c, true, e) != 0)
        return -1;
    c->info = *media_reader_info(c->line_reader);
    media_reader_time_base(c->line_reader, &c->time_base_num, &c->time_base_den);
    if (c->info.kind == MEDIA_FRAMES_ZIP) {
        c->time_base_num = c->info.fps_den = 1;
        c->time_base_den = c->info.fps_num = (int32_t)c->fps;
    }
    configure(c);
    if (paint_open(&c->paint, &c->conf, c->pictures, c->references.count, c->palette_file ? &c->palette : NULL, e) != 0)
        return -1;
    return observe(c, e) != 0 ? -1 : render(c, e);
}

static void finish(struct paint_cmd *c)
{
    media_reader_close(c->line_reader);
    media_reader_close(c->proposal_reader);
    media_writer_abort(c->writer);
    planes_fini(&c->planes);
    exposure_fini(&c->exposure);
    timesheet_fini(&c->timesheet);
    for (int64_t i = 0; c->names && i < c->limits.frames; i++)
        free(c->names[i]);
    free(c->names);
    free(c->pts);
    for (int i = 0; i < c->references.count && i < REFERENCES_MAX; i++)
        free((uint8_t *)(uintptr_t)c->pictures[i].pixels);
    contact_fini(&c->contact);
    paint_scratch_free(c->scratch);
    paint_close(c->paint);
    free(c->result);
    free(c->rgb);
}

static int paint_and_tell(struct paint_cmd *c, const struct cli_args *a)
{
    struct err e = {0};
    if (check_arguments(c, &e) != 0) {
        cli_complain(&e);
        return CLI_USAGE;
    }
    engine_limits(&c->limits, &a->config);
    cli_catch_interrupts();
    cli_progress_init(&c->progress);
    int status = cli_end(&c->progress, run(c, &e) != 0, &e);
    if (status == CLI_DONE) {
        struct paint_drawing last = {0};
        paint_drawing(c->paint, paint_frames(c->paint) - 1, &last);
        json_t *o = json_object();
        json_put_str(o, "out", c->out);
        json_put_int(o, "frames", frames_out(c));
        json_put_int(o, "drawings", last.index + 1);
        json_put_int(o, "colors", paint_palette(c->paint)->count);
        json_put_str(o, "mode", paint_mode_used(c->paint) == PAINT_FLAT ? "flat" : "smooth");
        cli_print_json(o);
    }
    finish(c);
    return status;
}

int cli_paint(int argc, char **argv)
{
    struct paint_cmd c = {.gap = -1, .threshold = -1, .fps = 24};
    struct cli_args a;
    const struct cli_option options[] = {
        {"--lines", 0, CLI_TEXT, &c.lines, "FILE", "the line art: a video or a zip of frames, at full size"},
        {"--proposal", 0, CLI_TEXT, &c.proposal, "FILE", "the same shot in colour, of any size, from any system"},
        {"--reference", 0, CLI_LIST, &c.references, "FILE", "a coloured picture: PNG, JPEG or WebP; up to four times"},
        {"--out", 'o', CLI_TEXT, &c.out, "FILE", "the result; its ending chooses the format: .mp4 .mov .webm .zip"},
        {"--palette", 0, CLI_TEXT, &c.palette_file, "FILE",
         "use these colours: a JSON list of {name, rgb}, .gpl or .ase"},
        {"--mode", 0, CLI_TEXT, &c.mode, "auto|flat|smooth", "flat paint, or the network's soft shading kept"},
        {"--gap", 0, CLI_INT, &c.gap, "PIXELS", "close gaps in lines up to this (8 at 1080 rows)"},
        {"--line-threshold", 0, CLI_INT, &c.threshold, "1..254", "ink above this separates regions (64)"},
        {"--trace-lines", 0, CLI_TEXT, &c.trace, "red,green,blue", "colour-trace lines that vanish into the paint"},
        {"--background", 0, CLI_TEXT, &c.background, "keep|transparent", "what becomes of the background"},
        {"--line-color", 0, CLI_TEXT, &c.line_color, "#rrggbb", "draw the lines in this colour"},
        {"--planes", 0, CLI_TEXT, &c.planes_folder, "FOLDER",
         "also write lines, paint, region numbers, confidence and palette.json"},
        {"--sheet", 0, CLI_TEXT, &c.sheet, "FILE", "also write a contact sheet, as PNG or JPEG"},
        {"--timesheet", 0, CLI_TEXT, &c.timesheet_file, "FILE",
         "an XDTS exposure sheet: each drawing is painted once, and shown when it says"},
        {"--fps", 0, CLI_INT, &c.fps, "N", "frame rate of zips (24)"},
    };
    const struct cli_usage usage = {
        .name = "paint",
        .positional = "",
        .text = "Paints line art exactly: every closed region gets one colour of the reference's palette, decided by "
                "the\nproposal's votes over the whole shot. Works on the output of any colouring system.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_TOOL,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0)
        status = paint_and_tell(&c, &a);
    cli_args_free(&a);
    return status;
}
