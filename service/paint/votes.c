#include "paint/votes.h"

#include "paint/color.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Weights of cells: well inside a region, only just inside, on its border. */
#define INSIDE 1.0F
#define PURE 0.2F
#define MIXED 0.04F

struct cell {
    int32_t label; /* of most of its pixels; 0 = line */
    float purity, weight;
};

struct tally {
    float weight, L, a, b, rgb[3];
};

struct voter {
    const struct palette *palette;
    const struct paint_weights *weights;
    struct oklab paint[PALETTE_MAX];
    float linear[256]; /* sRGB to linear light */
    struct cell *cells;
    struct oklab *colors; /* of the cells */
    uint8_t *nearest;     /* palette colour of a cell */
    int64_t cell_capacity;
    struct tally *tallies;
    float *histogram; /* regions x palette */
    int64_t tally_capacity, histogram_capacity;
};

struct voter *voter_new(const struct palette *palette, const struct paint_weights *w)
{
    struct voter *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->palette = palette;
    v->weights = w;
    for (int32_t i = 0; i < palette->count; i++)
        v->paint[i] = color_oklab(palette->colors[i].rgb);
    for (int i = 0; i < 256; i++) {
        double x = i / 255.0;
        v->linear[i] = (float)(x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4));
    }
    return v;
}

void voter_free(struct voter *v)
{
    if (!v)
        return;
    free(v->cells);
    free(v->colors);
    free(v->nearest);
    free(v->tallies);
    free(v->histogram);
    free(v);
}

static int reserve(struct voter *v, int64_t cells, int64_t regions)
{
    if (cells > v->cell_capacity) {
        free(v->cells);
        free(v->colors);
        free(v->nearest);
        v->cells = malloc((size_t)cells * sizeof *v->cells);
        v->colors = malloc((size_t)cells * sizeof *v->colors);
        v->nearest = malloc((size_t)cells);
        v->cell_capacity = v->cells && v->colors && v->nearest ? cells : 0;
        if (!v->cell_capacity)
            return -1;
    }
    if (regions > v->tally_capacity) {
        free(v->tallies);
        v->tallies = malloc((size_t)regions * sizeof *v->tallies);
        v->tally_capacity = v->tallies ? regions : 0;
    }
    /* For very many regions the histogram would be too large: they are tiny, and the plain mean will do. */
    int64_t slots = regions * v->palette->count;
    if (slots > v->histogram_capacity && slots <= 8000000) {
        free(v->histogram);
        v->histogram = malloc((size_t)slots * sizeof *v->histogram);
        v->histogram_capacity = v->histogram ? slots : 0;
    }
    return v->tally_capacity ? 0 : -1;
}

/* ---- cells ---- */
static struct oklab to_oklab(const struct voter *v, const uint8_t *p)
{
    float r = v->linear[p[0]], g = v->linear[p[1]], b = v->linear[p[2]];
    float l = cbrtf(0.4122214708F * r + 0.5363325363F * g + 0.0514459929F * b);
    float m = cbrtf(0.2119034982F * r + 0.6806995451F * g + 0.1073969566F * b);
    float s = cbrtf(0.0883024619F * r + 0.2817188376F * g + 0.6299787005F * b);
    return (struct oklab){0.2104542553F * l + 0.7936177850F * m - 0.0040720468F * s,
                          1.9779984951F * l - 2.4285922050F * m + 0.4505937099F * s,
                          0.0259040371F * l + 0.7827717662F * m - 0.8086757660F * s};
}

/* May a region be painted in this colour? Lines that are only lines may not. */
static bool paintable(const struct palette_color *c)
{
    return !c->ink || c->area > 0;
}

static uint8_t nearest_paint(const struct voter *v, struct oklab color)
{
    int32_t best = 0;
    float least = INFINITY;
    for (int32_t i = 0; i < v->palette->count; i++) {
        float d = color_distance2(color, v->paint[i]);
        if (d < least && paintable(&v->palette->colors[i])) {
            least = d;
            best = i;
        }
    }
    return (uint8_t)best;
}

static void read_colors(struct voter *v, const struct paint_image *p)
{
    for (int64_t i = 0, n = (int64_t)p->width * p->height; i < n; i++) {
        const uint8_t *at = p->pixels + i * p->channels;
        if (i && memcmp(at, at - p->channels, 3) == 0) {
            v->colors[i] = v->colors[i - 1];
            v->nearest[i] = v->nearest[i - 1];
            continue;
        }
        v->colors[i] = to_oklab(v, at);
        v->nearest[i] = nearest_paint(v, v->colors[i]);
    }
}

/* The label that most pixels of a rectangle have, and how many of them. */
static struct cell look_under(const struct regions *r, int threshold, int32_t x0, int32_t y0, int32_t x1, int32_t y1)
{
    struct {
        int32_t label, n;
    } seen[8] = {{0}};
    int count = 0, last = 0, best = 0;
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) {
            int64_t i = (int64_t)y * r->width + x;
            int32_t label = r->ink[i] > threshold ? 0 : r->label[i];
            if (!count || seen[last].label != label) {
                for (last = 0; last < count && seen[last].label != label; last++)
                    ;
                if (last == 8)
                    last = 7; /* more than eight kinds: no majority will come of it */
                else if (last == count)
                    seen[count].label = label, seen[count++].n = 0;
            }
            seen[last].n++;
        }
    for (int k = 1; k < count; k++)
        if (seen[k].label && (seen[k].n > seen[best].n || !seen[best].label))
            best = k;
    return (struct cell){seen[best].label, (float)seen[best].n / (float)((x1 - x0) * (y1 - y0)), 0};
}

static int32_t scaled(int32_t i, int32_t to, int32_t from)
{
    return (int32_t)((int64_t)i * to / from);
}

static void read_cells(struct voter *v, const struct regions *r, int threshold, const struct paint_image *p)
{
    for (int32_t y = 0; y < p->height; y++)
        for (int32_t x = 0; x < p->width; x++) {
            int32_t x0 = scaled(x, r->width, p->width), x1 = scaled(x + 1, r->width, p->width);
            int32_t y0 = scaled(y, r->height, p->height), y1 = scaled(y + 1, r->height, p->height);
            v->cells[(int64_t)y * p->width + x] =
                look_under(r, threshold, x0, y0, x1 > x0 ? x1 : x0 + 1, y1 > y0 ? y1 : y0 + 1);
        }
}

static bool inside(const struct cell *c, int32_t x, int32_t y, int32_t w, int32_t h)
{
    for (int dy = y > 0 ? -1 : 0; dy <= (y + 1 < h); dy++)
        for (int dx = x > 0 ? -1 : 0; dx <= (x + 1 < w); dx++) {
            const struct cell *o = c + (int64_t)dy * w + dx;
            if (o->label != c->label || o->purity < 0.8F)
                return false;
        }
    return true;
}

static void weigh_cells(struct cell *cells, int32_t w, int32_t h)
{
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            struct cell *c = &cells[(int64_t)y * w + x];
            if (!c->label)
                c->weight = 0;
            else if (c->purity < 0.97F)
                c->weight = MIXED * c->purity * c->purity;
            else
                c->weight = inside(c, x, y, w, h) ? INSIDE : PURE;
        }
}

/* ---- regions ---- */
static void add_to(struct tally *t, const struct voter *v, int64_t cell, const struct paint_image *p, float weight)
{
    struct oklab c = v->colors[cell];
    const uint8_t *rgb = p->pixels + cell * p->channels;
    t->weight += weight;
    t->L += weight * c.L;
    t->a += weight * c.a;
    t->b += weight * c.b;
    for (int k = 0; k < 3; k++)
        t->rgb[k] += weight * rgb[k];
}

/* A region too small to have a cell of its own takes what is under its pixels. */
static void look_at_pixels(struct voter *v, const struct regions *r, int32_t label, int threshold,
                           const struct paint_image *p)
{
    const struct region *at = &r->at[label];
    float weight = MIXED * 0.25F * (float)p->width * (float)p->height / ((float)r->width * (float)r->height);
    for (int32_t y = at->y0; y < at->y1; y++)
        for (int32_t x = at->x0; x < at->x1; x++) {
            int64_t i = (int64_t)y * r->width + x;
            if (r->label[i] == label && r->ink[i] <= threshold)
                add_to(&v->tallies[label], v,
                       (int64_t)scaled(y, p->height, r->height) * p->width + scaled(x, p->width, r->width), p, weight);
        }
}

static struct oklab mean_of(const struct tally *t)
{
    float n = t->weight > 0 ? t->weight : 1;
    return (struct oklab){t->L / n, t->a / n, t->b / n};
}

/* The most frequent paint of each region's cells, as the point to which its mean is robust; without histogram, the
 * plain mean. */
static void find_modes(struct voter *v, int32_t count, int64_t cells, struct oklab *modes)
{
    int32_t colors = v->palette->count;
    bool counted = (int64_t)(count + 1) * colors <= v->histogram_capacity;
    if (counted) {
        memset(v->histogram, 0, (size_t)(count + 1) * (size_t)colors * sizeof *v->histogram);
        for (int64_t i = 0; i < cells; i++)
            v->histogram[(int64_t)v->cells[i].label * colors + v->nearest[i]] += v->cells[i].weight;
    }
    for (int32_t k = 1; k <= count; k++) {
        const float *h = v->histogram + (int64_t)k * colors;
        int32_t best = 0;
        for (int32_t c = 1; counted && c < colors; c++)
            if (h[c] > h[best])
                best = c;
        modes[k] = counted && h[best] > 0 ? v->paint[best] : mean_of(&v->tallies[k]);
    }
}

static void sum_cells(struct voter *v, int32_t count, const struct paint_image *p, const struct oklab *modes)
{
    memset(v->tallies, 0, ((size_t)count + 1) * sizeof *v->tallies);
    for (int64_t i = 0, n = (int64_t)p->width * p->height; i < n; i++) {
        const struct cell *c = &v->cells[i];
        if (c->weight <= 0)
            continue;
        float weight = c->weight;
        if (modes) /* Far from the mode is another thing shining in: it counts little, but it counts. */
            weight /= 1 + color_distance2(v->colors[i], modes[c->label]) / (0.08F * 0.08F);
        add_to(&v->tallies[c->label], v, i, p, weight);
    }
}

static struct vote vote_of(const struct voter *v, const struct tally *t, float cells)
{
    struct vote out = {.evidence = (uint8_t)fminf(255, 16 * log2f(1 + cells))};
    struct oklab mean = mean_of(t);
    float large = v->weights->vote_sigma, small = v->weights->vote_sigma_small;
    float sigma2 = large * large + small * small / (1 + cells), share[PALETTE_MAX], total = 0;
    for (int32_t c = 0; c < v->palette->count; c++) {
        const struct palette_color *paint = &v->palette->colors[c];
        /* Student's t with three degrees of freedom: a wrong shade is still nearer to some paints than to others. */
        float kernel = 1 / (1 + color_distance2(mean, v->paint[c]) / (3 * sigma2));
        /* Lines shine into every small region in their own colour. */
        share[c] = paintable(paint) ? kernel * kernel * (paint->ink ? 0.5F : 1.0F) : 0;
        total += share[c];
    }
    for (int k = 0; k < VOTE_COLORS; k++) {
        int32_t best = 0;
        for (int32_t c = 1; c < v->palette->count; c++)
            if (share[c] > share[best])
                best = c;
        out.color[k] = (uint8_t)best;
        out.share[k] = (uint8_t)(total > 0 ? lrintf(255 * share[best] / total) : 0);
        share[best] = 0;
    }
    return out;
}

int voter_cast(struct voter *v, const struct regions *r, int threshold, const struct paint_image *proposal,
               struct vote *votes, float *mean_rgb, struct err *e)
{
    int64_t cells = (int64_t)proposal->width * proposal->height;
    struct oklab *modes = malloc(((size_t)r->count + 1) * sizeof *modes);
    float *weight = malloc(((size_t)r->count + 1) * sizeof *weight);
    if (!modes || !weight || reserve(v, cells, (int64_t)r->count + 1)) {
        free(modes);
        free(weight);
        return err_set(e, ERR_internal, "no memory for the votes of %d regions", r->count);
    }
    read_colors(v, proposal);
    read_cells(v, r, threshold, proposal);
    weigh_cells(v->cells, proposal->width, proposal->height);
    sum_cells(v, r->count, proposal, NULL);
    for (int32_t k = 1; k <= r->count; k++)
        weight[k] = v->tallies[k].weight;
    find_modes(v, r->count, cells, modes);
    sum_cells(v, r->count, proposal, modes);
    votes[0] = (struct vote){0};
    for (int32_t k = 1; k <= r->count; k++) {
        if (weight[k] <= 0) {
            look_at_pixels(v, r, k, threshold, proposal);
            weight[k] = v->tallies[k].weight;
        }
        votes[k] = vote_of(v, &v->tallies[k], weight[k]);
        for (int c = 0; mean_rgb && c < 3; c++)
            mean_rgb[k * 3 + c] = v->tallies[k].weight > 0 ? v->tallies[k].rgb[c] / v->tallies[k].weight : 255;
    }
    free(modes);
    free(weight);
    return 0;
}

float vote_likeness(const struct vote *a, const struct vote *b)
{
    int common = 0;
    for (int i = 0; i < VOTE_COLORS; i++)
        for (int j = 0; j < VOTE_COLORS; j++)
            if (a->color[i] == b->color[j])
                common += a->share[i] < b->share[j] ? a->share[i] : b->share[j];
    return (float)common / 255;
}
