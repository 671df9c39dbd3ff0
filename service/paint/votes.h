/* votes.h - what the network says about each region of one frame.
 *
 * The network's frame stays at its own size; every pixel of it is a cell over the full-size regions. Cells well inside
 * a region count most, mixed ones least. A region's colour is a robust mean in OKLab around the most frequent palette
 * colour of its cells; its votes are how well each palette colour explains that mean. */
#ifndef LONGANIM_PAINT_VOTES_H
#define LONGANIM_PAINT_VOTES_H

#include "base/err.h"
#include "paint/paint.h"
#include "paint/regions.h"
#include "paint/weights.h"

#include <stdint.h>

#define VOTE_COLORS 3

/* One region in one frame; 8 bytes, because a shot has many. */
struct vote {
    uint8_t color[VOTE_COLORS]; /* palette indices, best first */
    uint8_t share[VOTE_COLORS]; /* of 255; what is missing is spread over the other colours */
    uint8_t evidence;           /* 16 * log2(1 + weight of the cells), so 16 = one good cell */
    uint8_t unused;
};

struct voter;
/* palette is borrowed for the voter's life. */
struct voter *voter_new(const struct palette *palette, const struct paint_weights *w);
void voter_free(struct voter *v);

/* votes[0 .. r->count]; [0] stays empty. mean_rgb (NULL = not wanted): 3 floats per region, the robust mean. */
int voter_cast(struct voter *v, const struct regions *r, int threshold, const struct paint_image *proposal,
               struct vote *votes, float *mean_rgb, struct err *e);

/* 0..1: how much of their shares two votes have in common. */
float vote_likeness(const struct vote *a, const struct vote *b);

#endif
