/* ink.h - what of a line-art pixel is line: coverage, hue and colour.
 *
 * Ink is 255 minus the smallest channel over white paper, so that a red or blue trace line is as much line as a black
 * one; plain tinted paper is measured and taken off. A line drawn at full strength has some ink value per hue
 * (255 for black and pure colours, less for grey or brown lines); the most frequent one in the cores of a shot's
 * lines is taken, so that line colours come out as they went in. */
#ifndef LONGANIM_PAINT_INK_H
#define LONGANIM_PAINT_INK_H

#include "paint/bits.h"
#include "paint/paint.h"

#include <stdint.h>

/* Hue classes of lines. */
enum { INK_NEUTRAL, INK_RED, INK_YELLOW, INK_GREEN, INK_CYAN, INK_BLUE, INK_MAGENTA, INK_HUES };

/* ink[width*height], 0..255. */
void ink_measure(uint8_t *ink, const struct paint_image *lines);

/* The hue of a pixel over white. */
int ink_hue(const uint8_t rgb[3]);

/* out = pixels with ink <= threshold. */
void ink_paper(struct bits *out, const uint8_t *ink, int threshold);

/* Pixel `index` of the picture over white paper. */
static inline void ink_over_white(uint8_t out[3], const struct paint_image *image, int64_t index)
{
    const uint8_t *p = image->pixels + index * image->channels;
    if (image->channels == 3) {
        out[0] = p[0], out[1] = p[1], out[2] = p[2];
        return;
    }
    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)((p[c] * p[3] + 255 * (255 - p[3]) + 127) / 255);
}

/* Ink values found in line cores, per hue; filled over a shot. */
struct ink_cores {
    int64_t count[INK_HUES][256];
};
void ink_count_cores(struct ink_cores *c, const struct paint_image *lines, const uint8_t *ink, int threshold);

/* Ink of a line at full strength per hue, 1..255. */
struct ink_strength {
    uint8_t full[INK_HUES];
};
void ink_strengths(struct ink_strength *out, const struct ink_cores *c);

#endif
