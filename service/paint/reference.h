/* reference.h - the reference images as palette and as regions: where which colour is, in which shape, beside what.
 *
 * A reference is scaled to the frame's size, cropped in the middle where its aspect ratio differs. Every reference is
 * looked at twice, as it is and mirrored: which of the two fits a shot is decided by agreement with the network. */
#ifndef LONGANIM_PAINT_REFERENCE_H
#define LONGANIM_PAINT_REFERENCE_H

#include "base/err.h"
#include "paint/match.h"
#include "paint/paint.h"
#include "paint/regions.h"
#include "paint/sparse.h"
#include "paint/weights.h"

#include <stdbool.h>
#include <stdint.h>

#define REFERENCE_MAX 4
enum { REFERENCE_STRAIGHT, REFERENCE_MIRRORED, REFERENCE_VIEWS };

struct reference {
    struct regions regions;  /* of the frame's size; ink marks what has no paint */
    uint8_t *color;          /* palette index per region */
    struct region *mirrored; /* the regions' shapes, mirrored */
};

struct references {
    struct palette palette;
    bool flat; /* all of them have flat colours */
    struct reference at[REFERENCE_MAX];
    int32_t count;
    float *beside; /* palette.count^2: log of how much more often than chance two colours are side by side */
};

/* palette: NULL = from the images. split_background: see flat.h. Images that are not flat have a palette too, of their
 * most frequent colours, and no regions. */
int references_load(struct references *r, const struct paint_image *images, int count, int32_t width, int32_t height,
                    const struct palette *palette, bool split_background, struct err *e);
void references_fini(struct references *r);

/* What the reference says about the regions of a drawing: out[1..d->count] get a distribution over colours (its total
 * is 1). `m` is scratch. */
int reference_prior(const struct references *r, int32_t which, int view, const struct regions *d, struct match *m,
                    const struct paint_weights *w, struct sparse *out, struct err *e);

#endif
