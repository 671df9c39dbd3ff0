/* longanim paint: exact paint from line art, any coloured version of it, and a reference. Two passes over the files
 * (paint/paint.h); no network runs here. */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/contact.h"
#include "engine/engine.h"
#include "paint/paint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REFERENCES_MAX = 4, REPORT_MAX = 64 << 20 };

enum plane { PLANE_LINE, PLANE_PAINT, PLANE_REGIONS, PLANE_CONFIDENCE, PLANES };
static const struct {
    const char *file;
    int32_t channels;
} plane_rows[PLANES] = {[PLANE_LINE] = {"line.zip", 4},
                        [PLANE_PAINT] = {"paint.zip", 4},
                        [PLANE_REGIONS] = {"regions.zip", 2},
                        [PLANE_CONFIDENCE] = {"confidence.zip", 1}};

struct paint_cmd {
    /* arguments */
    const char *lines, *proposal, *out, *palette_file, *mode, *trace, *background, *line_color, *planes, *sheet;
    struct cli_list references;
    int64_t gap, threshold, fps;
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
    struct media_writer *writer, *plane_writers[PLANES];
    uint8_t *result, *plane[PLANES];
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
    return choose_format(c, e);
}

static int configure(struct paint_cmd *c, struct err *e)
{
    struct paint_conf *p = &c->conf;
    paint_conf_init(p, c->info.width, c->info.height);
    p->gap_px = (int32_t)c->gap;
    p->line_threshold = (int32_t)c->threshold;
    p->hold_tolerance = paint_hold_tolerance(c->info.codec);
    p->transparent = c->info.has_alpha || (c->background && strcmp(c->background, "transparent") == 0);
    if (c->mode && strcmp(c->mode, "auto") != 0)
        p->mode = strcmp(c->mode, "flat") == 0 ? PAINT_FLAT : PAINT_SMOOTH;
    if (c->trace && paint_trace_lines(c->trace, &p->trace_lines) != 0)
        return err_set(e, ERR_params_invalid, "--trace-lines takes red, green and blue, with commas between");
    p->recolor_lines = c->line_color != NULL;
    return c->line_color ? read_line_color(c->line_color, p->line_rgb, e) : 0;
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
static int next_pair(struct paint_cmd *c, struct media_frame *line, struct media_frame *proposal, struct err *e)
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

static struct paint_image image_of(const struct media_frame *f)
{
    return (struct paint_image){f->pixels, f->width, f->height, f->channels};
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
        cli_progress_bytes(&c->progress, "looking", line.index + 1, c->info.frames);
    }
    if (got == 0 && paint_frames(c->paint) == 0)
        return err_set(e, ERR_media_unreadable, "%s has no frames", c->lines);
    return got < 0 ? -1 : paint_decide(c->paint, e);
}

/* ---- files out ---- */
static int open_writer(struct paint_cmd *c, struct media_writer **out, const char *path, enum media_format format,
                       int32_t channels, struct err *e)
{
    struct media_write_conf conf = {.format = format,
                                    .width = c->info.width,
                                    .height = c->info.height,
                                    .channels = channels,
                                    .time_base_num = c->time_base_num,
                                    .time_base_den = c->time_base_den,
                                    .fps_num = c->info.fps_num,
                                    .fps_den = c->info.fps_den};
    return media_writer_open(out, path, &conf, e);
}

static int open_outputs(struct paint_cmd *c, int32_t channels, struct err *e)
{
    size_t pixels = (size_t)c->info.width * (size_t)c->info.height;
    char path[FS_PATH_MAX];
    c->result = malloc(pixels * 4);
    if (!c->result)
        return err_set(e, ERR_internal, "no memory for a frame");
    if (open_writer(c, &c->writer, c->out, c->format, channels, e) != 0)
        return -1;
    if (c->sheet && contact_init(&c->contact, 0, paint_frames(c->paint) - 1, c->info.width, c->info.height, e) != 0)
        return -1;
    if (!c->planes)
        return 0;
    if (fs_mkdirs(c->planes, e) != 0)
        return -1;
    for (int i = 0; i < PLANES; i++) {
        c->plane[i] = malloc(pixels * (size_t)plane_rows[i].channels);
        if (!c->plane[i])
            return err_set(e, ERR_internal, "no memory for a frame");
        if (fs_join(path, c->planes, plane_rows[i].file, e) != 0 ||
            open_writer(c, &c->plane_writers[i], path, MEDIA_PNG_ZIP, plane_rows[i].channels, e) != 0)
            return -1;
    }
    return 0;
}

/* PNG has its 16-bit values most significant byte first. */
static void to_big_endian(uint8_t *plane, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        uint16_t v;
        memcpy(&v, plane + 2 * i, 2);
        plane[2 * i] = (uint8_t)(v >> 8);
        plane[2 * i + 1] = (uint8_t)v;
    }
}

static int write_frame(struct paint_cmd *c, const struct media_frame *f, int32_t channels, struct err *e)
{
    int64_t pts = f->pts < 0 ? f->index : f->pts;
    if (media_writer_put(c->writer, c->result, pts, f->name, e) != 0)
        return -1;
    if (c->sheet && channels == 3 && contact_offer(&c->contact, f->index, c->result, e) != 0)
        return -1;
    if (!c->planes)
        return 0;
    to_big_endian(c->plane[PLANE_REGIONS], (size_t)f->width * (size_t)f->height);
    for (int i = 0; i < PLANES; i++)
        if (media_writer_put(c->plane_writers[i], c->plane[i], pts, f->name, e) != 0)
            return -1;
    return 0;
}

static int write_palette(struct paint_cmd *c, struct err *e)
{
    char path[FS_PATH_MAX];
    struct buf b;
    buf_init(&b, REPORT_MAX);
    int failed = fs_join(path, c->planes, "palette.json", e) != 0 || paint_palette_json(c->paint, &b, e) != 0 ||
                 fs_write_atomic(path, b.data, b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : 0;
}

static int close_outputs(struct paint_cmd *c, int64_t last_duration, struct err *e)
{
    struct media_writer *writer = c->writer;
    c->writer = NULL;
    if (media_writer_close(writer, last_duration, e) != 0)
        return -1;
    for (int i = 0; c->planes && i < PLANES; i++) {
        writer = c->plane_writers[i];
        c->plane_writers[i] = NULL;
        if (media_writer_close(writer, last_duration, e) != 0)
            return -1;
    }
    if (c->planes && write_palette(c, e) != 0)
        return -1;
    return c->sheet ? contact_write(&c->contact, c->sheet, e) : 0;
}

/* ---- pass 2 ---- */
static int render(struct paint_cmd *c, struct err *e)
{
    bool smooth = paint_mode_used(c->paint) == PAINT_SMOOTH;
    int32_t channels = c->conf.transparent && c->format != MEDIA_MP4 ? 4 : 3;
    struct media_frame line, proposal;
    int64_t duration = 0;
    int got;
    c->scratch = paint_scratch_new(c->paint);
    if (!c->scratch)
        return err_set(e, ERR_internal, "no memory for a frame");
    if (open_readers(c, smooth, e) != 0 || open_outputs(c, channels, e) != 0)
        return -1;
    while ((got = next_pair(c, &line, &proposal, e)) > 0) {
        struct paint_image l = image_of(&line), p = smooth ? image_of(&proposal) : l;
        struct paint_planes planes = {.result = c->result,
                                      .result_channels = channels,
                                      .line = c->plane[PLANE_LINE],
                                      .paint = c->plane[PLANE_PAINT],
                                      .region_ids = (uint16_t *)(void *)c->plane[PLANE_REGIONS],
                                      .confidence = c->plane[PLANE_CONFIDENCE]};
        if (cli_interrupted())
            return err_set(e, ERR_canceled_by_user, "interrupted");
        if (paint_render(c->paint, c->scratch, line.index, &l, smooth ? &p : NULL, &planes, e) != 0 ||
            write_frame(c, &line, channels, e) != 0)
            return -1;
        duration = line.duration;
        cli_progress_bytes(&c->progress, "painting", line.index + 1, c->info.frames);
    }
    return got < 0 ? -1 : close_outputs(c, duration, e);
}

/* ---- the whole ---- */
static int run(struct paint_cmd *c, struct err *e)
{
    if (read_palette(c, e) != 0 || read_references(c, e) != 0 || open_readers(c, true, e) != 0)
        return -1;
    c->info = *media_reader_info(c->line_reader);
    media_reader_time_base(c->line_reader, &c->time_base_num, &c->time_base_den);
    if (c->info.kind == MEDIA_FRAMES_ZIP) {
        c->time_base_num = c->info.fps_den = 1;
        c->time_base_den = c->info.fps_num = (int32_t)c->fps;
    }
    if (configure(c, e) != 0 ||
        paint_open(&c->paint, &c->conf, c->pictures, c->references.count, c->palette_file ? &c->palette : NULL, e) != 0)
        return -1;
    return observe(c, e) != 0 ? -1 : render(c, e);
}

static void finish(struct paint_cmd *c)
{
    media_reader_close(c->line_reader);
    media_reader_close(c->proposal_reader);
    media_writer_abort(c->writer);
    for (int i = 0; i < PLANES; i++) {
        media_writer_abort(c->plane_writers[i]);
        free(c->plane[i]);
    }
    for (int i = 0; i < c->references.count && i < REFERENCES_MAX; i++)
        free((uint8_t *)(uintptr_t)c->pictures[i].pixels);
    contact_fini(&c->contact);
    paint_scratch_free(c->scratch);
    paint_close(c->paint);
    free(c->result);
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
    int failed = run(c, &e);
    cli_progress_clear(&c->progress);
    if (!failed) {
        int64_t frames = paint_frames(c->paint);
        struct paint_drawing last = {0};
        paint_drawing(c->paint, frames - 1, &last);
        json_t *o = json_object();
        json_put_str(o, "out", c->out);
        json_put_int(o, "frames", frames);
        json_put_int(o, "drawings", last.index + 1);
        json_put_int(o, "colors", paint_palette(c->paint)->count);
        json_put_str(o, "mode", paint_mode_used(c->paint) == PAINT_FLAT ? "flat" : "smooth");
        cli_print_json(o);
    }
    finish(c);
    if (failed)
        cli_complain(&e);
    return !failed ? CLI_DONE : cli_interrupted() ? CLI_INTERRUPTED : cli_exit_of(e.code);
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
        {"--planes", 0, CLI_TEXT, &c.planes, "FOLDER",
         "also write lines, paint, region numbers, confidence and palette.json"},
        {"--sheet", 0, CLI_TEXT, &c.sheet, "FILE", "also write a contact sheet, as JPEG"},
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
    cli_args_free(&a, &usage);
    return status;
}
