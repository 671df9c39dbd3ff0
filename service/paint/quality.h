/* quality.h - how good a coloured shot is, against its truth.
 *
 * Per frame, and as means over frames:
 *   psnr       dB over all pixels and channels, values in 0..1; identical frames are 100
 *   ssim       11x11 Gaussian window, sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, valid area, each RGB channel, mean
 *   region_accuracy, region_area_accuracy
 *              share of closed regions whose colour is the truth's (CIEDE2000 <= 2), by number and by area
 *   palette_error, palette_ok
 *              CIEDE2000 between a region's colour and the sheet's colour of the truth, mean over regions; share <= 2
 *   off_palette share of paint pixels farther than CIEDE2000 3 from every sheet colour
 *   leak       share of paint pixels that have not their own region's colour but a neighbour's
 *   flicker    frames whose lines are those of the frame before: share of pixels that changed nevertheless
 *   drift      CIEDE2000 between what a paint is now and what it was where it first appeared, weighted by area
 * A region's colour is the channelwise median of its inner pixels. Regions come from the line art; without it from
 * the flat colours of the truth. The sheet is the reference's palette; without one the truth's. What cannot be
 * measured (no flat colours, frames under 11 pixels) is NAN, and null in the reports.
 * One thread per object. Memory: two frames and 100 bytes per frame. */
#ifndef LONGANIM_PAINT_QUALITY_H
#define LONGANIM_PAINT_QUALITY_H

#include "base/buf.h"
#include "base/err.h"
#include "paint/paint.h"

#include <stdbool.h>
#include <stdint.h>

#define QUALITY_COLUMNS(X)                                                                                             \
    X(psnr)                                                                                                            \
    X(ssim)                                                                                                            \
    X(region_accuracy)                                                                                                 \
    X(region_area_accuracy)                                                                                            \
    X(palette_error)                                                                                                   \
    X(palette_ok)                                                                                                      \
    X(off_palette)                                                                                                     \
    X(leak)                                                                                                            \
    X(flicker)                                                                                                         \
    X(drift)

struct quality_row {
#define QUALITY_FIELD(name) double name;
    QUALITY_COLUMNS(QUALITY_FIELD)
#undef QUALITY_FIELD
    int32_t regions;
    bool hold; /* shows the drawing of the frame before */
};

struct quality;

/* width x height: of the truth. sheet: NULL = from the truth's frames. */
int quality_new(struct quality **out, int32_t width, int32_t height, const struct palette *sheet, struct err *e);
void quality_free(struct quality *m); /* NULL is fine */

/* One frame, all at the truth's size; lines NULL = none. Alpha is not compared: images are taken over white. */
int quality_add(struct quality *m, const struct paint_image *result, const struct paint_image *truth,
                const struct paint_image *lines, struct err *e);

int64_t quality_rows(const struct quality *m, const struct quality_row **out); /* borrowed */
/* Means over the frames that have a value; drift_per_100: slope of drift over frames, times 100. */
void quality_mean(const struct quality *m, struct quality_row *out, double *drift_per_100);

/* Reports, appended to out. */
int quality_csv(const struct quality *m, struct buf *out, struct err *e);
int quality_json(const struct quality *m, struct buf *out, struct err *e);
int quality_svg(const struct quality *m, struct buf *out, struct err *e);

/* ---- ssim.c ---- */
double quality_psnr(const uint8_t *a, const uint8_t *b, int64_t pixels);
/* NAN under 11x11. -1 without memory. */
int quality_ssim(const uint8_t *a, const uint8_t *b, int32_t width, int32_t height, double *out);

#endif
