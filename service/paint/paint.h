/* paint.h - paint-exact output: the network proposes, the line art's regions vote.
 *
 *   struct paint *p;  struct paint_conf c;  paint_conf_init(&c, width, height);
 *   paint_open(&p, &c, references, count, NULL, e);
 *   for every frame in order  paint_observe(p, &lines, &proposal, e);       pass 1: regions, tracks, votes
 *   paint_decide(p, e);                                                     one colour per track
 *   for every frame in order  paint_render(p, s, i, &lines, &proposal, &planes, e);   pass 2: exact paint under exact
 * lines
 *
 * Each frame's closed areas of the line art are its regions; a region takes one colour of the palette. The colour is
 * decided by votes of the network's frames and by the reference's own regions, pooled over the whole shot along the
 * region's track. Frames with identical lines are one drawing and come out byte-identical.
 *
 * Memory: a few frames, plus 4 bytes per region and drawing, plus some 200 bytes per track; bounded for any input
 * (PAINT_REGIONS_MAX, PAINT_TRACKS_MAX). Output depends on nothing but the input: not on threads, time or machine.
 * Threads: pass 1 belongs to one thread. After paint_decide any number of threads may render, each with its own
 * scratch; with mode PAINT_SMOOTH or a hold tolerance a thread must start at a drawing's first frame (paint_drawing).
 * Ownership: images and planes are the caller's; everything passed in is borrowed for the call.
 * Errors: params_invalid (sizes, channels, palettes), media_unreadable (a reference that cannot be used), internal
 * (no memory, calls out of order). How it works and how well: docs/paint.md. */
#ifndef LONGANIM_PAINT_PAINT_H
#define LONGANIM_PAINT_PAINT_H

#include "base/buf.h"
#include "base/err.h"
#include "paint/palette.h"

#include <stdbool.h>
#include <stdint.h>

#define PAINT_REGIONS_MAX 65535 /* of a frame, the largest ones; smaller ones take the paint of a neighbour */
#define PAINT_TRACKS_MAX 2000000
#define PAINT_GAP_MAX 32 /* pixels that can be closed */

/* Packed 8-bit pixels, rows top to bottom, no padding; channels 3 (RGB) or 4 (RGBA, straight alpha). */
struct paint_image {
    const uint8_t *pixels;
    int32_t width, height, channels;
};

enum paint_mode {
    PAINT_AUTO,  /* flat when the references (or a given palette) have flat colours, else smooth */
    PAINT_FLAT,  /* exact palette colours */
    PAINT_SMOOTH /* a region's mean plus the network's own soft shading */
};

/* Colour-trace lines: drawn to separate paints, absorbed by them in the result. */
enum { PAINT_TRACE_RED = 1, PAINT_TRACE_GREEN = 2, PAINT_TRACE_BLUE = 4 };

/* How much held frames differ when they come out of this codec ("h264"): 0 for lossless ones. */
int32_t paint_hold_tolerance(const char *codec);

/* "red,blue" as bits; -1 and *out as it was when a name is not known. "" = none. */
int paint_trace_lines(const char *text, unsigned *out);

struct paint_conf {
    int32_t width, height; /* of lines and result; 1x1 .. 4096x4096 pixels in area */
    enum paint_mode mode;
    int32_t gap_px;         /* gaps in lines up to so many pixels are closed; -1 = by the frame's size */
    int32_t line_threshold; /* 1..254: ink above it separates regions; -1 = the default */
    int32_t hold_tolerance; /* held frames may differ by so much, and by more in single pixels; 0 = not at all */
    unsigned trace_lines;   /* PAINT_TRACE_* that are absorbed */
    bool transparent;       /* background regions get alpha 0 (the planes and 4-channel results) */
    bool recolor_lines;     /* draw outlines in line_rgb instead of their own colour */
    uint8_t line_rgb[3];
};
void paint_conf_init(struct paint_conf *c, int32_t width, int32_t height);

struct paint;
struct paint_scratch;

/* references: 1..4; of any size, cropped to the frame's aspect ratio in the middle. palette: NULL = from them. */
int paint_open(struct paint **out, const struct paint_conf *c, const struct paint_image *references, int count,
               const struct palette *palette, struct err *e);
void paint_close(struct paint *p); /* NULL is fine */

/* Pass 1, frames in order. lines: at full size. proposal: the coloured frame at any size, RGB. */
int paint_observe(struct paint *p, const struct paint_image *lines, const struct paint_image *proposal, struct err *e);

/* Between the passes. */
int paint_decide(struct paint *p, struct err *e);

/* What pass 2 fills: full-size buffers of the caller; NULL = not wanted. */
struct paint_planes {
    uint8_t *result;         /* result_channels per pixel */
    int32_t result_channels; /* 3, or 4 with straight alpha */
    uint8_t *line;           /* RGBA: the lines alone, alpha = coverage */
    uint8_t *paint;          /* RGBA: the paint alone, grown under the lines */
    uint16_t *region_ids;    /* the same region keeps its number over the shot; 0 = line or nothing */
    uint8_t *confidence;     /* 0..255 per region; 255 on lines: a checker looks at dark places only */
};

struct paint_scratch *paint_scratch_new(const struct paint *p); /* NULL when memory is out */
void paint_scratch_free(struct paint_scratch *s);

/* Pass 2. `lines` as given to paint_observe for this index. proposal: needed for PAINT_SMOOTH, may be NULL else. */
int paint_render(const struct paint *p, struct paint_scratch *s, int64_t index, const struct paint_image *lines,
                 const struct paint_image *proposal, const struct paint_planes *out, struct err *e);

/* ---- what a shot is made of; after paint_decide ---- */
enum paint_mode paint_mode_used(const struct paint *p); /* PAINT_FLAT or PAINT_SMOOTH; valid after paint_open */
const struct palette *paint_palette(const struct paint *p);
int64_t paint_frames(const struct paint *p);

struct paint_drawing {
    int64_t index; /* from 0 */
    int64_t first_frame, frames;
    int32_t regions;
};
/* The drawing that a frame shows: identical consecutive frames are one. */
int paint_drawing(const struct paint *p, int64_t frame, struct paint_drawing *out);

/* palette.json: colours with names and areas, over the shot and per drawing. shown: for each of `frames` frames which
 * of the painted ones it shows, -1 = nothing; NULL = every painted one is shown once. Appends to `out`. */
int paint_palette_json(const struct paint *p, const int32_t *shown, int64_t frames, struct buf *out, struct err *e);

#endif
