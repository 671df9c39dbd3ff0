/* flat_areas.c - the uniform areas of a picture (see flat.h). */
#include "paint/flat_areas.h"

#include <stdlib.h>

#define PIXELS_MAX 9000000 /* larger pictures are read with every second, third … pixel: colours stay exact */
#define NOISE 12           /* range of a channel within a nearly uniform block */

void flat_areas_fini(struct flat_areas *a)
{
    free(a->rgb);
    free(a->clear);
    free(a->label);
    free(a->at);
    bits_fini(&a->flat);
    *a = (struct flat_areas){0};
}

static int load(struct flat_areas *a, const struct paint_image *image)
{
    int32_t step = 1;
    while ((int64_t)(image->width / step) * (image->height / step) > PIXELS_MAX)
        step++;
    a->width = image->width / step ? image->width / step : 1;
    a->height = image->height / step ? image->height / step : 1;
    size_t pixels = (size_t)a->width * (size_t)a->height;
    a->rgb = malloc(pixels * 3);
    a->clear = calloc(pixels, 1);
    a->label = calloc(pixels, sizeof *a->label);
    if (!a->rgb || !a->clear || !a->label || bits_init(&a->flat, a->width, a->height))
        return -1;
    for (int32_t y = 0; y < a->height; y++)
        for (int32_t x = 0; x < a->width; x++) {
            int64_t from = ((int64_t)y * step < image->height ? (int64_t)y * step : image->height - 1) * image->width +
                           ((int64_t)x * step < image->width ? x * step : image->width - 1);
            int64_t to = (int64_t)y * a->width + x;
            const uint8_t *p = image->pixels + from * image->channels;
            a->clear[to] = image->channels == 4 && p[3] < 128;
            for (int c = 0; c < 3; c++)
                a->rgb[to * 3 + c] = a->clear[to] ? 255 : p[c];
        }
    return 0;
}

/* Range of the channels over the size x size block at (x, y); 255 when alpha changes within it. */
static int block_range(const struct flat_areas *a, int32_t x, int32_t y, int size)
{
    int low[3] = {255, 255, 255}, high[3] = {0, 0, 0}, range = 0;
    int64_t first = (int64_t)y * a->width + x;
    for (int dy = 0; dy < size; dy++)
        for (int dx = 0; dx < size; dx++) {
            int64_t i = first + (int64_t)dy * a->width + dx;
            if (a->clear[i] != a->clear[first])
                return 255;
            for (int c = 0; c < 3; c++) {
                int v = a->rgb[i * 3 + c];
                low[c] = v < low[c] ? v : low[c];
                high[c] = v > high[c] ? v : high[c];
            }
        }
    for (int c = 0; c < 3; c++)
        range = high[c] - low[c] > range ? high[c] - low[c] : range;
    return range;
}

/* Compressed pictures have little waves in what is meant to be uniform. */
static bool is_noisy(const struct flat_areas *a)
{
    int64_t smooth = 0, exact = 0;
    int32_t step = (int64_t)a->width * a->height > 1000000 ? 3 : 1;
    for (int32_t y = 0; y + 4 < a->height; y += step)
        for (int32_t x = 0; x + 4 < a->width; x += step) {
            int range = block_range(a, x, y, 5);
            smooth += range <= NOISE;
            exact += range == 0;
        }
    return exact * 100 < smooth * 97;
}

static void mark_block(struct flat_areas *a, int32_t x, int32_t y, int size)
{
    for (int dy = 0; dy < size; dy++)
        for (int dx = 0; dx < size; dx++)
            bits_set(&a->flat, x + dx, y + dy);
}

static void find_flat(struct flat_areas *a)
{
    int size = a->noisy ? 3 : 2, tolerance = a->noisy ? NOISE : 0;
    if (a->width < size || a->height < size) {
        mark_block(a, 0, 0, 1);
        return;
    }
    for (int32_t y = 0; y + size <= a->height; y++)
        for (int32_t x = 0; x + size <= a->width; x++)
            if (block_range(a, x, y, size) <= tolerance) {
                if (a->noisy)
                    bits_set(&a->flat, x + 1, y + 1);
                else
                    mark_block(a, x, y, size);
            }
}

static bool alike(const struct flat_areas *a, int64_t i, int64_t j)
{
    int tolerance = a->noisy ? NOISE / 2 : 0;
    for (int c = 0; c < 3; c++)
        if (abs(a->rgb[i * 3 + c] - a->rgb[j * 3 + c]) > tolerance)
            return false;
    return a->clear[i] == a->clear[j];
}

static int32_t root_of(int32_t *parent, int32_t i)
{
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

/* Areas of flat pixels whose neighbours are alike, by union-find; labels are in raster order. */
static int find_areas(struct flat_areas *a)
{
    int64_t pixels = (int64_t)a->width * a->height;
    int32_t *parent = malloc((size_t)pixels * sizeof *parent), w = a->width;
    if (!parent)
        return -1;
    for (int32_t y = 0; y < a->height; y++)
        for (int32_t x = 0; x < w; x++) {
            int32_t i = y * w + x;
            parent[i] = i;
            if (!bits_get(&a->flat, x, y))
                continue;
            int32_t beside[2] = {x && bits_get(&a->flat, x - 1, y) ? i - 1 : i,
                                 y && bits_get(&a->flat, x, y - 1) ? i - w : i};
            for (int k = 0; k < 2; k++)
                if (beside[k] != i && alike(a, i, beside[k])) {
                    int32_t p = root_of(parent, i), q = root_of(parent, beside[k]);
                    parent[p > q ? p : q] = p > q ? q : p;
                }
        }
    for (int64_t i = 0; i < pixels; i++) {
        int32_t root = root_of(parent, (int32_t)i);
        if (!bits_get(&a->flat, (int32_t)(i % w), (int32_t)(i / w)))
            continue;
        a->label[i] = root == i ? ++a->count : a->label[root];
    }
    free(parent);
    a->at = calloc((size_t)a->count + 1, sizeof *a->at);
    return a->at ? 0 : -1;
}

static void measure_areas(struct flat_areas *a)
{
    for (int32_t y = 0; y < a->height; y++)
        for (int32_t x = 0; x < a->width; x++) {
            int64_t i = (int64_t)y * a->width + x;
            struct flat_area *at = &a->at[a->label[i]];
            const uint8_t *p = a->rgb + i * 3;
            at->n++;
            at->clear = a->clear[i];
            at->edge |= x == 0 || y == 0 || x + 1 == a->width || y + 1 == a->height;
            for (int c = 0; c < 3; c++) {
                at->sum[c] += p[c];
                at->squares += p[c] * p[c];
            }
        }
}

int flat_areas_find(struct flat_areas *a, const struct paint_image *image, struct err *e)
{
    *a = (struct flat_areas){0};
    if (load(a, image))
        goto memory;
    a->noisy = is_noisy(a);
    find_flat(a);
    if (find_areas(a))
        goto memory;
    measure_areas(a);
    return 0;
memory:
    flat_areas_fini(a);
    return err_set(e, ERR_internal, "no memory for the colours of a %dx%d reference", image->width, image->height);
}
