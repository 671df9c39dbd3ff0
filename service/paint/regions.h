/* regions.h - the closed areas of one frame of line art, with their shapes and neighbours.
 *
 * Gaps in lines are closed by levels: paper is eroded to level R, where gaps of up to 2R pixels are shut and what is
 * still connected is a region; then level by level back to all paper, where regions grow into what connects with
 * them and what connects with none becomes a region of its own (a narrow strand, a corner behind a gap). Last, the
 * regions grow under the lines, so that every pixel has one.
 * Labels run from 1 in raster order of the regions' first pixels after the smallest are dissolved, so the same lines
 * give the same labels. Linear in pixels. One thread per object; objects are reused from frame to frame. */
#ifndef LONGANIM_PAINT_REGIONS_H
#define LONGANIM_PAINT_REGIONS_H

#include "base/err.h"
#include "paint/paint.h"

#include <stdbool.h>
#include <stdint.h>

struct region {
    int32_t area; /* paper pixels */
    int32_t x0, y0, x1, y1;
    float cx, cy;         /* centroid, pixels */
    float mxx, myy, mxy;  /* second central moments, pixels^2 */
    float skew_x, skew_y; /* means of d * |d|^2, d from the centroid, pixels^3 */
    bool border;          /* touches the picture's edge */
};

/* Two regions that lie side by side. */
struct contact {
    int32_t a, b;   /* a < b */
    int32_t length; /* of the common border, pixels */
    int32_t open;   /* the part of it without a line between */
};

struct regions_conf {
    int32_t threshold; /* ink above it is line */
    int32_t gap_px;
    int32_t most; /* regions; smaller ones take the paint of a neighbour */
};

struct regions {
    int32_t width, height;
    uint8_t *ink;             /* coverage, as ink_measure gives it */
    int32_t *label;           /* width x height; 0 only when there is no region at all */
    int32_t count;            /* labels 1..count, at most PAINT_REGIONS_MAX */
    struct region *at;        /* count + 1; [0] is unused */
    struct contact *contacts; /* sorted by a, b */
    int32_t contact_count;
    struct regions_work *work; /* buffers kept between frames */
};

/* Default gap and threshold for a size. */
struct regions_conf regions_conf_default(int32_t width, int32_t height);

int regions_init(struct regions *r, int32_t width, int32_t height, struct err *e);
void regions_fini(struct regions *r);

/* Segments one frame. with_shapes: also at[] and contacts (pass 2 needs labels alone). */
int regions_find(struct regions *r, const struct paint_image *lines, const struct regions_conf *c, bool with_shapes,
                 struct err *e);

/* Fills at[] from label; pixels whose ink is above the threshold do not count. Used by reference.c as well. */
int regions_shapes(struct regions *r, int threshold, struct err *e);

/* ---- gaps.c: what regions.c is made of ---- */
struct regions_work;
struct regions_work *gaps_work_new(int32_t width, int32_t height);
void gaps_work_free(struct regions_work *w);

/* Labels all paper (ink <= threshold) of the picture; 0 elsewhere. Returns the number of labels or -1; those up to
 * *top_count were there at the highest level already. */
int32_t gaps_label(struct regions_work *w, const uint8_t *ink, int threshold, int32_t levels, int32_t *top_count,
                   int32_t *label);

/* Grows labels over everything that has none. -1 without memory. */
int gaps_grow_all(struct regions_work *w, int32_t *label);

#endif
