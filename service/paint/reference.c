#include "paint/reference.h"

#include "paint/bits.h"
#include "paint/color.h"
#include "paint/flat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REGIONS_KEPT 8192

/* ---- palette ---- */
static int32_t nearest_color(const struct palette *p, const struct palette_color *c, double tolerance)
{
    struct cielab lab = color_cielab(c->rgb);
    int32_t best = -1;
    for (int32_t i = 0; i < p->count; i++) {
        double d = color_ciede2000(lab, color_cielab(p->colors[i].rgb));
        /* Backgrounds go with backgrounds. */
        if (p->colors[i].background != c->background)
            d += 50;
        if (d < tolerance) {
            tolerance = d;
            best = i;
        }
    }
    return best;
}

/* Entry of the common palette for each colour of a picture; entries are added unless the palette is given. */
static void merge_palette(struct palette *into, const struct flat_map *map, bool given, uint8_t number[256])
{
    memset(number, FLAT_NONE, 256);
    for (int32_t i = 0; i < map->palette.count; i++) {
        const struct palette_color *c = &map->palette.colors[i];
        int32_t found = nearest_color(into, c, given ? 1000 : map->noisy ? 2.5 : 0.01);
        if (found < 0 && into->count < FLAT_NONE) {
            found = into->count++;
            into->colors[found] = *c;
            into->colors[found].area = 0;
        }
        if (found < 0)
            continue;
        into->colors[found].area += c->area;
        into->colors[found].ink |= c->ink;
        number[i] = (uint8_t)found;
    }
}

/* ---- regions ---- */
static void place(const struct flat_map *map, const uint8_t number[256], struct regions *r, uint8_t *index)
{
    double sx = (double)r->width / map->width, sy = (double)r->height / map->height, s = sx > sy ? sx : sy;
    for (int32_t y = 0; y < r->height; y++)
        for (int32_t x = 0; x < r->width; x++) {
            int64_t i = (int64_t)y * r->width + x;
            int32_t u = (int32_t)floor((x + 0.5 - r->width * 0.5) / s + map->width * 0.5);
            int32_t v = (int32_t)floor((y + 0.5 - r->height * 0.5) / s + map->height * 0.5);
            u = u < 0 ? 0 : u >= map->width ? map->width - 1 : u;
            v = v < 0 ? 0 : v >= map->height ? map->height - 1 : v;
            index[i] = number[map->index[(int64_t)v * map->width + u]];
            r->ink[i] = index[i] == FLAT_NONE ? 255 : 0;
        }
}

static int label_colors(struct regions *r, const uint8_t *index, int32_t colors)
{
    struct bits mask = {0};
    int result = -1;
    if (bits_init(&mask, r->width, r->height))
        return -1;
    memset(r->label, 0, (size_t)r->width * (size_t)r->height * sizeof *r->label);
    for (int32_t c = 0; c < colors; c++) {
        bool any = false;
        memset(mask.words, 0, (size_t)mask.stride * (size_t)mask.height * sizeof *mask.words);
        for (int32_t y = 0; y < r->height; y++)
            for (int32_t x = 0; x < r->width; x++)
                if (index[(int64_t)y * r->width + x] == c) {
                    bits_set(&mask, x, y);
                    any = true;
                }
        int32_t found = any ? bits_label(&mask, r->count + 1, r->label) : 0;
        if (found < 0)
            goto out;
        r->count += found;
    }
    result = 0;
out:
    bits_fini(&mask);
    return result;
}

/* Specks go, and with very many regions all but the larger ones. */
static int drop_specks(struct regions *r)
{
    int64_t pixels = (int64_t)r->width * r->height;
    int32_t *area = calloc((size_t)r->count + 1, sizeof *area), least = (int32_t)(pixels / 500000), kept = 0;
    if (!area)
        return -1;
    for (int64_t i = 0; i < pixels; i++)
        area[r->label[i]]++;
    for (;; least = least * 2 + 1) {
        kept = 0;
        for (int32_t k = 1; k <= r->count; k++)
            kept += area[k] > least;
        if (kept <= REGIONS_KEPT)
            break;
    }
    int32_t next = 0;
    area[0] = 0;
    for (int32_t k = 1; k <= r->count; k++)
        area[k] = area[k] > least ? ++next : 0;
    for (int64_t i = 0; i < pixels; i++)
        r->label[i] = area[r->label[i]];
    r->count = next;
    free(area);
    return 0;
}

static int find_regions(struct reference *ref, const uint8_t *index, int32_t colors, struct err *e)
{
    struct regions *r = &ref->regions;
    int64_t pixels = (int64_t)r->width * r->height;
    if (label_colors(r, index, colors) || drop_specks(r))
        goto memory;
    ref->color = calloc((size_t)r->count + 1, 1);
    if (!ref->color)
        goto memory;
    for (int64_t i = 0; i < pixels; i++)
        if (r->label[i])
            ref->color[r->label[i]] = index[i];
        else
            r->ink[i] = 255;
    if (r->count && gaps_grow_all(r->work, r->label))
        goto memory;
    if (regions_shapes(r, 128, e))
        return -1;
    return 0;
memory:
    return err_set(e, ERR_internal, "no memory for the regions of a reference");
}

/* Which colours are side by side: log of observed over expected, with a count of one added to each. */
static int count_beside(struct references *r)
{
    int32_t n = r->palette.count;
    double *seen = calloc((size_t)n * (size_t)n + (size_t)n, sizeof *seen), *sum = seen + (size_t)n * (size_t)n,
           all = 0;
    r->beside = calloc((size_t)n * (size_t)n + 1, sizeof *r->beside);
    if (!seen || !r->beside) {
        free(seen);
        return -1;
    }
    for (int32_t i = 0; i < r->count; i++)
        for (int32_t k = 0; k < r->at[i].regions.contact_count; k++) {
            const struct contact *t = &r->at[i].regions.contacts[k];
            if (!t->a || !t->b)
                continue;
            int32_t a = r->at[i].color[t->a], b = r->at[i].color[t->b];
            double length = sqrt(t->length);
            seen[a * n + b] += length;
            seen[b * n + a] += length;
            sum[a] += length;
            sum[b] += length;
            all += 2 * length;
        }
    for (int32_t a = 0; a < n; a++)
        for (int32_t b = 0; b < n; b++)
            r->beside[a * n + b] = all > 0 ? (float)log((seen[a * n + b] + 2) / (sum[a] * sum[b] / all + 2)) : 0;
    free(seen);
    return 0;
}

static int load_one(struct references *r, const struct paint_image *image, int32_t width, int32_t height, bool given,
                    bool split_background, struct err *e)
{
    struct reference *ref = &r->at[r->count];
    struct flat_map map;
    uint8_t number[256], *index = malloc((size_t)width * (size_t)height);
    int result = -1;
    if (flat_find(&map, image, split_background, e)) {
        free(index);
        return -1;
    }
    merge_palette(&r->palette, &map, given, number);
    r->flat &= flat_enough(&map);
    r->count++;
    if (!index)
        err_set(e, ERR_internal, "no memory for a reference");
    else if (!regions_init(&ref->regions, width, height, e)) {
        place(&map, number, &ref->regions, index);
        result = find_regions(ref, index, r->palette.count, e);
    }
    free(index);
    flat_fini(&map);
    return result;
}

int references_load(struct references *r, const struct paint_image *images, int count, int32_t width, int32_t height,
                    const struct palette *palette, bool split_background, struct err *e)
{
    *r = (struct references){.flat = true};
    if (palette)
        r->palette = *palette;
    for (int i = 0; i < count; i++)
        if (load_one(r, &images[i], width, height, palette != NULL, split_background, e)) {
            references_fini(r);
            return -1;
        }
    if (r->palette.count == 0) {
        /* Nothing uniform at all: a mid grey stands in, so that there is a palette; smooth mode does not use it. */
        r->palette.colors[0] = (struct palette_color){.rgb = {128, 128, 128}};
        r->palette.count = 1;
        r->flat = false;
    }
    if (!count_beside(r))
        return 0;
    references_fini(r);
    return err_set(e, ERR_internal, "no memory for the references");
}

void references_fini(struct references *r)
{
    for (int32_t i = 0; i < r->count; i++) {
        regions_fini(&r->at[i].regions);
        free(r->at[i].color);
    }
    free(r->beside);
    *r = (struct references){0};
}

/* ---- what it says about a drawing ---- */

#define UNKNOWN 0.02F /* weight of all colours together against a score of 0: nothing in the reference is like it */

void reference_scratch_fini(struct reference_scratch *s)
{
    match_fini(&s->match);
    kin_fini(&s->kin);
}

static void to_distribution(const struct reference *ref, const struct kin *k, int32_t region, int32_t colors,
                            struct sparse *out)
{
    const struct kin_pair *pairs = k->pairs + (int64_t)region * k->stride;
    float p[PALETTE_MAX], most = 0, total = 0;
    for (int32_t i = 0; i < k->counts[region]; i++)
        most = fmaxf(most, pairs[i].score);
    for (int32_t c = 0; c < colors; c++)
        p[c] = UNKNOWN * expf(-most) / (float)colors;
    for (int32_t i = 0; i < k->counts[region]; i++)
        p[ref->color[pairs[i].b]] += expf(pairs[i].score - most);
    for (int32_t c = 0; c < colors; c++)
        total += p[c];
    *out = (struct sparse){0};
    for (int32_t c = 0; c < colors; c++)
        sparse_add(out, (uint8_t)c, p[c] / total);
}

int reference_prior(const struct references *r, int32_t which, const struct regions *d, struct reference_scratch *s,
                    const struct paint_weights *w, struct sparse *out, struct err *e)
{
    const struct reference *ref = &r->at[which];
    const struct regions *g = &ref->regions;
    struct match_side a = {d->count, d->at, d->contacts, d->contact_count, NULL};
    struct match_side b = {g->count, g->at, g->contacts, g->contact_count, NULL};
    if (match_overlap(&s->match, d->label, g->label, d->width, d->height))
        return err_set(e, ERR_internal, "no memory to compare a drawing with the reference");
    if (kin_find(&s->kin, &a, &b, s->match.overlap.slots, s->match.overlaps, d->width, d->height, w, e))
        return -1;
    for (int32_t k = 1; k <= d->count; k++)
        to_distribution(ref, &s->kin, k, r->palette.count, &out[k]);
    return 0;
}
