/* flat_areas.h - first step of flat.c: the uniform areas of a picture. */
#ifndef LONGANIM_PAINT_FLAT_AREAS_H
#define LONGANIM_PAINT_FLAT_AREAS_H

#include "base/err.h"
#include "paint/bits.h"
#include "paint/paint.h"

#include <stdbool.h>
#include <stdint.h>

struct flat_area {
    int32_t n;               /* pixels */
    int64_t sum[3], squares; /* of the channels; of all three together */
    int32_t color;           /* filled by flat.c */
    bool edge, clear;        /* reaches the picture's edge; is transparent */
};

struct flat_areas {
    int32_t width, height;
    uint8_t *rgb;     /* transparent pixels are white */
    uint8_t *clear;   /* 1 = transparent */
    struct bits flat; /* pixels in uniform blocks */
    int32_t *label;   /* area of a flat pixel, from 1; 0 elsewhere */
    struct flat_area *at;
    int32_t count;
    bool noisy; /* compressed: "uniform" has a tolerance */
};

int flat_areas_find(struct flat_areas *a, const struct paint_image *image, struct err *e);
void flat_areas_fini(struct flat_areas *a);

#endif
