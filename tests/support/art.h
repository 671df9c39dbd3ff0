/* art.h - synthetic shots with perfect truth: flat figures that move, occlude each other and stand on twos.
 *
 * A shot is a list of parts (blobs, capsules, boxes), drawn back to front: each paints its inside with its own id and
 * its outline with ink, as a cel does. So every pixel's part, its colour and the line art are known exactly.
 * Figures: articulated puppets, creatures grown at random, vehicles; backgrounds of hills and sky that pan.
 * Everything follows from the seed. */
#ifndef LONGANIM_TESTS_ART_H
#define LONGANIM_TESTS_ART_H

#include <stdbool.h>
#include <stdint.h>

#define ART_PARTS_MAX 1024
#define ART_WIDTH_MAX 8192

struct art_conf {
    uint64_t seed;
    int32_t width, height, frames;
    int32_t hold;       /* frames per drawing; 0 = 1 */
    double speed;       /* of motion; 1 = lively, 0 = still */
    int32_t figures;    /* 0 = drawn from the seed, 1..3 */
    double line_px;     /* width of lines */
    bool antialias;     /* else lines are binary */
    double gaps;        /* share of parts whose outline has gaps */
    double gap_px;      /* their size */
    bool trace;         /* shadows bounded by blue trace lines, highlights by red ones */
    bool plain;         /* white background instead of a landscape */
    double line_rgb[3]; /* of outlines, 0..255; zeros = black */
};
void art_conf_init(struct art_conf *c, uint64_t seed, int32_t width, int32_t height, int32_t frames);

struct art;
struct art *art_new(const struct art_conf *c);
void art_free(struct art *a);
int32_t art_parts(const struct art *a);
const uint8_t *art_color(const struct art *a, int32_t part); /* 3 bytes */
int32_t art_group(const struct art *a, int32_t part);        /* parts of one group share a colour */

/* One frame: part ids, coverage of lines 0..255, and hue of the line (0 outline, 1 red, 2 blue). */
struct art_frame {
    int32_t width, height;
    uint16_t *part;
    uint8_t *ink, *hue;
};
int art_frame_init(struct art_frame *f, const struct art *a);
void art_frame_fini(struct art_frame *f);
void art_draw(const struct art *a, int32_t frame, struct art_frame *out);

/* Pictures of a frame, RGB. */
void art_lines(const struct art *a, const struct art_frame *f, uint8_t *rgb);
void art_truth(const struct art *a, const struct art_frame *f, bool with_lines,
               uint8_t *rgb); /* trace lines absorbed */
/* The same in other colours, 3 bytes per part. */
void art_picture(const struct art *a, const struct art_frame *f, const uint8_t *colors, bool with_lines, uint8_t *rgb);
/* What a weak network takes the parts' colours for: a share of the parts, more of the small ones, has the colour of
 * another part, for many frames on end. colors: 3 bytes per part. */
void art_believe(const struct art *a, int32_t frame, double share, uint64_t seed, uint8_t *colors);
void art_mirror(uint8_t *rgb, int32_t width, int32_t height);

/* A network's frame, as bad as wanted: area-scaled to dw x dh, blurred, with noise and wrong hues. */
struct art_damage {
    double blur;       /* sigma in pixels of the small frame */
    double noise;      /* sigma in 0..255 */
    double hue_frames; /* share of frames with wrong hues */
    bool whole_frame;  /* in such a frame all hues turn together; else each of 8x8 blocks on its own */
    uint64_t seed;
};
int art_damage(const uint8_t *rgb, int32_t width, int32_t height, int32_t frame, const struct art_damage *d,
               uint8_t *out, int32_t dw, int32_t dh);

/* The generator's random numbers, for tests. */
uint64_t art_random(uint64_t *state);
double art_uniform(uint64_t *state, double low, double high);

#endif
