/* snap.h - region snap over a whole shot: exact paint under the input's own lines. Wraps paint/ for the render. */
#ifndef LONGANIM_ENGINE_SNAP_H
#define LONGANIM_ENGINE_SNAP_H

#include "engine/engine_int.h"
#include "engine/planes.h"
#include "engine/shot.h"

struct snap;

/* Looks at every frame of the input and of `shot` once. *out is NULL, and that is no error, when the shot is not to be
 * snapped: it was not asked for, the input is not line art, or (with "auto") its size does not allow it or a reference
 * has no flat colours. */
int snap_open(struct snap **out, struct engine__run *r, struct shot *shot, struct err *e);
void snap_close(struct snap *s); /* NULL is fine */

/* 3, or 4 with straight alpha: the input has alpha or the background is to be transparent, and the format carries it.
 */
int32_t snap_channels(const struct snap *s);

/* Frame `index` of those that the networks saw, at the input's size; going backwards means reading the input again.
 * proposal: the network's frame. planes: also fills these; NULL = not wanted. The pixels are borrowed until the next
 * call. */
int snap_frame(struct snap *s, int64_t index, const uint8_t *proposal, struct planes *planes,
               const uint8_t **out_pixels, struct err *e);

/* The first of the frames that show the same drawing as `index`; all of them look the same. */
int64_t snap_first(const struct snap *s, int64_t index);

/* palette.json into a folder; shown and frames as for paint_palette_json. */
int snap_palette(const struct snap *s, const int32_t *shown, int64_t frames, const char *folder, struct err *e);

#endif
