/* smooth.h - paint for photographic references: a region's colour of the whole shot plus the network's own soft
 * shading.
 *
 * The frame is cut into cells of about two network pixels; a cell keeps, for each region in it, how much lighter or
 * redder the network is there than on the region's average. Pixels interpolate between the cells of their own region,
 * so shading is soft inside and stops at lines. */
#ifndef LONGANIM_PAINT_SMOOTH_H
#define LONGANIM_PAINT_SMOOTH_H

#include "base/err.h"
#include "paint/paint.h"
#include "paint/regions.h"

#include <stdint.h>

struct smooth_entry {
    int32_t label;
    float weight, delta[3];
};

struct smooth {
    int32_t cell_px, columns, rows;
    int32_t *first; /* per cell, one more at the end */
    struct smooth_entry *entries;
    int64_t capacity;
    float *means; /* per region: sum of RGB and of weights */
    int32_t room;
};

void smooth_fini(struct smooth *s);

/* Measures the shading of one frame. */
int smooth_load(struct smooth *s, const struct regions *r, int threshold, const struct paint_image *proposal,
                struct err *e);

/* The paint of a pixel of region `label`, whose colour over the shot is `base`. */
void smooth_at(const struct smooth *s, int32_t label, int32_t x, int32_t y, const uint8_t base[4], uint8_t out[4]);

#endif
