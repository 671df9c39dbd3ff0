/* tracks.h - regions through time: which region of a drawing is which of the drawings before.
 *
 * Consecutive drawings are matched one to one; a region that finds no partner looks among those lost a few drawings
 * ago (something passed in front of it); what is still new starts a track and keeps ties to what was there before (a
 * split) and to what lies behind a gap. Memory: the last drawing, the lost regions, and a small record per track. */
#ifndef LONGANIM_PAINT_TRACKS_H
#define LONGANIM_PAINT_TRACKS_H

#include "base/err.h"
#include "paint/match.h"
#include "paint/reference.h"
#include "paint/regions.h"
#include "paint/votes.h"
#include "paint/weights.h"

#include <stdint.h>

#define TRACK_TIES 6

/* Another track that this one has to do with; weights grow over the drawings. */
struct tie {
    int32_t track;
    float open; /* share of the border that is a gap in a line */
    float time; /* share of the area that was this track before or is it after */
    float side; /* share of the border, line between */
};

struct track {
    int32_t drawings, last; /* how many it is in; the last of them */
    float log_cells;        /* sum over drawings of log2(1 + size in network pixels) */
    struct sparse prior;
    struct tie ties[TRACK_TIES];
    uint8_t color, confidence;  /* filled by decide.c */
    float mean[3], mean_weight; /* sums of weighted RGB, for smooth mode */
};

struct lost {
    struct region at;
    struct vote vote;
    int32_t track, drawing;
};

struct tracker {
    int32_t width, height, drawing;
    const struct paint_weights *weights;
    struct track *tracks; /* from 1; [0] is unused */
    int32_t count, capacity;
    /* the drawing before */
    int32_t *label;
    struct region *at;
    struct contact *contacts;
    struct vote *votes;
    int32_t *ids;
    int32_t regions, contact_count, region_capacity, contact_capacity;
    struct lost *lost;
    int32_t lost_count, lost_capacity;
    struct match match;
};

int tracker_init(struct tracker *t, int32_t width, int32_t height, const struct paint_weights *w, struct err *e);
void tracker_fini(struct tracker *t);

/* The next drawing. ids[1..r->count] get the regions' tracks; 0 = PAINT_TRACKS_MAX is reached. votes: of the
 * drawing's first frame. */
int tracker_step(struct tracker *t, const struct regions *r, const struct vote *votes, int32_t *ids, struct err *e);

/* Adds to the tie from one track to another; the least tie makes way when there is no room. */
void track_tie(struct track *t, int32_t other, float open, float time, float side);

#endif
