#include "paint/flat.h"

#include "paint/bits.h"
#include "paint/color.h"
#include "paint/flat_areas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLORS_MAX 255

struct color {
    uint8_t rgb[3];
    struct cielab lab;
    int64_t n, sum[3];
    bool clear, background, ink, gone;
};

struct colors {
    struct color at[COLORS_MAX];
    int32_t count;
};

/* A gradient is not a colour. */
static bool even(const struct flat_area *a)
{
    double variance = (double)a->squares / a->n;
    for (int c = 0; c < 3; c++) {
        double mean = (double)a->sum[c] / a->n;
        variance -= mean * mean;
    }
    return variance <= 3 * 5.0 * 5.0;
}

static void mean_of(const struct flat_area *a, uint8_t rgb[3])
{
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)((a->sum[c] + a->n / 2) / a->n);
}

/* The nearest colour within a tolerance (CIEDE2000), or with tolerance 0 the same one; -1 = none. */
static int32_t find_color(const struct colors *cs, const uint8_t rgb[3], double tolerance, bool clear)
{
    struct cielab lab = color_cielab(rgb);
    int32_t found = -1;
    for (int32_t i = 0; i < cs->count; i++) {
        const struct color *c = &cs->at[i];
        if (c->clear != clear)
            continue;
        if (clear || memcmp(c->rgb, rgb, 3) == 0)
            return i;
        double d = tolerance > 0 ? color_ciede2000(lab, c->lab) : 1;
        if (d < tolerance) {
            tolerance = d;
            found = i;
        }
    }
    return found;
}

static void join_color(struct flat_area *at, struct colors *cs, double tolerance)
{
    uint8_t rgb[3];
    mean_of(at, rgb);
    int32_t found = find_color(cs, rgb, tolerance, at->clear);
    if (found < 0 && cs->count < COLORS_MAX) {
        found = cs->count++;
        cs->at[found] = (struct color){.lab = color_cielab(rgb), .clear = at->clear, .background = at->clear};
        memcpy(cs->at[found].rgb, rgb, 3);
    }
    if (found < 0)
        return;
    at->color = found;
    cs->at[found].n += at->n;
    for (int c = 0; c < 3; c++)
        cs->at[found].sum[c] += at->sum[c];
}

static int by_size(const void *left, const void *right, void *user)
{
    const struct flat_area *areas = user;
    int32_t l = *(const int32_t *)left, r = *(const int32_t *)right;
    if (areas[l].n != areas[r].n)
        return areas[l].n > areas[r].n ? -1 : 1;
    return (l > r) - (l < r);
}

/* Largest areas first: they found the colours, smaller ones join them. */
static int gather(struct flat_areas *a, struct colors *cs)
{
    int32_t *order = malloc(((size_t)a->count + 1) * sizeof *order), least = a->noisy ? 12 : 6;
    if (!order)
        return -1;
    for (int32_t i = 0; i < a->count; i++)
        order[i] = i + 1;
    if (a->count)
        qsort_r(order, (size_t)a->count, sizeof *order, by_size, a->at);
    for (int32_t k = 0; k < a->count; k++) {
        struct flat_area *at = &a->at[order[k]];
        at->color = FLAT_NONE;
        /* Small areas of a compressed picture are off by more. */
        if (at->n >= least && even(at))
            join_color(at, cs, a->noisy ? 2.3 + 25 / sqrt(at->n) : 0);
    }
    free(order);
    if (a->noisy)
        for (int32_t i = 0; i < cs->count; i++)
            for (int c = 0; c < 3; c++)
                cs->at[i].rgb[c] = (uint8_t)((cs->at[i].sum[c] + cs->at[i].n / 2) / cs->at[i].n);
    return 0;
}

/* ---- what is not a paint ---- */
static void mask_of(const struct flat_areas *a, int32_t color, struct bits *out)
{
    memset(out->words, 0, (size_t)out->stride * (size_t)out->height * sizeof *out->words);
    for (int32_t y = 0; y < a->height; y++)
        for (int32_t x = 0; x < a->width; x++) {
            int32_t label = a->label[(int64_t)y * a->width + x];
            if (label && a->at[label].color == color)
                bits_set(out, x, y);
        }
}

/* Does this colour lie between two larger ones, as the steps of a soft edge do? */
static bool between(const struct colors *cs, int32_t which)
{
    const struct color *c = &cs->at[which];
    for (int32_t i = 0; i < which; i++)
        for (int32_t j = 0; j < i; j++) {
            double along = 0, length = 0, off = 0;
            for (int k = 0; k < 3; k++) {
                double d = cs->at[j].rgb[k] - cs->at[i].rgb[k];
                along += d * (c->rgb[k] - cs->at[i].rgb[k]);
                length += d * d;
            }
            double t = length > 0 ? along / length : -1;
            for (int k = 0; k < 3; k++) {
                double d = cs->at[i].rgb[k] + t * (cs->at[j].rgb[k] - cs->at[i].rgb[k]) - c->rgb[k];
                off += d * d;
            }
            if (t > 0.02 && t < 0.98 && off < 3 * 3 * 3)
                return true;
        }
    return false;
}

/* Steps of soft edges in enlarged pictures are uniform, but never more than two pixels wide. */
static void drop_edges(const struct flat_areas *a, struct colors *cs, struct bits mask[2])
{
    for (int32_t i = 2; i < cs->count; i++) {
        if (cs->at[i].clear || !between(cs, i))
            continue;
        mask_of(a, i, &mask[0]);
        bits_erode_square(&mask[1], &mask[0]);
        cs->at[i].gone = bits_count(&mask[1]) == 0;
    }
}

/* Erodes and dilates `times` times: what is left of the mask is thicker than a line. */
static void open_mask(struct bits mask[3], int times)
{
    size_t bytes = (size_t)mask[0].stride * (size_t)mask[0].height * sizeof(uint64_t);
    memcpy(mask[1].words, mask[0].words, bytes);
    for (int i = 0; i < 2 * times; i++) {
        int step = i < times ? i : 2 * times - 1 - i;
        if (i < times)
            (step & 1 ? bits_erode_cross : bits_erode_square)(&mask[2], &mask[1]);
        else
            (step & 1 ? bits_dilate_cross : bits_dilate_square)(&mask[2], &mask[1]);
        struct bits swap = mask[1];
        mask[1] = mask[2];
        mask[2] = swap;
    }
}

/* Areas of a mask and their sizes; -1 without memory. Both arrays are the caller's to free. */
static int32_t size_areas(const struct bits *mask, int32_t **out_label, int32_t **out_size)
{
    int64_t pixels = (int64_t)mask->width * mask->height;
    int32_t *label = calloc((size_t)pixels, sizeof *label), count = label ? bits_label(mask, 1, label) : -1;
    int32_t *size = count >= 0 ? calloc((size_t)count + 1, sizeof *size) : NULL;
    *out_label = label;
    *out_size = size;
    for (int64_t i = 0; size && i < pixels; i++)
        size[label[i]]++;
    return size ? count : -1;
}

/* Does a pixel border on one of this colour that is line? */
static bool beside_line(const uint8_t *index, const struct bits *mask, int32_t x, int32_t y)
{
    static const int8_t step[4][2] = {{0, -1}, {-1, 0}, {1, 0}, {0, 1}};
    for (int k = 0; k < 4; k++) {
        int32_t u = x + step[k][0], v = y + step[k][1];
        if (u >= 0 && v >= 0 && u < mask->width && v < mask->height && bits_get(mask, u, v) &&
            index[(int64_t)v * mask->width + u] == FLAT_NONE)
            return true;
    }
    return false;
}

/* Where lines cross they are thick, too: small lumps on a line are part of it. */
static int drop_lumps(const struct bits *colour, const struct bits *thick, int times, uint8_t *index, int64_t *lines)
{
    int32_t *label, *size, count = size_areas(thick, &label, &size), small = 2 * (2 * times + 1) * (2 * times + 1);
    for (int32_t y = 0; count > 0 && y < thick->height; y++)
        for (int32_t x = 0; x < thick->width; x++) {
            int32_t k = label[(int64_t)y * thick->width + x];
            if (k && size[k] > 0 && size[k] <= small && beside_line(index, colour, x, y))
                size[k] = -1;
        }
    for (int64_t i = 0, n = (int64_t)thick->width * thick->height; count > 0 && i < n; i++)
        if (label[i] && size[label[i]] < 0) {
            index[i] = FLAT_NONE;
            ++*lines;
        }
    free(label);
    free(size);
    return count < 0 ? -1 : 0;
}

/* Takes the lines out of a dark colour: its thin, long parts lose their index. Compact dots stay paint. */
static int drop_lines(const struct flat_areas *a, struct color *c, int32_t which, uint8_t *index, struct bits mask[3])
{
    int times = 2 + a->height / 540; /* lines of 4 pixels at 270 rows, of 8 at 1080 */
    int64_t lines = 0;
    int32_t *label, *size;
    mask_of(a, which, &mask[0]);
    open_mask(mask, times);
    for (int64_t i = 0, n = (int64_t)mask[0].stride * mask[0].height; i < n; i++)
        mask[2].words[i] = mask[0].words[i] & ~mask[1].words[i];
    int32_t count = size_areas(&mask[2], &label, &size);
    for (int64_t i = 0, n = (int64_t)a->width * a->height; count > 0 && i < n; i++)
        if (label[i] && size[label[i]] > 4 * (times + 1) * (times + 1)) {
            index[i] = FLAT_NONE;
            lines++;
        }
    free(label);
    free(size);
    if (count < 0 || (lines && drop_lumps(&mask[0], &mask[1], times, index, &lines)))
        return -1;
    c->ink = lines * 2 >= c->n;
    c->n -= lines;
    return 0;
}

/* ---- the background ---- */
static int32_t edge_color(const struct flat_areas *a)
{
    int64_t count[COLORS_MAX + 1] = {0}, total = 0;
    for (int32_t y = 0; y < a->height; y++)
        for (int32_t x = 0; x < a->width; x += y == 0 || y + 1 == a->height || a->width == 1 ? 1 : a->width - 1) {
            int32_t label = a->label[(int64_t)y * a->width + x];
            count[label ? a->at[label].color : FLAT_NONE]++;
            total++;
        }
    int32_t best = 0;
    for (int32_t i = 1; i < COLORS_MAX; i++)
        best = count[i] > count[best] ? i : best;
    return count[best] * 3 > total ? best : -1;
}

/* The background becomes a colour of its own, so that a white eye on a white ground stays paint. */
static void split_edge(struct flat_areas *a, struct colors *cs)
{
    int32_t from = edge_color(a);
    if (from < 0 || cs->at[from].background || cs->count == COLORS_MAX)
        return;
    struct color *c = &cs->at[cs->count];
    *c = cs->at[from];
    c->n = 0;
    c->background = true;
    for (int32_t i = 1; i <= a->count; i++)
        if (a->at[i].color == from && a->at[i].edge) {
            a->at[i].color = cs->count;
            c->n += a->at[i].n;
        }
    cs->at[from].n -= c->n;
    cs->at[from].gone = cs->at[from].n == 0;
    cs->count++;
}

/* ---- the result ---- */
static void fill_index(const struct flat_areas *a, const struct colors *cs, uint8_t *index)
{
    for (int64_t i = 0, n = (int64_t)a->width * a->height; i < n; i++) {
        int32_t color = a->label[i] ? a->at[a->label[i]].color : FLAT_NONE;
        index[i] = (uint8_t)(color == FLAT_NONE || cs->at[color].gone ? FLAT_NONE : color);
    }
}

/* Palette entries by falling area, and the index to match. */
static void publish(struct flat_map *out, const struct colors *cs, int64_t pixels)
{
    uint8_t number[256];
    memset(number, FLAT_NONE, sizeof number);
    for (;;) {
        int32_t best = -1;
        for (int32_t i = 0; i < cs->count; i++)
            if (number[i] == FLAT_NONE && !cs->at[i].gone && (best < 0 || cs->at[i].n > cs->at[best].n))
                best = i;
        if (best < 0)
            break;
        const struct color *c = &cs->at[best];
        struct palette_color *to = &out->palette.colors[out->palette.count];
        *to = (struct palette_color){.background = c->background, .ink = c->ink};
        to->area = (double)c->n / (double)pixels;
        memcpy(to->rgb, c->rgb, 3);
        number[best] = (uint8_t)out->palette.count++;
    }
    for (int64_t i = 0; i < pixels; i++)
        out->index[i] = number[out->index[i]];
}

int flat_find(struct flat_map *out, const struct paint_image *image, bool split_background, struct err *e)
{
    struct flat_areas a;
    struct bits mask[3] = {{0}};
    struct colors *cs = calloc(1, sizeof *cs);
    int result = -1;
    *out = (struct flat_map){0};
    if (flat_areas_find(&a, image, e)) {
        free(cs);
        return -1;
    }
    int64_t pixels = (int64_t)a.width * a.height;
    out->width = a.width;
    out->height = a.height;
    out->noisy = a.noisy;
    out->index = malloc((size_t)pixels);
    if (!cs || !out->index || bits_init(&mask[0], a.width, a.height) || bits_init(&mask[1], a.width, a.height) ||
        bits_init(&mask[2], a.width, a.height) || gather(&a, cs))
        goto out;
    int64_t flat = 0;
    for (int32_t i = 0; i < cs->count; i++) {
        flat += cs->at[i].n;
        cs->at[i].gone = cs->at[i].n < pixels / 500000;
    }
    out->coverage = (double)flat / (double)pixels;
    if (!a.noisy)
        drop_edges(&a, cs, mask);
    if (split_background)
        split_edge(&a, cs);
    fill_index(&a, cs, out->index);
    for (int32_t i = 0; i < cs->count; i++)
        if (!cs->at[i].gone && !cs->at[i].clear && color_oklab(cs->at[i].rgb).L < 0.45F &&
            drop_lines(&a, &cs->at[i], i, out->index, mask))
            goto out;
    publish(out, cs, pixels);
    result = 0;
out:
    for (int i = 0; i < 3; i++)
        bits_fini(&mask[i]);
    free(cs);
    flat_areas_fini(&a);
    if (!result)
        return 0;
    flat_fini(out);
    return err_set(e, ERR_internal, "no memory for the colours of a reference");
}

void flat_fini(struct flat_map *m)
{
    free(m->index);
    *m = (struct flat_map){0};
}

bool flat_enough(const struct flat_map *m)
{
    double covered = 0;
    int32_t count = 0;
    /* A painted frame is nearly all paint, in a few dozen colours; gradients and photographs are neither. */
    for (; count < m->palette.count && count < 96; count++)
        covered += m->palette.colors[count].area;
    return m->palette.count > 0 && m->coverage >= 0.5 && covered >= 0.5;
}
