/* How fast the paint module works: usage: paint [WIDTH HEIGHT [FRAMES]]. One thread; milliseconds of processor time per
 * frame: finding regions alone, the whole first pass, and painting. */
#include "paint/paint.h"
#include "paint/regions.h"
#include "tests/support/art.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

struct scene {
    int32_t width, height, frames;
    struct art *art;
    struct art_frame frame;
    uint8_t *lines, *picture, *small;
};

static void draw(struct scene *s, int32_t t)
{
    art_draw(s->art, t, &s->frame);
    art_lines(s->art, &s->frame, s->lines);
}

static int time_regions(struct scene *s, struct err *e)
{
    struct regions regions;
    struct regions_conf conf = regions_conf_default(s->width, s->height);
    double labels = 0, shapes = 0;
    if (regions_init(&regions, s->width, s->height, e))
        return -1;
    for (int32_t i = 0; i < s->frames; i++) {
        draw(s, i);
        struct paint_image image = {s->lines, s->width, s->height, 3};
        double t0 = now_ms();
        if (regions_find(&regions, &image, &conf, false, e))
            return -1;
        double t1 = now_ms();
        if (regions_shapes(&regions, conf.threshold, e))
            return -1;
        labels += t1 - t0;
        shapes += now_ms() - t1;
    }
    printf("regions %dx%d: %.1f ms labels, %.1f ms shapes, %.1f frames/s; %d regions, %d contacts\n", s->width,
           s->height, labels / s->frames, shapes / s->frames, s->frames * 1e3 / (labels + shapes), regions.count,
           regions.contact_count);
    regions_fini(&regions);
    return 0;
}

static int time_passes(struct scene *s, struct err *e)
{
    struct paint_conf conf;
    struct paint *p;
    struct art_damage damage = {.blur = 0.7, .noise = 8, .seed = 7};
    int32_t w = s->width / 4, h = s->height / 4;
    double observe = 0, render = 0;
    paint_conf_init(&conf, s->width, s->height);
    draw(s, 0);
    art_truth(s->art, &s->frame, true, s->picture);
    struct paint_image reference = {s->picture, s->width, s->height, 3}, lines = {s->lines, s->width, s->height, 3};
    if (paint_open(&p, &conf, &reference, 1, NULL, e))
        return -1;
    for (int32_t i = 0; i < s->frames; i++) {
        draw(s, i);
        art_truth(s->art, &s->frame, true, s->picture);
        if (art_damage(s->picture, s->width, s->height, i, &damage, s->small, w, h))
            return -1;
        struct paint_image proposal = {s->small, w, h, 3};
        double t0 = now_ms();
        if (paint_observe(p, &lines, &proposal, e))
            return -1;
        observe += now_ms() - t0;
    }
    double t0 = now_ms();
    if (paint_decide(p, e))
        return -1;
    double decide = now_ms() - t0;
    struct paint_scratch *scratch = paint_scratch_new(p);
    for (int32_t i = 0; i < s->frames && scratch; i++) {
        struct paint_planes planes = {.result = s->picture, .result_channels = 3};
        draw(s, i);
        t0 = now_ms();
        if (paint_render(p, scratch, i, &lines, NULL, &planes, e))
            return -1;
        render += now_ms() - t0;
    }
    printf("paint %dx%d: first pass %.1f ms, decision %.2f ms, second pass %.1f ms a frame\n", s->width, s->height,
           observe / s->frames, decide / s->frames, render / s->frames);
    paint_scratch_free(scratch);
    paint_close(p);
    return 0;
}

int main(int argc, char **argv)
{
    struct scene s = {.width = argc > 2 ? (int32_t)strtol(argv[1], NULL, 10) : 1920,
                      .height = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 1080,
                      .frames = argc > 3 ? (int32_t)strtol(argv[3], NULL, 10) : 10};
    struct art_conf conf;
    struct err e = {0};
    art_conf_init(&conf, 7, s.width, s.height, s.frames);
    conf.figures = 3;
    conf.gaps = 0.2;
    s.art = art_new(&conf);
    size_t bytes = (size_t)s.width * (size_t)s.height * 3;
    s.lines = malloc(bytes);
    s.picture = malloc(bytes);
    s.small = malloc(bytes);
    int failed = !s.art || !s.lines || !s.picture || !s.small || art_frame_init(&s.frame, s.art);
    if (!failed && (time_regions(&s, &e) || time_passes(&s, &e))) {
        fprintf(stderr, "paint: %s\n", e.detail);
        failed = 1;
    }
    art_frame_fini(&s.frame);
    art_free(s.art);
    free(s.lines);
    free(s.picture);
    free(s.small);
    return failed;
}
