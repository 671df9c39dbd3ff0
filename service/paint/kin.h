/* kin.h - which region of a reference a region of a drawing is, anywhere in the picture and turned round or not.
 *
 * A pair is scored by place, size and shape, once as it is and once mirrored; then in rounds by how well the
 * neighbours' likeliest partners lie around it, so that the parts of a figure find their counterparts together: a
 * figure that moved, was turned or stands in a mirrored reference keeps its parts' arrangement. Weights: weights.h.
 * Deterministic; one thread per object. Time is bounded whatever the number of regions. */
#ifndef LONGANIM_PAINT_KIN_H
#define LONGANIM_PAINT_KIN_H

#include "base/err.h"
#include "paint/match.h"
#include "paint/pairs.h"
#include "paint/weights.h"

#include <stdbool.h>
#include <stdint.h>

#define KIN_KEPT 40 /* best pairs of a region that are followed up */

struct kin_pair {
    int32_t b;
    bool flipped;
    float score;  /* logit */
    float likely; /* share of all that the region might be, nothing included */
};

struct kin_shape;
struct kin_net;
struct kin {
    struct kin_pair *pairs; /* of region k from k * stride on */
    int32_t *counts;        /* how many a region has */
    int32_t stride;
    /* private */
    struct kin_shape *shape_a, *shape_b;
    struct kin_net *net_a, *net_b;
    int32_t *by_area; /* the other side's regions by area */
    int32_t *common;
    float *next;
    int64_t capacity_a, capacity_b, capacity_pairs;
};
void kin_fini(struct kin *k);

/* Fills pairs and counts for regions 1..a->count. overlap: pixels in common, sorted by a, then b. -1 = e is set. */
int kin_find(struct kin *k, const struct match_side *a, const struct match_side *b, const struct pair_count *overlap,
             int32_t overlaps, int32_t width, int32_t height, const struct paint_weights *w, struct err *e);

#endif
