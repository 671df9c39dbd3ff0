/* shot.h - the network's frames of all segments done so far, read in order or by index. */
#ifndef LONGANIM_ENGINE_SHOT_H
#define LONGANIM_ENGINE_SHOT_H

#include "engine/engine.h"

struct shot;

/* `segments` is borrowed and may grow behind `count`; width x height is what every frame must have. */
struct shot *shot_new(const struct engine_segment *segments, int32_t count, int32_t width, int32_t height,
                      const struct media_limits *limits);
void shot_free(struct shot *s); /* NULL is fine */

/* Frame `index` of the video; the pixels are borrowed until the next call. Cheap for rising indices; going back
 * opens a segment anew. internal when a segment does not hold what it should. */
int shot_frame(struct shot *s, int64_t index, const uint8_t **out_rgb, struct err *e);

#endif
