/* paint-curves.c - how right the paint is when the network is wrong: the curves and the picture of docs/paint.md.
 *
 * usage: paint-curves FOLDER [SHOTS [FRAMES]]     writes paint-curves.svg, paint-curves.csv and paint-example.png
 * Synthetic shots of seeds that nothing was fitted on, gaps in lines, held on twos. One thing gets worse at a time; the
 * rest stays at a quarter of the size, blur 0.7, noise 8. Thin curve: every pixel takes the nearest colour by itself.
 */
#include "media/media.h"
#include "paint/color.h"
#include "paint/paint.h"
#include "tests/support/art.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 480, HEIGHT = 270, SEED = 960, POINTS = 5, AXES = 6 };

enum what { SIZE, BLUR, NOISE, HUE, MISTAKEN, MISTAKEN_MIRRORED };
static const struct {
    const char *name;
    double at[POINTS];
} axes[AXES] = {[SIZE] = {"network's frame smaller by", {2, 4, 8, 16, 32}},
                [BLUR] = {"blur (sigma, network pixels)", {0, 1, 2, 3, 4}},
                [NOISE] = {"noise (sigma of 255)", {0, 20, 40, 60, 80}},
                [HUE] = {"share of frames in wrong hues", {0, 0.2, 0.4, 0.6, 0.8}},
                [MISTAKEN] = {"share of parts mistaken", {0, 0.2, 0.4, 0.6, 0.8}},
                [MISTAKEN_MIRRORED] = {"the same, reference mirrored", {0, 0.2, 0.4, 0.6, 0.8}}};

struct score {
    double snapped, alone; /* share of pixels without ink that are exactly right */
};

struct shot {
    struct art_conf conf;
    struct art_damage damage;
    int32_t divide;
    double mistaken;
    struct art *art;
    struct art_frame frame;
    struct paint *paint;
    uint8_t *lines, *picture, *proposal, *truth;
};

static void die(const char *what)
{
    fprintf(stderr, "paint-curves: %s\n", what);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        die("no memory");
    return p;
}

static void open_shot(struct shot *s, enum what axis, double value, uint64_t seed, int32_t frames)
{
    struct paint_conf conf;
    struct err e;
    size_t bytes = WIDTH * HEIGHT * 3;
    memset(s, 0, sizeof *s);
    art_conf_init(&s->conf, seed, WIDTH, HEIGHT, frames);
    s->conf.hold = 2;
    s->conf.gaps = 0.2;
    s->divide = axis == SIZE ? (int32_t)value : 4;
    s->mistaken = axis >= MISTAKEN ? value : 0;
    s->damage = (struct art_damage){.blur = axis == BLUR ? value : 0.7,
                                    .noise = axis == NOISE ? value : 8,
                                    .hue_frames = axis == HUE ? value : 0,
                                    .whole_frame = true,
                                    .seed = seed};
    s->art = must(art_new(&s->conf));
    if (art_frame_init(&s->frame, s->art))
        die("no memory");
    s->lines = must(malloc(bytes));
    s->picture = must(malloc(bytes));
    s->proposal = must(malloc(bytes));
    s->truth = must(malloc(bytes));
    art_draw(s->art, 0, &s->frame);
    art_truth(s->art, &s->frame, true, s->picture);
    if (axis == MISTAKEN_MIRRORED)
        art_mirror(s->picture, WIDTH, HEIGHT);
    struct paint_image reference = {s->picture, WIDTH, HEIGHT, 3};
    paint_conf_init(&conf, WIDTH, HEIGHT);
    if (paint_open(&s->paint, &conf, &reference, 1, NULL, &e))
        die(e.detail);
}

static void close_shot(struct shot *s)
{
    paint_close(s->paint);
    art_frame_fini(&s->frame);
    art_free(s->art);
    free(s->lines);
    free(s->picture);
    free(s->proposal);
    free(s->truth);
}

static struct paint_image draw(struct shot *s, int32_t t)
{
    uint8_t colors[ART_PARTS_MAX * 3];
    int32_t w = WIDTH / s->divide, h = HEIGHT / s->divide;
    art_draw(s->art, t, &s->frame);
    art_lines(s->art, &s->frame, s->lines);
    art_truth(s->art, &s->frame, false, s->truth);
    art_believe(s->art, t, s->mistaken, s->damage.seed, colors);
    art_picture(s->art, &s->frame, colors, true, s->picture);
    if (art_damage(s->picture, WIDTH, HEIGHT, t, &s->damage, s->proposal, w, h))
        die("no memory");
    return (struct paint_image){s->proposal, w, h, 3};
}

static const uint8_t *nearest(const struct palette *p, const uint8_t rgb[3])
{
    struct oklab at = color_oklab(rgb);
    int32_t best = 0;
    for (int32_t i = 1; i < p->count; i++)
        if (p->colors[i].area > 0 &&
            color_distance2(at, color_oklab(p->colors[i].rgb)) < color_distance2(at, color_oklab(p->colors[best].rgb)))
            best = i;
    return p->colors[best].rgb;
}

/* Every pixel by itself: what there is without regions. */
static void paint_alone(const struct shot *s, const struct paint_image *p, uint8_t *small, uint8_t *out)
{
    for (int32_t i = 0; i < p->width * p->height; i++)
        memcpy(small + 3 * i, nearest(paint_palette(s->paint), p->pixels + 3 * i), 3);
    for (int32_t y = 0; y < HEIGHT; y++)
        for (int32_t x = 0; x < WIDTH; x++)
            memcpy(out + (y * WIDTH + x) * 3, small + (y * p->height / HEIGHT * p->width + x * p->width / WIDTH) * 3,
                   3);
}

static struct score run(struct shot *s)
{
    static uint8_t small[WIDTH * HEIGHT * 3], alone[WIDTH * HEIGHT * 3], painted[WIDTH * HEIGHT * 4];
    struct err e;
    double all = 0, right[2] = {0};
    for (int32_t t = 0; t < s->conf.frames; t++) {
        struct paint_image proposal = draw(s, t), lines = {s->lines, WIDTH, HEIGHT, 3};
        if (paint_observe(s->paint, &lines, &proposal, &e))
            die(e.detail);
    }
    struct paint_scratch *scratch = paint_decide(s->paint, &e) ? NULL : must(paint_scratch_new(s->paint));
    if (!scratch)
        die(e.detail);
    for (int32_t t = 0; t < s->conf.frames; t++) {
        struct paint_image proposal = draw(s, t), lines = {s->lines, WIDTH, HEIGHT, 3};
        struct paint_planes planes = {.paint = painted};
        if (paint_render(s->paint, scratch, t, &lines, NULL, &planes, &e))
            die(e.detail);
        paint_alone(s, &proposal, small, alone);
        for (int32_t i = 0; i < WIDTH * HEIGHT; i++) {
            const uint8_t *true_color = art_color(s->art, s->frame.part[i]);
            if (s->frame.ink[i] > 64)
                continue;
            all++;
            right[0] += memcmp(painted + 4 * i, true_color, 3) == 0;
            right[1] += memcmp(alone + 3 * i, true_color, 3) == 0;
        }
    }
    paint_scratch_free(scratch);
    return (struct score){right[0] / all, right[1] / all};
}

/* ---- the picture: lines, the network's frame, the paint, the truth ---- */
static void example(const char *path)
{
    static uint8_t tiles[4][WIDTH * HEIGHT * 3], sheet[4 * WIDTH * HEIGHT * 3];
    struct shot s;
    struct err e;
    open_shot(&s, MISTAKEN, 0.4, SEED + 2, 8);
    s.divide = 8;
    run(&s);
    struct paint_image proposal = draw(&s, 5), lines = {s.lines, WIDTH, HEIGHT, 3};
    struct paint_scratch *scratch = must(paint_scratch_new(s.paint));
    struct paint_planes planes = {.result = tiles[2], .result_channels = 3};
    memcpy(tiles[0], s.lines, sizeof tiles[0]);
    art_truth(s.art, &s.frame, true, tiles[3]);
    if (media_scale(proposal.pixels, proposal.width, proposal.height, 3, tiles[1], WIDTH, HEIGHT, &e) ||
        paint_render(s.paint, scratch, 5, &lines, NULL, &planes, &e))
        die(e.detail);
    for (int32_t i = 0; i < 4; i++)
        for (int32_t y = 0; y < HEIGHT; y++)
            memcpy(sheet + ((i / 2 * HEIGHT + y) * 2 + i % 2) * WIDTH * 3, tiles[i] + y * WIDTH * 3, WIDTH * 3);
    if (media_write_png(path, sheet, 2 * WIDTH, 2 * HEIGHT, 3, &e))
        die(e.detail);
    paint_scratch_free(scratch);
    close_shot(&s);
}

/* ---- the curves ---- */
enum { PANEL_W = 260, PANEL_H = 190, LEFT = 44, TOP = 34 };

static void curve(FILE *f, const double *at, const double *share, double low, const char *style)
{
    fprintf(f, "<polyline fill=\"none\" %s points=\"", style);
    for (int i = 0; i < POINTS; i++)
        fprintf(f, "%.1f,%.1f ", LEFT + (PANEL_W - 64) * (at[i] - at[0]) / (at[POINTS - 1] - at[0]),
                TOP + (PANEL_H - 70) * (1 - (fmax(share[i], low) - low) / (1 - low)));
    fprintf(f, "\"/>\n");
}

static void panel(FILE *f, int axis, const double snapped[POINTS], const double alone[POINTS])
{
    const double low = 0.4;
    double place[POINTS];
    for (int i = 0; i < POINTS; i++)
        place[i] = axis == SIZE ? log2(axes[axis].at[i]) : axes[axis].at[i];
    fprintf(f, "<g transform=\"translate(%d,%d)\"><text x=\"%d\" y=\"20\">%s</text>\n", axis % 3 * PANEL_W,
            axis / 3 * PANEL_H, LEFT, axes[axis].name);
    fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#bbb\"/>\n", LEFT, TOP,
            PANEL_W - 64, PANEL_H - 70);
    for (int i = 0; i < POINTS; i++)
        fprintf(f, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                LEFT + (PANEL_W - 64) * (place[i] - place[0]) / (place[POINTS - 1] - place[0]), PANEL_H - 20,
                axes[axis].at[i]);
    for (int i = 0; i <= 3; i++)
        fprintf(f, "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%.1f</text>\n", LEFT - 5,
                TOP + 4 + (PANEL_H - 70) * (1 - i / 3.0), low + 0.2 * i);
    curve(f, place, alone, low, "stroke=\"#999\"");
    curve(f, place, snapped, low, "stroke=\"#26c\" stroke-width=\"2.5\"");
    fprintf(f, "</g>\n");
}

int main(int argc, char **argv)
{
    char path[3][1024];
    static const char *const names[3] = {"paint-curves.svg", "paint-curves.csv", "paint-example.png"};
    int32_t shots = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 4,
            frames = argc > 3 ? (int32_t)strtol(argv[3], NULL, 10) : 8;
    if (argc < 2 || shots < 1 || frames < 1)
        die("usage: paint-curves FOLDER [SHOTS [FRAMES]]");
    for (int i = 0; i < 3; i++)
        if (snprintf(path[i], sizeof path[i], "%s/%s", argv[1], names[i]) >= (int)sizeof path[i])
            die("the path is too long");
    FILE *svg = must(fopen(path[0], "w")), *csv = must(fopen(path[1], "w"));
    fprintf(svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            3 * PANEL_W, 2 * PANEL_H);
    fprintf(csv, "axis,value,snapped,nearest_colour_per_pixel\n");
    for (int axis = 0; axis < AXES; axis++) {
        double snapped[POINTS] = {0}, alone[POINTS] = {0};
        for (int i = 0; i < POINTS; i++) {
            for (int32_t n = 0; n < shots; n++) {
                struct shot s;
                open_shot(&s, (enum what)axis, axes[axis].at[i], SEED + (uint64_t)n, frames);
                struct score score = run(&s);
                snapped[i] += score.snapped / shots;
                alone[i] += score.alone / shots;
                close_shot(&s);
            }
            fprintf(csv, "%s,%g,%.4f,%.4f\n", axes[axis].name, axes[axis].at[i], snapped[i], alone[i]);
        }
        panel(svg, axis, snapped, alone);
    }
    fprintf(svg, "</svg>\n");
    example(path[2]);
    return fclose(svg) || fclose(csv);
}
