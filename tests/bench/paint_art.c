/* Writes a synthetic shot with its truth as files, for trying and testing `longanim paint` and `evaluate`.
 * usage: paint_art FOLDER [NAME=VALUE…]
 *   seed=1 width=960 height=540 frames=16 hold=2 speed=1 gaps=0.2 trace=0 plain=0 antialias=1 figures=0
 *   divide=8 blur=0.7 noise=8 hue=0.2 whole=1 disbelief=0     how bad the proposal is
 *   reference=near|mirrored|far  alpha=0                      alpha: lines on transparency
 * Makes lines.zip, truth.zip, proposal.zip and reference.png. */
#include "media/media.h"
#include "tests/support/art.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *fallback;
} names[] = {{"seed", "1"},    {"width", "960"}, {"height", "540"},  {"frames", "16"},     {"hold", "2"},
             {"speed", "1"},   {"gaps", "0.2"},  {"trace", "0"},     {"plain", "0"},       {"antialias", "1"},
             {"figures", "0"}, {"divide", "8"},  {"blur", "0.7"},    {"noise", "8"},       {"hue", "0.2"},
             {"whole", "1"},   {"alpha", "0"},   {"disbelief", "0"}, {"reference", "near"}};
enum { NAMES = sizeof names / sizeof names[0] };

static int arguments_count;
static char **arguments;

static const char *text(const char *name)
{
    size_t n = strlen(name);
    for (int i = 2; i < arguments_count; i++)
        if (strncmp(arguments[i], name, n) == 0 && arguments[i][n] == '=')
            return arguments[i] + n + 1;
    for (int i = 0; i < NAMES; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].fallback;
    abort();
}

static double number(const char *name)
{
    return strtod(text(name), NULL);
}

static void check(int failed, const struct err *e)
{
    if (failed) {
        fprintf(stderr, "paint_art: %s\n", e->detail);
        exit(1);
    }
}

static struct media_writer *zip(const char *folder, const char *name, int32_t w, int32_t h, int32_t channels)
{
    char path[4096];
    struct err e = {0};
    struct media_writer *out;
    struct media_write_conf c = {.format = MEDIA_PNG_ZIP,
                                 .width = w,
                                 .height = h,
                                 .channels = channels,
                                 .time_base_num = 1,
                                 .time_base_den = 24,
                                 .fps_num = 24,
                                 .fps_den = 1};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check(media_writer_open(&out, path, &c, &e), &e);
    return out;
}

/* White paper becomes transparent, lines keep their coverage. */
static void to_alpha(const uint8_t *rgb, uint8_t *rgba, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        int low = rgb[3 * i];
        for (int c = 1; c < 3; c++)
            low = rgb[3 * i + c] < low ? rgb[3 * i + c] : low;
        int alpha = 255 - low;
        for (int c = 0; c < 3; c++)
            rgba[4 * i + c] = (uint8_t)(alpha ? 255 - (255 - rgb[3 * i + c]) * 255 / alpha : 0);
        rgba[4 * i + 3] = (uint8_t)alpha;
    }
}

int main(int argc, char **argv)
{
    arguments_count = argc;
    arguments = argv;
    if (argc < 2)
        return 2;
    struct art_conf conf;
    int32_t w = (int32_t)number("width"), h = (int32_t)number("height"), frames = (int32_t)number("frames");
    int32_t divide = (int32_t)number("divide"), pw = w / divide ? w / divide : 1, ph = h / divide ? h / divide : 1;
    size_t pixels = (size_t)w * (size_t)h;
    art_conf_init(&conf, (uint64_t)number("seed"), w, h, frames);
    conf.hold = (int32_t)number("hold");
    conf.speed = number("speed");
    conf.gaps = number("gaps");
    conf.trace = number("trace") > 0;
    conf.plain = number("plain") > 0;
    conf.antialias = number("antialias") > 0;
    conf.figures = (int32_t)number("figures");
    struct art_damage damage = {.blur = number("blur"),
                                .noise = number("noise"),
                                .hue_frames = number("hue"),
                                .whole_frame = number("whole") > 0,
                                .seed = conf.seed};
    struct art *art = art_new(&conf);
    struct art_frame frame;
    struct err e = {0};
    uint8_t *rgb = malloc(pixels * 3), *rgba = malloc(pixels * 4), *small = malloc((size_t)pw * (size_t)ph * 3);
    if (!art || !rgb || !rgba || !small || art_frame_init(&frame, art))
        return 1;
    uint8_t colors[ART_PARTS_MAX * 3];
    bool alpha = number("alpha") > 0;
    char path[4096];
    art_draw(art, strcmp(text("reference"), "far") == 0 ? frames * 3 : 0, &frame);
    art_truth(art, &frame, true, rgb);
    if (strcmp(text("reference"), "mirrored") == 0)
        art_mirror(rgb, w, h);
    snprintf(path, sizeof path, "%s/reference.png", argv[1]);
    check(media_write_png(path, rgb, w, h, 3, &e), &e);
    struct media_writer *lines = zip(argv[1], "lines.zip", w, h, alpha ? 4 : 3),
                        *truth = zip(argv[1], "truth.zip", w, h, 3),
                        *proposal = zip(argv[1], "proposal.zip", pw, ph, 3);
    for (int32_t t = 0; t < frames; t++) {
        char name[32];
        snprintf(name, sizeof name, "a%04d.png", t + 1);
        art_draw(art, t, &frame);
        art_lines(art, &frame, rgb);
        to_alpha(rgb, rgba, pixels);
        check(media_writer_put(lines, alpha ? rgba : rgb, t, name, &e), &e);
        art_truth(art, &frame, true, rgb);
        check(media_writer_put(truth, rgb, t, name, &e), &e);
        art_believe(art, t, number("disbelief"), damage.seed, colors);
        art_picture(art, &frame, colors, true, rgb);
        if (art_damage(rgb, w, h, t, &damage, small, pw, ph))
            return 1;
        check(media_writer_put(proposal, small, t, name, &e), &e);
    }
    check(media_writer_close(lines, 0, &e) || media_writer_close(truth, 0, &e) || media_writer_close(proposal, 0, &e),
          &e);
    art_frame_fini(&frame);
    art_free(art);
    free(rgb);
    free(rgba);
    free(small);
    return 0;
}
