/* match.h - which region of one drawing is which of the next.
 *
 * Pairs are compared by overlap, place, size, shape and votes; twice: after the first round the motion of a region's
 * matched neighbours is taken off its place, so that a hand follows its arm. Deterministic; one thread per object. */
#ifndef LONGANIM_PAINT_MATCH_H
#define LONGANIM_PAINT_MATCH_H

#include "base/err.h"
#include "paint/pairs.h"
#include "paint/regions.h"
#include "paint/votes.h"
#include "paint/weights.h"

#include <stdbool.h>
#include <stdint.h>

/* One side of a match. Everything is borrowed. */
struct match_side {
    int32_t count; /* regions 1..count */
    const struct region *at;
    const struct contact *contacts;
    int32_t contact_count;
    const struct vote *votes; /* NULL = none */
};

struct match_pair {
    int32_t a, b;
    float score; /* logit */
};

#define MATCH_KEPT 8 /* best pairs of a region that are kept */

struct match_shape;
struct match {
    struct match_pair *pairs; /* sorted by a, then by falling score; at most MATCH_KEPT per a */
    int32_t count;
    struct pairs overlap; /* n pixels in common, sorted */
    int32_t overlaps;
    /* Told of every pair that the second round looks at, with its features: for the program that fits the weights. */
    void (*watch)(void *user, int32_t a, int32_t b, const float *features);
    void *watch_user;
    /* private */
    bool last_round;
    struct match_shape *shape_a, *shape_b;
    int32_t *grid, *grid_next;
    int32_t capacity_a, capacity_b, grid_size;
};

void match_fini(struct match *m);

/* Counts the pixels that label maps of equal size have in common. */
int match_overlap(struct match *m, const int32_t *a, const int32_t *b, int32_t width, int32_t height);

/* Fills pairs from overlap and the two sides (match_overlap comes first); candidates are what overlaps and what lies
 * within reach of a drawing's motion. -1 = e is set. */
int match_find(struct match *m, const struct match_side *a, const struct match_side *b, int32_t width, int32_t height,
               const float weights[MATCH_FEATURES], struct err *e);

#endif
