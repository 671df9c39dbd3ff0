#include "paint/smooth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BORDER_WEIGHT 0.02F /* of a network pixel into which another region shines */

void smooth_fini(struct smooth *s)
{
    free(s->first);
    free(s->entries);
    free(s->means);
    *s = (struct smooth){0};
}

static int32_t scaled(int32_t i, int32_t to, int32_t from)
{
    return (int32_t)((int64_t)i * to / from);
}

/* Do the corners of a network pixel all lie in this region? */
static bool pure(const struct regions *r, const struct paint_image *p, int32_t px, int32_t py, int32_t label)
{
    for (int k = 0; k < 4; k++) {
        int32_t x = scaled(px + (k & 1), r->width, p->width), y = scaled(py + (k >> 1), r->height, p->height);
        x = x < r->width ? x : r->width - 1;
        y = y < r->height ? y : r->height - 1;
        if (r->label[(int64_t)y * r->width + x] != label)
            return false;
    }
    return true;
}

static struct smooth_entry *entry_of(struct smooth *s, int32_t from, int32_t *count, int32_t label)
{
    for (int32_t i = from; i < *count; i++)
        if (s->entries[i].label == label)
            return &s->entries[i];
    if (*count == s->capacity) {
        int64_t capacity = s->capacity ? s->capacity * 2 : 4096;
        struct smooth_entry *grown = realloc(s->entries, (size_t)capacity * sizeof *grown);
        if (!grown)
            return NULL;
        s->entries = grown;
        s->capacity = capacity;
    }
    s->entries[*count] = (struct smooth_entry){.label = label};
    return &s->entries[(*count)++];
}

static int read_cell(struct smooth *s, const struct regions *r, int threshold, const struct paint_image *p, int32_t cx,
                     int32_t cy, int32_t *count)
{
    int32_t from = *count, x0 = cx * s->cell_px, y0 = cy * s->cell_px;
    int32_t x1 = x0 + s->cell_px < r->width ? x0 + s->cell_px : r->width;
    int32_t y1 = y0 + s->cell_px < r->height ? y0 + s->cell_px : r->height;
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) {
            int64_t i = (int64_t)y * r->width + x;
            if (r->ink[i] > threshold || !r->label[i])
                continue;
            struct smooth_entry *entry = entry_of(s, from, count, r->label[i]);
            if (!entry)
                return -1;
            int32_t px = scaled(x, p->width, r->width), py = scaled(y, p->height, r->height);
            const uint8_t *rgb = p->pixels + ((int64_t)py * p->width + px) * p->channels;
            float weight = pure(r, p, px, py, r->label[i]) ? 1 : BORDER_WEIGHT;
            float *mean = s->means + (int64_t)r->label[i] * 4;
            for (int c = 0; c < 3; c++) {
                entry->delta[c] += weight * rgb[c];
                mean[c] += weight * rgb[c];
            }
            entry->weight += weight;
            mean[3] += weight;
        }
    return 0;
}

static int reserve(struct smooth *s, const struct regions *r, const struct paint_image *p)
{
    int32_t wide = 2 * r->width / p->width, high = 2 * r->height / p->height;
    s->cell_px = wide > high ? wide : high;
    s->cell_px = s->cell_px < 4 ? 4 : s->cell_px;
    s->columns = (r->width + s->cell_px - 1) / s->cell_px;
    s->rows = (r->height + s->cell_px - 1) / s->cell_px;
    free(s->first);
    s->first = malloc(((size_t)s->columns * (size_t)s->rows + 1) * sizeof *s->first);
    if (r->count >= s->room) {
        free(s->means);
        s->means = malloc(((size_t)r->count + 1) * 4 * sizeof *s->means);
        s->room = s->means ? r->count + 1 : 0;
    }
    if (!s->first || !s->room)
        return -1;
    memset(s->means, 0, ((size_t)r->count + 1) * 4 * sizeof *s->means);
    return 0;
}

int smooth_load(struct smooth *s, const struct regions *r, int threshold, const struct paint_image *proposal,
                struct err *e)
{
    int32_t count = 0;
    if (reserve(s, r, proposal))
        return err_set(e, ERR_internal, "no memory for shading");
    for (int32_t cy = 0; cy < s->rows; cy++)
        for (int32_t cx = 0; cx < s->columns; cx++) {
            s->first[(int64_t)cy * s->columns + cx] = count;
            if (read_cell(s, r, threshold, proposal, cx, cy, &count))
                return err_set(e, ERR_internal, "no memory for shading");
        }
    s->first[(int64_t)s->rows * s->columns] = count;
    for (int32_t i = 0; i < count; i++) {
        struct smooth_entry *entry = &s->entries[i];
        const float *mean = s->means + (int64_t)entry->label * 4;
        for (int c = 0; c < 3; c++)
            entry->delta[c] = entry->delta[c] / entry->weight - mean[c] / mean[3];
    }
    return 0;
}

static const struct smooth_entry *find(const struct smooth *s, int32_t cx, int32_t cy, int32_t label)
{
    if (cx < 0 || cy < 0 || cx >= s->columns || cy >= s->rows)
        return NULL;
    int64_t cell = (int64_t)cy * s->columns + cx;
    for (int32_t i = s->first[cell]; i < s->first[cell + 1]; i++)
        if (s->entries[i].label == label)
            return &s->entries[i];
    return NULL;
}

void smooth_at(const struct smooth *s, int32_t label, int32_t x, int32_t y, const uint8_t base[4], uint8_t out[4])
{
    float u = ((float)x + 0.5F) / (float)s->cell_px - 0.5F, v = ((float)y + 0.5F) / (float)s->cell_px - 0.5F;
    float fu = floorf(u), fv = floorf(v), sum[3] = {0}, total = 0;
    for (int k = 0; k < 4; k++) {
        const struct smooth_entry *entry = find(s, (int32_t)fu + (k & 1), (int32_t)fv + (k >> 1), label);
        if (!entry)
            continue;
        float weight = (k & 1 ? u - fu : 1 - u + fu) * (k >> 1 ? v - fv : 1 - v + fv) + 1e-4F;
        weight *= fminf(entry->weight, 1);
        for (int c = 0; c < 3; c++)
            sum[c] += weight * entry->delta[c];
        total += weight;
    }
    for (int c = 0; c < 3; c++) {
        float value = (float)base[c] + (total > 0 ? sum[c] / total : 0);
        out[c] = (uint8_t)(fminf(fmaxf(value, 0), 255) + 0.5F);
    }
    out[3] = base[3];
}
