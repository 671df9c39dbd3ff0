/* bits.h - one bit per pixel, 64 pixels a word: masks, their erosion, and the connected areas in them.
 * Outside the picture every bit is 0. Bits beyond the width are 0, always. */
#ifndef LONGANIM_PAINT_BITS_H
#define LONGANIM_PAINT_BITS_H

#include <stdint.h>

struct bits {
    int32_t width, height, stride; /* stride in words */
    uint64_t *words;
};

int bits_init(struct bits *b, int32_t width, int32_t height); /* all 0; -1 without memory */
void bits_fini(struct bits *b);

static inline uint64_t *bits_row(const struct bits *b, int32_t y)
{
    return b->words + (int64_t)y * b->stride;
}

static inline int bits_get(const struct bits *b, int32_t x, int32_t y)
{
    return (int)(bits_row(b, y)[x >> 6] >> (x & 63) & 1);
}

static inline void bits_set(struct bits *b, int32_t x, int32_t y)
{
    bits_row(b, y)[x >> 6] |= (uint64_t)1 << (x & 63);
}

/* out = pixels whose 4 (cross) or 8 (square) neighbours are set as well. Taking turns makes octagons. */
void bits_erode_cross(struct bits *out, const struct bits *in);
void bits_erode_square(struct bits *out, const struct bits *in);

/* out = pixels that are set or have a set 4-neighbour (cross) or 8-neighbour (square). */
void bits_dilate_cross(struct bits *out, const struct bits *in);
void bits_dilate_square(struct bits *out, const struct bits *in);

int64_t bits_count(const struct bits *b);

/* out = pixels of `in`'s complement within `allowed` that have a 4-neighbour in `in`. */
void bits_frontier(struct bits *out, const struct bits *in, const struct bits *allowed);

/* Numbers the 4-connected areas of the mask from first_label on, in the order of their first pixel, and writes the
 * numbers into labels (width x height; other pixels stay as they are). Returns how many areas, or -1 without
 * memory. Linear in pixels plus runs. */
int32_t bits_label(const struct bits *mask, int32_t first_label, int32_t *labels);

#endif
