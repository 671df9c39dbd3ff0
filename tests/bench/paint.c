/* How fast the paint module works: usage: paint [WIDTH HEIGHT [FRAMES]]. One thread; says milliseconds per frame. */
#include "paint/regions.h"
#include "tests/support/art.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int argc, char **argv)
{
    int32_t width = argc > 2 ? (int32_t)strtol(argv[1], NULL, 10) : 1920,
            height = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 1080,
            frames = argc > 3 ? (int32_t)strtol(argv[3], NULL, 10) : 10;
    struct art_conf conf;
    art_conf_init(&conf, 7, width, height, frames);
    conf.figures = 3;
    conf.gaps = 0.2;
    struct art *art = art_new(&conf);
    struct art_frame frame;
    struct regions regions;
    struct err e = {0};
    uint8_t *lines = malloc((size_t)width * (size_t)height * 3);
    if (!art || !lines || art_frame_init(&frame, art) || regions_init(&regions, width, height, &e))
        return 1;
    struct regions_conf rc = regions_conf_default(width, height);
    double labels = 0, shapes = 0;
    for (int32_t i = 0; i < frames; i++) {
        art_draw(art, i, &frame);
        art_lines(art, &frame, lines);
        struct paint_image image = {lines, width, height, 3};
        double t0 = now_ms();
        if (regions_find(&regions, &image, &rc, false, &e))
            return 1;
        double t1 = now_ms();
        if (regions_shapes(&regions, rc.threshold, &e))
            return 1;
        labels += t1 - t0;
        shapes += now_ms() - t1;
    }
    printf("regions %dx%d: %.1f ms labels, %.1f ms shapes, %.1f frames/s; %d regions, %d contacts\n", width, height,
           labels / frames, shapes / frames, frames * 1e3 / (labels + shapes), regions.count, regions.contact_count);
    regions_fini(&regions);
    art_frame_fini(&frame);
    art_free(art);
    free(lines);
    return 0;
}
