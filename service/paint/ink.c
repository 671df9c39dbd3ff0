#include "paint/ink.h"

#include <string.h>

static inline int smallest(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Tint of the paper: the most frequent value, when it is light and common enough to be paper. */
static int paper_level(const uint8_t *ink, int64_t pixels)
{
    int64_t count[256] = {0}, best = 0;
    int level = 0;
    for (int64_t i = 0; i < pixels; i++)
        count[ink[i]]++;
    for (int v = 0; v < 112; v++)
        if (count[v] > best) {
            best = count[v];
            level = v;
        }
    return best * 5 >= pixels ? level : 0;
}

void ink_measure(uint8_t *ink, const struct paint_image *lines)
{
    int64_t pixels = (int64_t)lines->width * lines->height;
    const uint8_t *p = lines->pixels;
    if (lines->channels == 3)
        for (int64_t i = 0; i < pixels; i++, p += 3)
            ink[i] = (uint8_t)(255 - smallest(p[0], p[1], p[2]));
    else
        for (int64_t i = 0; i < pixels; i++, p += 4)
            ink[i] = (uint8_t)(((255 - smallest(p[0], p[1], p[2])) * p[3] + 127) / 255);
    int level = paper_level(ink, pixels);
    if (level == 0)
        return;
    uint8_t stretched[256];
    for (int v = 0; v < 256; v++)
        stretched[v] = (uint8_t)(v <= level ? 0 : ((v - level) * 255 + (255 - level) / 2) / (255 - level));
    for (int64_t i = 0; i < pixels; i++)
        ink[i] = stretched[ink[i]];
}

int ink_hue(const uint8_t rgb[3])
{
    int r = rgb[0], g = rgb[1], b = rgb[2];
    int low = smallest(r, g, b), high = -smallest(-r, -g, -b);
    int middle = r + g + b - low - high;
    /* Of the ink, the part that is not shared by all three channels is hue. */
    if ((high - low) * 2 < 255 - low || high - low < 8)
        return INK_NEUTRAL;
    bool two = (middle - low) * 2 > high - low; /* yellow, cyan, magenta have two high channels */
    if (low == r)
        return two ? INK_CYAN : g == high ? INK_GREEN : INK_BLUE;
    if (low == g)
        return two ? INK_MAGENTA : r == high ? INK_RED : INK_BLUE;
    return two ? INK_YELLOW : r == high ? INK_RED : INK_GREEN;
}

void ink_paper(struct bits *out, const uint8_t *ink, int threshold)
{
    for (int32_t y = 0; y < out->height; y++) {
        const uint8_t *row = ink + (int64_t)y * out->width;
        uint64_t *words = bits_row(out, y);
        for (int32_t i = 0; i < out->stride; i++) {
            int32_t n = out->width - i * 64 < 64 ? out->width - i * 64 : 64;
            uint64_t w = 0;
            for (int32_t x = 0; x < n; x++)
                w |= (uint64_t)(row[i * 64 + x] <= threshold) << x;
            words[i] = w;
        }
    }
}

void ink_count_cores(struct ink_cores *c, const struct paint_image *lines, const uint8_t *ink, int threshold)
{
    int32_t w = lines->width, h = lines->height;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            int64_t i = (int64_t)y * w + x;
            int v = ink[i];
            if (v <= threshold)
                continue;
            /* A core is nowhere weaker than its neighbours across either direction. */
            if ((x > 0 && ink[i - 1] > v) || (x + 1 < w && ink[i + 1] > v) || (y > 0 && ink[i - w] > v) ||
                (y + 1 < h && ink[i + w] > v))
                continue;
            uint8_t rgb[3];
            ink_over_white(rgb, lines, i);
            c->count[ink_hue(rgb)][v]++;
        }
}

void ink_strengths(struct ink_strength *out, const struct ink_cores *c)
{
    for (int hue = 0; hue < INK_HUES; hue++) {
        int64_t total = 0, best = 0;
        int mode = 255;
        for (int v = 1; v < 256; v++) {
            total += c->count[hue][v];
            if (c->count[hue][v] >= best) {
                best = c->count[hue][v];
                mode = v;
            }
        }
        /* Without a clear mode the lines are anti-aliased and thin: their full strength is the strongest. */
        out->full[hue] = (uint8_t)(total && best * 6 >= total ? mode : 255);
    }
}
