/* sparse.h - a distribution over palette colours that keeps the few that matter. */
#ifndef LONGANIM_PAINT_SPARSE_H
#define LONGANIM_PAINT_SPARSE_H

#include <stdint.h>

#define SPARSE_COLORS 6

struct sparse {
    float weight[SPARSE_COLORS];
    float total; /* of all that was added, kept or not */
    uint8_t color[SPARSE_COLORS];
    uint8_t count;
};

/* Adds weight to a colour; when there is no room, the least of the kept ones makes way if it is less. */
void sparse_add(struct sparse *s, uint8_t color, float weight);

/* The share of every colour, 1 in all; what is not kept is spread evenly over the other colours. colors = size of the
 * palette. */
void sparse_shares(const struct sparse *s, int32_t colors, float *out);

#endif
