/* metrics.h - how good a coloured shot is, against its truth.
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
#ifndef LONGANIM_PAINT_METRICS_H
#define LONGANIM_PAINT_METRICS_H

#include "base/buf.h"
#include "base/err.h"
#include "paint/paint.h"

#include <stdbool.h>
#include <stdint.h>

#define METRICS_COLUMNS(X)                                                                                             \
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

struct metrics_row {
#define METRICS_FIELD(name) double name;
    METRICS_COLUMNS(METRICS_FIELD)
#undef METRICS_FIELD
    int32_t regions;
    bool hold; /* shows the drawing of the frame before */
};

struct metrics;

/* width x height: of the truth. sheet: NULL = from the truth's frames. */
int metrics_new(struct metrics **out, int32_t width, int32_t height, const struct palette *sheet, struct err *e);
void metrics_free(struct metrics *m); /* NULL is fine */

/* One frame, all at the truth's size; lines NULL = none. Alpha is not compared: images are taken over white. */
int metrics_add(struct metrics *m, const struct paint_image *result, const struct paint_image *truth,
                const struct paint_image *lines, struct err *e);

int64_t metrics_rows(const struct metrics *m, const struct metrics_row **out); /* borrowed */
/* Means over the frames that have a value; drift_per_100: slope of drift over frames, times 100. */
void metrics_mean(const struct metrics *m, struct metrics_row *out, double *drift_per_100);

/* Reports, appended to out. */
int metrics_csv(const struct metrics *m, struct buf *out, struct err *e);
int metrics_json(const struct metrics *m, struct buf *out, struct err *e);
int metrics_svg(const struct metrics *m, struct buf *out, struct err *e);

/* ---- ssim.c ---- */
double metrics_psnr(const uint8_t *a, const uint8_t *b, int64_t pixels);
/* NAN under 11x11. -1 without memory. */
int metrics_ssim(const uint8_t *a, const uint8_t *b, int32_t width, int32_t height, double *out);

#endif
