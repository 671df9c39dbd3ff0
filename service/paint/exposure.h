/* exposure.h - which of a shot's frames are looked at, and what is shown when: a timesheet put against the frames that
 * came with it, or frames that show the drawing before them again.
 *
 * Two kinds of input go with a sheet. A shot that is as long as the sheet shows every frame (EXPOSURE_FRAMES): the
 * first frame of each drawing is kept, the others show it again, and are checked against it, because a sheet that lies
 * would freeze the picture. A zip of one file per drawing (EXPOSURE_DRAWINGS) is kept whole; its files find their
 * drawings by name, and frames without a drawing show nothing. One thread per object. */
#ifndef LONGANIM_PAINT_EXPOSURE_H
#define LONGANIM_PAINT_EXPOSURE_H

#include "base/err.h"
#include "paint/timesheet.h"

#include <stdbool.h>
#include <stdint.h>

enum exposure_kind { EXPOSURE_FRAMES, EXPOSURE_DRAWINGS };

struct exposure {
    enum exposure_kind kind;
    const char *column; /* of the sheet, for EXPOSURE_DRAWINGS; borrowed from it */
    int32_t frames;     /* of the input */
    bool *keep;         /* per frame of the input */
    int32_t kept;
    int32_t *shown; /* per frame of the sheet: which of the kept frames, from 0; -1 = nothing */
    int32_t shown_count;
    int32_t *first; /* per frame of the sheet: the input's frame that it shows; -1 = nothing */
};

/* names: per frame of the input, or NULL when they have none (a video). Fits neither kind: params_invalid that says
 * what is missing. */
int exposure_init(struct exposure *x, const struct timesheet *sheet, int32_t frames, const char *const *names,
                  struct err *e);
/* Without a sheet (EXPOSURE_FRAMES): frame i shows the drawing of the frame before it again where held[i]. */
int exposure_holds(struct exposure *out, const bool *held, int32_t frames, struct err *e);
/* Leaves out the frames that are never shown; one stays in any case. */
int exposure_drop_hidden(struct exposure *x, struct err *e);
void exposure_fini(struct exposure *x);

/* ---- are frames that show one drawing alike? ---- */
#define EXPOSURE_PRINT 1024 /* bytes: mean grey of 32x32 blocks */
void exposure_print(const uint8_t *rgb, int32_t width, int32_t height, uint8_t out[EXPOSURE_PRINT]);

/* prints: EXPOSURE_PRINT bytes per frame of the input. params_invalid naming the first frame that is not the drawing
 * the sheet shows there; always 0 for EXPOSURE_DRAWINGS. */
int exposure_check(const struct exposure *x, const uint8_t *prints, struct err *e);

#endif
