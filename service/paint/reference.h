/* reference.h - the reference images as palette and as regions: where which colour is, in which shape, beside what.
 *
 * A reference is scaled to the frame's size, cropped in the middle where its aspect ratio differs. */
#ifndef LONGANIM_PAINT_REFERENCE_H
#define LONGANIM_PAINT_REFERENCE_H

#include "base/err.h"
#include "paint/kin.h"
#include "paint/match.h"
#include "paint/paint.h"
#include "paint/regions.h"
#include "paint/sparse.h"
#include "paint/weights.h"

#include <stdbool.h>
#include <stdint.h>

#define REFERENCE_MAX 4

struct reference {
    struct regions regions; /* of the frame's size; ink marks what has no paint */
    uint8_t *color;         /* palette index per region */
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

/* What is kept between drawings. */
struct reference_scratch {
    struct match match; /* for overlaps */
    struct kin kin;
};
void reference_scratch_fini(struct reference_scratch *s);

/* What the reference says about the regions of a drawing: out[1..d->count] get a distribution over colours (its total
 * is 1). */
int reference_prior(const struct references *r, int32_t which, const struct regions *d, struct reference_scratch *s,
                    const struct paint_weights *w, struct sparse *out, struct err *e);

#endif
