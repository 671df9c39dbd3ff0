/* palette.h - the paints of a shot: exact flat colours with names and areas.
 *
 * A palette comes from reference images (paint_open does it) or is given: a JSON list of {"name", "rgb"}, a GIMP
 * palette (.gpl) or an Adobe swatch file (.ase). Two entries may have the same RGB when they mean different things
 * (white eyes, white background). One thread per palette. */
#ifndef LONGANIM_PAINT_PALETTE_H
#define LONGANIM_PAINT_PALETTE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PALETTE_MAX 255            /* entries; more are refused when given, the smallest are dropped when extracted */
#define PALETTE_NAME_SIZE 64       /* bytes with the NUL, UTF-8 */
#define PALETTE_FILE_MAX (1 << 20) /* bytes of a palette file */

struct palette_color {
    char name[PALETTE_NAME_SIZE]; /* "" = none */
    uint8_t rgb[3];
    bool background; /* what shows through: becomes transparent when a transparent background is wanted */
    bool ink;        /* the colour of lines; area is what is painted besides them, 0 = nothing */
    double area;     /* share of the reference's pixels, 0..1; 0 for given palettes */
};

struct palette {
    struct palette_color colors[PALETTE_MAX];
    int32_t count;
};

/* Reads a palette of any of the three kinds, told apart by content. params_invalid with what is wrong and where:
 * unknown kind, truncated, values out of range, no colour, more than PALETTE_MAX. Any bytes are safe. */
int palette_parse(struct palette *out, const void *data, size_t size, struct err *e);

#endif
