/* planes.h - what belongs to painted frames beside the picture: lines, paint, region numbers (16 bit) and confidence as
 * zips of PNG files, and palette.json. For the render and for `longanim paint`. */
#ifndef LONGANIM_ENGINE_PLANES_H
#define LONGANIM_ENGINE_PLANES_H

#include "base/err.h"
#include "media/media.h"
#include "paint/paint.h"

#include <stdint.h>

enum planes_kind { PLANES_LINE, PLANES_PAINT, PLANES_REGIONS, PLANES_CONFIDENCE, PLANES_KINDS };
#define PLANES_PALETTE "palette.json"

struct planes {
    struct media_writer *writers[PLANES_KINDS];
    uint8_t *pixels[PLANES_KINDS];
    int64_t frames; /* written so far */
    bool ordered;   /* the regions have their bytes as PNG wants them */
};

/* Opens the four files in a folder that exists. On failure, and in the end, planes_fini. */
int planes_open(struct planes *p, const char *folder, int32_t width, int32_t height, struct err *e);
void planes_fini(struct planes *p); /* removes files that are not closed; a zeroed struct is fine */

/* Lets paint_render fill the planes. */
void planes_offer(struct planes *p, struct paint_planes *to);

/* Writes what was filled, as often as it is called. name: inside the zips, or NULL. */
int planes_put(struct planes *p, int32_t width, int32_t height, const char *name, struct err *e);

/* Ends the files. */
int planes_close(struct planes *p, struct err *e);

/* palette.json of a decided shot into a folder; shown and frames as for paint_palette_json. */
int planes_palette(const struct paint *paint, const int32_t *shown, int64_t frames, const char *folder, struct err *e);

#endif
