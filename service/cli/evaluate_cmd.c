/* longanim evaluate: a coloured shot against its truth, frame by frame (paint/quality.h says what is measured). */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/fs.h"
#include "engine/engine.h"
#include "paint/flat.h"
#include "paint/quality.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX = 64 << 20 };

struct evaluate_cmd {
    const char *result, *truth, *lines, *reference, *csv, *json, *plot;
    struct media_limits limits;
    struct media_reader *readers[3]; /* result, truth, lines */
    struct palette sheet;
    struct quality *quality;
    uint8_t *scaled; /* the result at the truth's size */
    struct cli_progress progress;
};

static int read_sheet(struct evaluate_cmd *c, struct err *e)
{
    struct paint_image image = {.channels = 4};
    struct flat_map map;
    uint8_t *pixels;
    if (media_still_read(c->reference, 4, &c->limits, &pixels, &image.width, &image.height, e) != 0)
        return -1;
    image.pixels = pixels;
    int failed = flat_find(&map, &image, false, e);
    free(pixels);
    if (failed)
        return -1;
    c->sheet = map.palette;
    flat_fini(&map);
    return 0;
}

/* Results of another size are scaled: that is part of how good they are. */
static int fit(struct evaluate_cmd *c, const struct media_frame *from, const struct media_frame *truth,
               struct paint_image *out, struct err *e)
{
    *out = (struct paint_image){from->pixels, from->width, from->height, from->channels};
    if (from->width == truth->width && from->height == truth->height)
        return 0;
    if (!c->scaled && !(c->scaled = malloc((size_t)truth->width * (size_t)truth->height * 4)))
        return err_set(e, ERR_internal, "no memory for a frame");
    *out = (struct paint_image){c->scaled, truth->width, truth->height, from->channels};
    return media_scale(from->pixels, from->width, from->height, from->channels, c->scaled, truth->width, truth->height,
                       e);
}

/* Compares frame after frame until one file ends; all must end together. */
static int compare(struct evaluate_cmd *c, struct err *e)
{
    struct media_frame f[3];
    const char *names[3] = {c->result, c->truth, c->lines};
    for (int64_t i = 0;; i++) {
        int got[3] = {0, 0, 0}, files = c->lines ? 3 : 2;
        for (int k = 0; k < files; k++)
            if ((got[k] = media_reader_next(c->readers[k], &f[k], e)) < 0)
                return -1;
        for (int k = 1; k < files; k++)
            if (got[k] != got[0])
                return err_set(e, ERR_params_invalid, "%s ends after %lld frames, %s goes on", names[got[k] ? 0 : k],
                               (long long)i, names[got[k] ? k : 0]);
        if (!got[0])
            return i ? 0 : err_set(e, ERR_media_unreadable, "%s has no frames", c->result);
        if (cli_interrupted())
            return err_set(e, ERR_canceled_by_user, "interrupted");
        struct paint_image result, truth = {f[1].pixels, f[1].width, f[1].height, f[1].channels}, lines = {0};
        if (c->lines)
            lines = (struct paint_image){f[2].pixels, f[2].width, f[2].height, f[2].channels};
        if (!c->quality && quality_new(&c->quality, truth.width, truth.height, c->reference ? &c->sheet : NULL, e) != 0)
            return -1;
        if (fit(c, &f[0], &f[1], &result, e) != 0 ||
            quality_add(c->quality, &result, &truth, c->lines ? &lines : NULL, e) != 0)
            return -1;
        cli_progress_count(&c->progress, "comparing frames", i + 1, media_reader_info(c->readers[1])->frames);
    }
}

static int write_report(struct evaluate_cmd *c, int (*report)(const struct quality *, struct buf *, struct err *),
                        const char *path, struct err *e)
{
    struct buf b;
    buf_init(&b, REPORT_MAX);
    int failed = report(c->quality, &b, e);
    if (!failed && path)
        failed = fs_write_atomic(path, b.data, b.size, e);
    else if (!failed)
        failed = fwrite(b.data, 1, b.size, stdout) != b.size;
    buf_free(&b);
    return failed ? -1 : 0;
}

static int run(struct evaluate_cmd *c, struct err *e)
{
    const char *paths[3] = {c->result, c->truth, c->lines};
    if (c->reference && read_sheet(c, e) != 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (paths[i] && media_reader_open(&c->readers[i], paths[i], true, &c->limits, e) != 0)
            return -1;
    if (compare(c, e) != 0)
        return -1;
    cli_progress_clear(&c->progress);
    if ((c->csv && write_report(c, quality_csv, c->csv, e) != 0) ||
        (c->plot && write_report(c, quality_svg, c->plot, e) != 0))
        return -1;
    return write_report(c, quality_json, c->json, e);
}

int cli_evaluate(int argc, char **argv)
{
    struct evaluate_cmd c = {0};
    struct cli_args a;
    struct err e = {0};
    const struct cli_option options[] = {
        {"--lines", 0, CLI_TEXT, &c.lines, "FILE", "the line art: regions and holds are then known exactly"},
        {"--reference", 0, CLI_TEXT, &c.reference, "FILE", "the colour sheet; without it the truth's own colours"},
        {"--csv", 0, CLI_TEXT, &c.csv, "FILE", "write every frame's values"},
        {"--json", 0, CLI_TEXT, &c.json, "FILE", "write the means there instead of to standard output"},
        {"--plot", 0, CLI_TEXT, &c.plot, "FILE", "write curves over the frames, as SVG"},
    };
    const struct cli_usage usage = {
        .name = "evaluate",
        .positional = "RESULT TRUTH",
        .text = "Measures a coloured shot against the true one: PSNR, SSIM, region accuracy, palette error "
                "(CIEDE2000),\noff-palette pixels, flicker on holds, drift, leaks across lines. Videos or zips of "
                "frames.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_TOOL,
        .min_rest = 2,
        .max_rest = 2,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0) {
        c.result = a.rest[0];
        c.truth = a.rest[1];
        engine_limits(&c.limits, &a.config);
        cli_catch_interrupts();
        cli_progress_init(&c.progress);
        status = cli_end(&c.progress, run(&c, &e) != 0, &e);
    }
    for (int i = 0; i < 3; i++)
        media_reader_close(c.readers[i]);
    quality_free(c.quality);
    free(c.scaled);
    cli_args_free(&a);
    return status;
}
