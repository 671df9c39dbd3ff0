#include "engine/lineart_detect.h"

#include <stdlib.h>
#include <string.h>

/* Set against drawn figures at 96x64 to 1920x1080 (tests/unit/service/engine/test_lineart_detect.c): clean and
 * scanned lines, trace lines in red and blue, solid blacks, against flat colour on white, cel colour with a painted
 * background, grey wash and noise. Scanned paper is not white, hence the relative threshold. */
enum {
    PAPER_MIN = 160,  /* darker paper is not paper: a night scene, or white lines on black */
    PAPER_DEPTH = 26, /* a pixel this much darker than the paper still is paper (grain, JPEG) */
    PAPER_CHROMA = 30,
    BLACK_MAX = 80, /* solid black may be thick: hair and shadows are often inked */
};
static const double PAPER_SHARE = 0.60; /* of all pixels */
static const double FILL_SHARE = 0.012; /* thick marks that are neither paper nor black */
static const double BLACK_SHARE = 0.25; /* thick black */
static const double BLANK_SHARE = 0.0004;

static int32_t least(const uint8_t *p)
{
    int32_t m = p[0] < p[1] ? p[0] : p[1];
    return m < p[2] ? m : p[2];
}

static int32_t most(const uint8_t *p)
{
    int32_t m = p[0] > p[1] ? p[0] : p[1];
    return m > p[2] ? m : p[2];
}

/* The value that nine tenths of the pixels do not exceed, of their darkest channel. */
static int32_t paper_level(const uint8_t *rgb, int64_t pixels)
{
    int64_t histogram[256] = {0}, seen = 0;
    for (int64_t i = 0; i < pixels; i++)
        histogram[least(rgb + 3 * i)]++;
    int32_t level = 255;
    while (level > 0 && (seen += histogram[level]) * 10 < pixels)
        level--;
    return level;
}

enum { PAPER = 0, MARK = 1, BLACK = 2 };

static int32_t classify(const uint8_t *p, int32_t paper)
{
    int32_t low = least(p), high = most(p);
    if (low >= paper - PAPER_DEPTH && high - low <= PAPER_CHROMA)
        return PAPER;
    return high <= BLACK_MAX ? BLACK : MARK;
}

/* Counts pixels of `rgb` that are thick: no paper within `radius` in the square around them. sum is an integral image
 * of what is not paper, (width + 1) x (height + 1). */
static void count_thick(const uint8_t *rgb, int32_t width, int32_t height, int32_t paper, const uint32_t *sum,
                        int32_t radius, int64_t *out_marks, int64_t *out_black)
{
    size_t stride = (size_t)width + 1;
    uint32_t full = (uint32_t)((2 * radius + 1) * (2 * radius + 1));
    for (int32_t y = radius; y + radius < height; y++) {
        for (int32_t x = radius; x + radius < width; x++) {
            const uint32_t *top = sum + (size_t)(y - radius) * stride, *end = sum + (size_t)(y + radius + 1) * stride;
            uint32_t inside = end[x + radius + 1] - end[x - radius] - top[x + radius + 1] + top[x - radius];
            if (inside != full)
                continue;
            int32_t class = classify(rgb + 3 * ((size_t)y * (size_t)width + (size_t)x), paper);
            *(class == BLACK ? out_black : out_marks) += 1;
        }
    }
}

enum lineart_kind lineart_detect(const uint8_t *rgb, int32_t width, int32_t height)
{
    int64_t pixels = (int64_t)width * height;
    int32_t paper = paper_level(rgb, pixels);
    if (paper < PAPER_MIN)
        return LINEART_COLOR;
    size_t stride = (size_t)width + 1;
    uint32_t *sum = calloc(stride * ((size_t)height + 1), sizeof *sum);
    if (!sum)
        abort();
    for (int32_t y = 0; y < height; y++) {
        uint32_t row = 0;
        for (int32_t x = 0; x < width; x++) {
            row += classify(rgb + 3 * ((size_t)y * (size_t)width + (size_t)x), paper) != PAPER;
            sum[(size_t)(y + 1) * stride + (size_t)x + 1] = sum[(size_t)y * stride + (size_t)x + 1] + row;
        }
    }
    int64_t drawn = sum[stride * ((size_t)height + 1) - 1], marks = 0, black = 0;
    int32_t shorter = width < height ? width : height;
    int32_t radius = shorter / 160 < 2 ? 2 : shorter / 160; /* a line of 5 pixels at 480 rows, 13 at 1080 */
    count_thick(rgb, width, height, paper, sum, radius, &marks, &black);
    free(sum);
    if ((double)drawn < BLANK_SHARE * (double)pixels)
        return LINEART_BLANK;
    if ((double)(pixels - drawn) < PAPER_SHARE * (double)pixels)
        return LINEART_COLOR;
    if ((double)marks > FILL_SHARE * (double)pixels || (double)black > BLACK_SHARE * (double)pixels)
        return LINEART_COLOR;
    return LINEART_LINES;
}

void lineart_vote(struct lineart_votes *v, enum lineart_kind kind)
{
    if (kind == LINEART_LINES)
        v->lines++;
    if (kind == LINEART_COLOR)
        v->color++;
}

enum lineart_kind lineart_verdict(const struct lineart_votes *v)
{
    return v->color >= v->lines && v->color > 0 ? LINEART_COLOR : LINEART_LINES;
}
