/* paint_int.h - what the files of one shot share: shot.c fills it, decide.c decides, render.c paints. */
#ifndef LONGANIM_PAINT_PAINT_INT_H
#define LONGANIM_PAINT_PAINT_INT_H

#include "paint/ink.h"
#include "paint/paint.h"
#include "paint/reference.h"
#include "paint/regions.h"
#include "paint/tracks.h"
#include "paint/votes.h"
#include "paint/weights.h"

#include <stdbool.h>
#include <stdint.h>

struct drawing {
    int64_t first_frame, frames;
    int32_t count, most; /* regions; how many were allowed */
    int32_t *ids;        /* track per region, 0..count; 0 = none, the region takes its first frame's vote */
    int32_t *area;
};

struct frame {
    int32_t drawing;
    struct vote *votes; /* 0..count of the drawing; NULL = not kept */
};

struct paint {
    struct paint_conf conf;
    struct regions_conf regions_conf;
    struct paint_weights weights;
    enum paint_mode mode; /* never PAINT_AUTO */
    bool decided;
    struct references references;
    /* pass 1 */
    struct regions regions;
    struct voter *voter;
    struct tracker tracker;
    struct reference_scratch prior_scratch;
    struct ink_cores cores;
    uint8_t *last_lines; /* of the drawing before, as given */
    int32_t last_channels;
    struct sparse *priors;
    float *means;
    int32_t room; /* regions that priors and means have room for */
    /* the shot */
    struct drawing *drawings;
    struct frame *frames;
    int64_t drawing_count, frame_count, drawing_capacity, frame_capacity;
    int64_t records; /* votes and ids kept so far */
    struct ink_strength strength;
};

/* Weights other than the fitted ones, before the first frame: for the program that fits them. */
void paint__set_weights(struct paint *p, const struct paint_weights *w);

#endif
