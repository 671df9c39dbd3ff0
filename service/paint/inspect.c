/* inspect.c - what kind of picture is this: flat colours or photographic, line art or not. */
#include "paint/bits.h"
#include "paint/flat.h"
#include "paint/ink.h"
#include "paint/paint.h"

#include <stdlib.h>
#include <string.h>

bool paint_is_flat(const struct paint_image *reference)
{
    struct flat_map map;
    if (flat_find(&map, reference, false, NULL))
        return false;
    bool flat = flat_enough(&map);
    flat_fini(&map);
    return flat;
}

/* Share of pixels that belong to areas of such ink which are thicker than any line. */
static double thick_share(const struct paint_image *frame, const uint8_t *ink, struct bits mask[2], int low, int high,
                          bool colored)
{
    memset(mask[0].words, 0, (size_t)mask[0].stride * (size_t)mask[0].height * sizeof *mask[0].words);
    for (int32_t y = 0; y < frame->height; y++)
        for (int32_t x = 0; x < frame->width; x++) {
            int64_t i = (int64_t)y * frame->width + x;
            uint8_t rgb[3];
            if (ink[i] < low || ink[i] > high)
                continue;
            ink_over_white(rgb, frame, i);
            if (!colored || ink_hue(rgb) != INK_NEUTRAL)
                bits_set(&mask[0], x, y);
        }
    for (int32_t i = 0, n = 2 + frame->height / 160; i < n; i++) {
        (i & 1 ? bits_erode_cross : bits_erode_square)(&mask[1], &mask[0]);
        struct bits swap = mask[0];
        mask[0] = mask[1];
        mask[1] = swap;
    }
    return (double)bits_count(&mask[0]) / ((double)frame->width * frame->height);
}

bool paint_is_lineart(const struct paint_image *frame)
{
    int64_t pixels = (int64_t)frame->width * frame->height, paper = 0;
    struct bits mask[2] = {{0}};
    uint8_t *ink = malloc((size_t)pixels);
    bool yes = false;
    if (!ink || bits_init(&mask[0], frame->width, frame->height) || bits_init(&mask[1], frame->width, frame->height))
        goto out;
    ink_measure(ink, frame);
    for (int64_t i = 0; i < pixels; i++)
        paper += ink[i] <= 32;
    /* Mostly paper; no areas of colour or of grey; some filled black is usual. */
    yes = paper * 10 >= pixels * 6 && thick_share(frame, ink, mask, 48, 255, true) < 0.005 &&
          thick_share(frame, ink, mask, 48, 200, false) < 0.01 && thick_share(frame, ink, mask, 201, 255, false) < 0.15;
out:
    free(ink);
    bits_fini(&mask[0]);
    bits_fini(&mask[1]);
    return yes;
}
