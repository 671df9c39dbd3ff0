#include "paint/holds.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 16 /* frames are compared in blocks of so many pixels squared */

/* Do two rows of blocks differ in more than single pixels? One that moves differs along a whole line. */
static bool rows_alike(const uint8_t *a, const uint8_t *b, int32_t width, int32_t rows, int32_t channels, int tolerance)
{
    for (int32_t x0 = 0; x0 < width; x0 += BLOCK) {
        int32_t x1 = x0 + BLOCK < width ? x0 + BLOCK : width, different = 0;
        for (int32_t y = 0; y < rows; y++) {
            int64_t row = (int64_t)y * width;
            for (int32_t x = x0; x < x1; x++) {
                bool far = false;
                for (int64_t i = (row + x) * channels; i < (row + x + 1) * channels; i++)
                    far |= abs(a[i] - b[i]) > tolerance;
                different += far;
            }
        }
        if (different > BLOCK / 2)
            return false;
    }
    return true;
}

bool holds_same(const uint8_t *a, const uint8_t *b, int32_t width, int32_t height, int32_t channels, int tolerance)
{
    int64_t row = (int64_t)width * channels;
    if (tolerance <= 0)
        return memcmp(a, b, (size_t)(row * height)) == 0;
    for (int32_t y = 0; y < height; y += BLOCK)
        if (!rows_alike(a + row * y, b + row * y, width, height - y < BLOCK ? height - y : BLOCK, channels, tolerance))
            return false;
    return true;
}
