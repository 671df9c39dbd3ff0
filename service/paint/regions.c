#include "paint/regions.h"

#include "paint/ink.h"
#include "paint/pairs.h"

#include <stdlib.h>
#include <string.h>

struct regions_conf regions_conf_default(int32_t width, int32_t height)
{
    int32_t smaller = width < height ? width : height;
    return (struct regions_conf){.threshold = 64, .gap_px = smaller / 135, .most = PAINT_REGIONS_MAX};
}

int regions_init(struct regions *r, int32_t width, int32_t height, struct err *e)
{
    size_t pixels = (size_t)width * (size_t)height;
    *r = (struct regions){.width = width, .height = height};
    r->ink = malloc(pixels);
    r->label = malloc(pixels * sizeof *r->label);
    r->work = gaps_work_new(width, height);
    if (r->ink && r->label && r->work)
        return 0;
    regions_fini(r);
    return err_set(e, ERR_internal, "no memory for the regions of a %dx%d frame", width, height);
}

void regions_fini(struct regions *r)
{
    free(r->ink);
    free(r->label);
    free(r->at);
    free(r->contacts);
    gaps_work_free(r->work);
    *r = (struct regions){0};
}

/* ---- which of the found areas stay ---- */
struct areas {
    int32_t count, top_count; /* labels found; those of the highest level come first */
    int32_t *area;            /* per label */
    int32_t *into;            /* the label that it becomes part of: itself, another, or 0 = dissolved */
};

static void count_areas(const struct regions *r, struct areas *a)
{
    int64_t pixels = (int64_t)r->width * r->height;
    for (int64_t i = 0; i < pixels; i++)
        a->area[r->label[i]]++;
    for (int32_t k = 0; k <= a->count; k++)
        a->into[k] = k;
}

/* Counts open borders of small areas that appeared below the top level: bulges of narrow tips, mostly. */
static int small_open_contacts(const struct regions *r, const struct areas *a, int32_t small, struct pairs *open)
{
    int32_t w = r->width;
    for (int32_t y = 0; y < r->height; y++) {
        const int32_t *row = r->label + (int64_t)y * w;
        for (int32_t x = 0; x < w; x++) {
            int32_t here = row[x];
            if (here <= a->top_count || a->area[here] >= small)
                continue;
            int32_t beside[4] = {x ? row[x - 1] : 0, x + 1 < w ? row[x + 1] : 0, y ? row[x - w] : 0,
                                 y + 1 < r->height ? row[x + w] : 0};
            for (int k = 0; k < 4; k++)
                if (beside[k] && beside[k] != here && pairs_add(open, here, beside[k], 1, 0))
                    return -1;
        }
    }
    return 0;
}

static int32_t target_of(const struct areas *a, int32_t label)
{
    while (a->into[label] != label)
        label = a->into[label];
    return label;
}

static int merge_small(const struct regions *r, struct areas *a, int32_t small)
{
    struct pairs open = {0};
    int result = small_open_contacts(r, a, small, &open);
    int32_t n = result ? 0 : pairs_sort(&open);
    for (int32_t i = 0; i < n;) {
        int32_t from = open.slots[i].a, best = i;
        for (; i < n && open.slots[i].a == from; i++)
            if (open.slots[i].n > open.slots[best].n)
                best = i;
        int32_t to = target_of(a, open.slots[best].b);
        if (to != from) {
            a->into[from] = to;
            a->area[to] += a->area[from];
        }
    }
    pairs_fini(&open);
    return result;
}

static int descending(const void *left, const void *right)
{
    int32_t l = *(const int32_t *)left, r = *(const int32_t *)right;
    return (l < r) - (l > r);
}

/* The largest `most` stay, and of them only what is more than dust. */
static int dissolve(struct areas *a, int32_t dust, int32_t most)
{
    int32_t floor_area = dust, kept = 0, room = INT32_MAX;
    for (int32_t k = 1; k <= a->count; k++)
        kept += a->into[k] == k && a->area[k] > dust;
    if (kept == 0) { /* nothing but dust is a drawing, too */
        floor_area = dust = 0;
        for (int32_t k = 1; k <= a->count; k++)
            kept += a->into[k] == k;
    }
    if (kept > most) {
        int32_t *sorted = malloc((size_t)kept * sizeof *sorted), n = 0;
        if (!sorted)
            return -1;
        for (int32_t k = 1; k <= a->count; k++)
            if (a->into[k] == k && a->area[k] > dust)
                sorted[n++] = a->area[k];
        qsort(sorted, (size_t)n, sizeof *sorted, descending);
        floor_area = sorted[most - 1] - 1;
        room = 0;
        for (int32_t i = 0; i < most; i++)
            room += sorted[i] == floor_area + 1;
        free(sorted);
    }
    for (int32_t k = 1; k <= a->count; k++) {
        bool least = a->area[k] == floor_area + 1;
        if (a->into[k] != k)
            continue;
        if (a->area[k] <= floor_area || (least && room <= 0))
            a->into[k] = 0;
        else
            room -= least;
    }
    return 0;
}

/* Final numbers, in raster order of first pixels. area[] is reused for them. */
static int32_t renumber(struct regions *r, struct areas *a)
{
    int32_t *number = a->area, count = 0;
    int64_t pixels = (int64_t)r->width * r->height;
    for (int32_t k = 1; k <= a->count; k++) {
        int32_t to = k;
        while (to && a->into[to] != to)
            to = a->into[to];
        a->into[k] = to;
    }
    memset(number, 0, ((size_t)a->count + 1) * sizeof *number);
    for (int64_t i = 0; i < pixels; i++) {
        int32_t to = a->into[r->label[i]];
        if (to && !number[to])
            number[to] = ++count;
        r->label[i] = number[to];
    }
    return count;
}

int regions_find(struct regions *r, const struct paint_image *lines, const struct regions_conf *c, bool with_shapes,
                 struct err *e)
{
    struct areas a = {0};
    int32_t levels = (c->gap_px + 1) / 2, dust = (int32_t)((int64_t)r->width * r->height / 500000);
    int result = -1;
    ink_measure(r->ink, lines);
    a.count = gaps_label(r->work, r->ink, c->threshold, levels, &a.top_count, r->label);
    if (a.count < 0)
        goto out;
    a.area = calloc((size_t)a.count + 1, sizeof *a.area);
    a.into = malloc(((size_t)a.count + 1) * sizeof *a.into);
    if (!a.area || !a.into)
        goto out;
    count_areas(r, &a);
    if (merge_small(r, &a, 8 * (levels + 1) * (levels + 1)) || dissolve(&a, dust, c->most))
        goto out;
    r->count = renumber(r, &a);
    if (r->count && gaps_grow_all(r->work, r->label))
        goto out;
    result = 0;
out:
    free(a.area);
    free(a.into);
    if (result)
        return err_set(e, ERR_internal, "no memory for the regions of a frame");
    return with_shapes ? regions_shapes(r, c->threshold, e) : 0;
}
