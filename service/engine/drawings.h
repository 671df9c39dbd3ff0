/* drawings.h - frames that show the drawing before them again: found while the input is surveyed, so that each drawing
 * goes through the networks once and a hold cannot flicker. Private to the folder. */
#ifndef LONGANIM_ENGINE_DRAWINGS_H
#define LONGANIM_ENGINE_DRAWINGS_H

#include "base/err.h"
#include "job/params.h"
#include "media/media.h"

#include <stdbool.h>
#include <stdint.h>

struct drawings {
    bool wanted;
    int tolerance;
    uint8_t *first; /* the first frame of the drawing at hand */
    int32_t width, height, channels;
    bool *held; /* per frame that was offered */
    int64_t count, capacity;
};

void drawings_init(struct drawings *d, const struct job_params *p, const struct media_info *info);
void drawings_fini(struct drawings *d);

/* Every frame of the input, in order; then drawings_end, which keeps what was found and gives the picture back. */
int drawings_offer(struct drawings *d, const struct media_frame *f, struct err *e);
void drawings_end(struct drawings *d);

#endif
