/* pairs.h - counts by a pair of numbers: a hash table that is filled, sorted out and emptied again. */
#ifndef LONGANIM_PAINT_PAIRS_H
#define LONGANIM_PAINT_PAIRS_H

#include <stdint.h>

struct pair_count {
    int32_t a, b; /* b > 0 marks a used slot */
    int32_t n, m; /* two counters */
};

struct pairs {
    struct pair_count *slots;
    int32_t capacity; /* a power of two, or 0 */
    int32_t used;
};

void pairs_fini(struct pairs *p);
void pairs_clear(struct pairs *p); /* memory kept */

/* Adds to the counters of (a, b); b > 0. -1 without memory. */
int pairs_add(struct pairs *p, int32_t a, int32_t b, int32_t n, int32_t m);

/* Moves the used slots to the front, sorted by a, then b; the table must be cleared before it is filled again.
 * Returns how many. */
int32_t pairs_sort(struct pairs *p);

#endif
