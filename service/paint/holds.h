/* holds.h - does a frame show the drawing of an earlier one again? */
#ifndef LONGANIM_PAINT_HOLDS_H
#define LONGANIM_PAINT_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

/* Two packed pictures of the same size and channels. tolerance 0: every byte is the same. Else channels may differ by
 * so much, and by more in single pixels, as a codec leaves it; a line that moves differs along its length. Compare with
 * a drawing's first frame, not with the frame before, so that slow motion adds up until it is a new drawing. */
bool holds_same(const uint8_t *a, const uint8_t *b, int32_t width, int32_t height, int32_t channels, int tolerance);

#endif
