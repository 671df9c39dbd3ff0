/* art_damage.c - what a network does to a frame: small, soft, noisy, and wrong in places. */
#include "tests/support/art.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void shrink(const uint8_t *rgb, int32_t w, int32_t h, double *out, int32_t dw, int32_t dh)
{
    for (int32_t y = 0; y < dh; y++)
        for (int32_t x = 0; x < dw; x++) {
            int64_t y0 = (int64_t)y * h / dh, y1 = (int64_t)(y + 1) * h / dh, x0 = (int64_t)x * w / dw,
                    x1 = (int64_t)(x + 1) * w / dw, n = 0;
            double sum[3] = {0};
            for (int64_t v = y0; v < (y1 > y0 ? y1 : y0 + 1); v++)
                for (int64_t u = x0; u < (x1 > x0 ? x1 : x0 + 1); u++, n++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += rgb[(v * w + u) * 3 + c];
            for (int c = 0; c < 3; c++)
                out[((int64_t)y * dw + x) * 3 + c] = sum[c] / (double)n;
        }
}

static void blur_line(double *at, int64_t step, int32_t n, const double *kernel, int radius, double *line)
{
    for (int32_t i = 0; i < n; i++)
        line[i] = at[i * step];
    for (int32_t i = 0; i < n; i++) {
        double sum = 0;
        for (int k = -radius; k <= radius; k++)
            sum += kernel[abs(k)] * line[i + k < 0 ? 0 : i + k >= n ? n - 1 : i + k];
        at[i * step] = sum;
    }
}

static int blur(double *at, int32_t w, int32_t h, double sigma)
{
    double kernel[32], total = 0;
    int radius = (int)fmin(31, ceil(sigma * 3));
    double *line = malloc((size_t)(w > h ? w : h) * sizeof *line);
    if (!line)
        return -1;
    for (int k = 0; k <= radius; k++) {
        kernel[k] = exp(-0.5 * k * k / (sigma * sigma));
        total += k ? 2 * kernel[k] : kernel[k];
    }
    for (int k = 0; k <= radius; k++)
        kernel[k] /= total;
    for (int c = 0; c < 3; c++) {
        for (int32_t y = 0; y < h; y++)
            blur_line(at + (int64_t)y * w * 3 + c, 3, w, kernel, radius, line);
        for (int32_t x = 0; x < w; x++)
            blur_line(at + (int64_t)x * 3 + c, (int64_t)w * 3, h, kernel, radius, line);
    }
    free(line);
    return 0;
}

/* Turns the colour around the grey axis. */
static void turn_hue(double rgb[3], double angle)
{
    double c = cos(angle), s = sin(angle) / sqrt(3), k = (1 - c) / 3;
    double r = rgb[0], g = rgb[1], b = rgb[2];
    rgb[0] = r * (c + k) + g * (k - s) + b * (k + s);
    rgb[1] = r * (k + s) + g * (c + k) + b * (k - s);
    rgb[2] = r * (k - s) + g * (k + s) + b * (c + k);
}

static double gauss(uint64_t *s)
{
    double u = art_uniform(s, 1e-12, 1), v = art_uniform(s, 0, 6.283185307179586);
    return sqrt(-2 * log(u)) * cos(v);
}

int art_damage(const uint8_t *rgb, int32_t width, int32_t height, int32_t frame, const struct art_damage *d,
               uint8_t *out, int32_t dw, int32_t dh)
{
    uint64_t state = d->seed * UINT64_C(0xD1342543DE82EF95) + (uint64_t)frame * UINT64_C(0xA24BAED4963EE407) + 7;
    double *small = malloc((size_t)dw * (size_t)dh * 3 * sizeof *small), angle[64] = {0};
    if (!small)
        return -1;
    shrink(rgb, width, height, small, dw, dh);
    if (d->blur > 0 && blur(small, dw, dh, d->blur)) {
        free(small);
        return -1;
    }
    if (art_uniform(&state, 0, 1) < d->hue_frames)
        for (int i = 0; i < 64; i++)
            angle[i] = d->whole_frame && i ? angle[0] : art_uniform(&state, 0.8, 5.5);
    for (int32_t y = 0; y < dh; y++)
        for (int32_t x = 0; x < dw; x++) {
            double *p = small + ((int64_t)y * dw + x) * 3;
            turn_hue(p, angle[y * 8 / dh * 8 + x * 8 / dw]);
            for (int c = 0; c < 3; c++)
                out[((int64_t)y * dw + x) * 3 + c] =
                    (uint8_t)lrint(fmin(fmax(p[c] + (d->noise > 0 ? d->noise * gauss(&state) : 0), 0), 255));
        }
    free(small);
    return 0;
}
