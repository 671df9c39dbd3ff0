/* The eight ways a picture may lie, and putting it upright. */
#include "media/media_int.h"

#include <string.h>

bool media__swaps_sides(enum media_orientation o)
{
    return o >= MEDIA_TRANSPOSED;
}

int32_t media__degrees(enum media_orientation o)
{
    static const int32_t degrees[] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
    return degrees[o];
}

/* Where the first shown pixel comes from, and the steps in the source for one shown column and one shown row. */
struct walk {
    ptrdiff_t start, column, row;
};

static struct walk walk_of(enum media_orientation o, ptrdiff_t w, ptrdiff_t h)
{
    ptrdiff_t right = w - 1, bottom = (h - 1) * w;
    switch (o) {
    case MEDIA_MIRRORED:
        return (struct walk){right, -1, w};
    case MEDIA_TURNED_180:
        return (struct walk){bottom + right, -1, -w};
    case MEDIA_FLIPPED:
        return (struct walk){bottom, 1, -w};
    case MEDIA_TRANSPOSED:
        return (struct walk){0, w, 1};
    case MEDIA_TURNED_RIGHT:
        return (struct walk){bottom, -w, 1};
    case MEDIA_TRANSVERSED:
        return (struct walk){bottom + right, -w, -1};
    case MEDIA_TURNED_LEFT:
        return (struct walk){right, w, -1};
    default:
        return (struct walk){0, 1, w};
    }
}

void media__orient(const uint8_t *src, int32_t w, int32_t h, int channels, enum media_orientation o, uint8_t *dst)
{
    struct walk s = walk_of(o, w, h);
    int32_t columns = media__swaps_sides(o) ? h : w, rows = media__swaps_sides(o) ? w : h;
    for (int32_t y = 0; y < rows; y++) {
        const uint8_t *from = src + (s.start + y * s.row) * channels;
        for (int32_t x = 0; x < columns; x++, from += s.column * channels, dst += channels)
            memcpy(dst, from, (size_t)channels);
    }
}
