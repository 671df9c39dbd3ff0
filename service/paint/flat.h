/* flat.h - the flat colours of a reference picture, and which pixel has which.
 *
 * A pixel is flat when it lies in a uniform block (exactly uniform in clean pictures, nearly in compressed ones), so
 * anti-aliasing, ringing and lines of one pixel drop out. Flat pixels of one area are one vote for a colour; colours
 * are told apart by area means, which average the noise away. */
#ifndef LONGANIM_PAINT_FLAT_H
#define LONGANIM_PAINT_FLAT_H

#include "base/err.h"
#include "paint/paint.h"

#include <stdint.h>

#define FLAT_NONE 255 /* index of a pixel without a paint: a line, an edge, noise */

struct flat_map {
    int32_t width, height;  /* of the picture, or half of it and so on for very large ones */
    uint8_t *index;         /* into palette, or FLAT_NONE */
    struct palette palette; /* at most 255 colours, largest area first */
    double coverage;        /* share of pixels that are flat */
    bool noisy;             /* compressed: colours are means, not exact values */
};

/* split_background: a colour that dominates the picture's edge is an entry of its own where it reaches the edge. */
int flat_find(struct flat_map *out, const struct paint_image *image, bool split_background, struct err *e);
void flat_fini(struct flat_map *m);

/* Are these flat colours a palette, or is the picture photographic? */
bool flat_enough(const struct flat_map *m);

#endif
