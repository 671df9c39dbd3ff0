/* ssim.c - PSNR and SSIM as quality.h defines them. */
#include "paint/quality.h"

#include <math.h>
#include <stdlib.h>

#define TAPS 11
#define SIGMA 1.5

double quality_psnr(const uint8_t *a, const uint8_t *b, int64_t pixels)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < pixels * 3; i++) {
        int d = a[i] - b[i];
        sum += d * d;
    }
    if (sum == 0)
        return 100;
    double mse = (double)sum / ((double)pixels * 3 * 255 * 255);
    return fmin(-10 * log10(mse), 100);
}

static void make_window(float window[TAPS])
{
    double total = 0, w[TAPS];
    for (int i = 0; i < TAPS; i++) {
        double d = i - TAPS / 2;
        total += w[i] = exp(-d * d / (2 * SIGMA * SIGMA));
    }
    for (int i = 0; i < TAPS; i++)
        window[i] = (float)(w[i] / total);
}

/* The five moments of one channel, filtered along a row: a, b, aa, bb, ab; each `columns` wide. */
static void filter_row(const uint8_t *a, const uint8_t *b, int32_t columns, const float window[TAPS], float *out)
{
    for (int32_t x = 0; x < columns; x++) {
        float s[5] = {0};
        for (int k = 0; k < TAPS; k++) {
            float u = (float)a[(x + k) * 3] / 255, v = (float)b[(x + k) * 3] / 255;
            s[0] += window[k] * u;
            s[1] += window[k] * v;
            s[2] += window[k] * u * u;
            s[3] += window[k] * v * v;
            s[4] += window[k] * u * v;
        }
        for (int m = 0; m < 5; m++)
            out[(int64_t)m * columns + x] = s[m];
    }
}

static double ssim_of(const double m[5])
{
    const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    double va = m[2] - m[0] * m[0], vb = m[3] - m[1] * m[1], cov = m[4] - m[0] * m[1];
    return ((2 * m[0] * m[1] + c1) * (2 * cov + c2)) / ((m[0] * m[0] + m[1] * m[1] + c1) * (va + vb + c2));
}

/* Rows are kept in a ring of TAPS: each is filtered once along x, and each output row sums the ring along y. */
static double channel_ssim(const uint8_t *a, const uint8_t *b, int32_t width, int32_t height, const float *window,
                           float *ring)
{
    int32_t columns = width - TAPS + 1;
    double total = 0;
    for (int32_t y = 0; y < height; y++) {
        filter_row(a + (int64_t)y * width * 3, b + (int64_t)y * width * 3, columns, window,
                   ring + (int64_t)(y % TAPS) * 5 * columns);
        if (y < TAPS - 1)
            continue;
        double row = 0;
        for (int32_t x = 0; x < columns; x++) {
            double m[5] = {0};
            for (int k = 0; k < TAPS; k++) {
                const float *from = ring + (int64_t)((y - TAPS + 1 + k) % TAPS) * 5 * columns + x;
                for (int i = 0; i < 5; i++)
                    m[i] += (double)window[k] * (double)from[(int64_t)i * columns];
            }
            row += ssim_of(m);
        }
        total += row;
    }
    return total / ((double)columns * (height - TAPS + 1));
}

int quality_ssim(const uint8_t *a, const uint8_t *b, int32_t width, int32_t height, double *out)
{
    float window[TAPS];
    if (width < TAPS || height < TAPS) {
        *out = NAN;
        return 0;
    }
    float *ring = malloc((size_t)TAPS * 5 * (size_t)(width - TAPS + 1) * sizeof *ring);
    if (!ring)
        return -1;
    make_window(window);
    double sum = 0;
    for (int c = 0; c < 3; c++)
        sum += channel_ssim(a + c, b + c, width, height, window, ring);
    free(ring);
    *out = sum / 3;
    return 0;
}
