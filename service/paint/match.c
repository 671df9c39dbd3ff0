#include "paint/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GRID 32           /* the picture is cut into GRID x GRID cells to find what is near */
#define PAIRS_MAX 1500000 /* looked at per round; with more regions the search gets narrower */
#define LOG_AREA_MAX 2.5F /* larger differences are never the same thing, unless they overlap */

struct match_shape {
    float x, y, size, log_area, stretch_x, stretch_y, log_spread, fill; /* x, y, size in heights of the picture */
    float area;                                                         /* under lines too, pixels */
    float moved_x, moved_y;                                             /* the neighbours' motion */
    bool border;
    int32_t best; /* of the other side, after a round */
    float best_score;
};

struct context {
    struct match *m;
    const struct match_side *a, *b;
    int32_t width, height;
    const float *weights;
    float reach_min, reach_max; /* in heights */
};

void match_fini(struct match *m)
{
    free(m->pairs);
    free(m->shape_a);
    free(m->shape_b);
    free(m->grid);
    free(m->grid_next);
    pairs_fini(&m->overlap);
    *m = (struct match){0};
}

int match_overlap(struct match *m, const int32_t *a, const int32_t *b, int32_t width, int32_t height)
{
    pairs_clear(&m->overlap);
    for (int32_t y = 0; y < height; y++) {
        const int32_t *p = a + (int64_t)y * width, *q = b + (int64_t)y * width;
        int32_t from_a = 0, from_b = 0, n = 0;
        for (int32_t x = 0; x < width; x++) {
            int32_t here_a = p[x], here_b = q[x];
            if (here_a != from_a || here_b != from_b) {
                if (n && from_a && from_b && pairs_add(&m->overlap, from_a, from_b, n, 0))
                    return -1;
                from_a = here_a;
                from_b = here_b;
                n = 0;
            }
            n++;
        }
        if (n && from_a && from_b && pairs_add(&m->overlap, from_a, from_b, n, 0))
            return -1;
    }
    m->overlaps = pairs_sort(&m->overlap);
    return 0;
}

/* ---- shapes ---- */
static void describe(const struct match_side *side, struct match_shape *out, int32_t height)
{
    for (int32_t k = 1; k <= side->count; k++) {
        const struct region *r = &side->at[k];
        float area = r->area > 0 ? (float)r->area : 1, trace = r->mxx + r->myy + 1e-6F;
        float box = (float)(r->x1 - r->x0) * (float)(r->y1 - r->y0);
        out[k] = (struct match_shape){.x = r->cx / (float)height,
                                      .y = r->cy / (float)height,
                                      .size = sqrtf(area) / (float)height,
                                      .log_area = logf(area),
                                      .stretch_x = (r->mxx - r->myy) / trace,
                                      .stretch_y = 2 * r->mxy / trace,
                                      .log_spread = logf(trace / area),
                                      .fill = box > 0 ? area / box : 1,
                                      .border = r->border};
    }
}

/* The areas that overlaps refer to are those of the label maps, lines included. */
static void sum_overlaps(struct match *m)
{
    for (int32_t i = 0; i < m->overlaps; i++) {
        const struct pair_count *o = &m->overlap.slots[i];
        m->shape_a[o->a].area += (float)o->n;
        m->shape_b[o->b].area += (float)o->n;
    }
}

static int prepare(struct context *c)
{
    struct match *m = c->m;
    if (c->a->count >= m->capacity_a) {
        m->capacity_a = c->a->count + 64;
        free(m->shape_a);
        free(m->pairs);
        m->shape_a = malloc((size_t)m->capacity_a * sizeof *m->shape_a);
        m->pairs = malloc((size_t)m->capacity_a * MATCH_KEPT * sizeof *m->pairs);
    }
    if (c->b->count >= m->capacity_b) {
        m->capacity_b = c->b->count + 64;
        free(m->shape_b);
        free(m->grid_next);
        m->shape_b = malloc((size_t)m->capacity_b * sizeof *m->shape_b);
        m->grid_next = malloc((size_t)m->capacity_b * sizeof *m->grid_next);
    }
    if (!m->grid)
        m->grid = malloc(sizeof *m->grid * GRID * GRID);
    if (!m->shape_a || !m->shape_b || !m->pairs || !m->grid || !m->grid_next) {
        m->capacity_a = m->capacity_b = 0;
        return -1;
    }
    describe(c->a, m->shape_a, c->height);
    describe(c->b, m->shape_b, c->height);
    sum_overlaps(m);
    return 0;
}

static int32_t cell_of(float v, float extent)
{
    int32_t i = (int32_t)(v * GRID / extent);
    return i < 0 ? 0 : i >= GRID ? GRID - 1 : i;
}

static void fill_grid(struct context *c)
{
    struct match *m = c->m;
    float wide = (float)c->width / (float)c->height;
    memset(m->grid, 0, sizeof *m->grid * GRID * GRID);
    for (int32_t k = c->b->count; k >= 1; k--) {
        int32_t *head = &m->grid[cell_of(m->shape_b[k].y, 1) * GRID + cell_of(m->shape_b[k].x, wide)];
        m->grid_next[k] = *head;
        *head = k;
    }
}

/* ---- comparing ---- */
static void compare(const struct context *c, int32_t ia, int32_t ib, int32_t common, float f[MATCH_FEATURES])
{
    const struct match_shape *a = &c->m->shape_a[ia], *b = &c->m->shape_b[ib];
    float size = 0.5F * (a->size + b->size), n = (float)common, smaller = fminf(a->area, b->area);
    float dx = b->x - a->x, dy = b->y - a->y;
    float moved = hypotf(dx - a->moved_x, dy - a->moved_y), still = hypotf(dx, dy);
    f[MATCH_BIAS] = 1;
    f[MATCH_IOU] = common ? n / (a->area + b->area - n) : 0;
    f[MATCH_INSIDE] = common ? n / smaller : 0;
    f[MATCH_FAR] = log1pf(4 * moved / size);
    f[MATCH_MOVED] = log1pf(4 * still / size);
    f[MATCH_ACROSS] = moved;
    f[MATCH_AREA] = fabsf(a->log_area - b->log_area);
    f[MATCH_STRETCH] = hypotf(a->stretch_x - b->stretch_x, a->stretch_y - b->stretch_y);
    f[MATCH_SPREAD] = fminf(fabsf(a->log_spread - b->log_spread), 2);
    f[MATCH_FILL] = fabsf(a->fill - b->fill);
    f[MATCH_BORDER] = a->border != b->border;
    f[MATCH_VOTES] = c->a->votes && c->b->votes ? vote_likeness(&c->a->votes[ia], &c->b->votes[ib]) : 0.5F;
}

static float score_of(const float w[MATCH_FEATURES], const float f[MATCH_FEATURES])
{
    float sum = 0;
    for (int k = 0; k < MATCH_FEATURES; k++)
        sum += w[k] * f[k];
    return sum;
}

/* Keeps the best MATCH_KEPT pairs of one region, best first; equal scores in the order of b. */
static void offer(struct context *c, struct match_pair *kept, int32_t *n, int32_t a, int32_t b, int32_t common)
{
    float f[MATCH_FEATURES];
    compare(c, a, b, common, f);
    if (c->m->watch && c->m->last_round)
        c->m->watch(c->m->watch_user, a, b, f);
    float score = score_of(c->weights, f);
    int32_t at = *n;
    while (at > 0 && (score > kept[at - 1].score || (score == kept[at - 1].score && b < kept[at - 1].b)))
        at--;
    if (at == MATCH_KEPT)
        return;
    if (*n < MATCH_KEPT)
        ++*n;
    memmove(kept + at + 1, kept + at, (size_t)(*n - 1 - at) * sizeof *kept);
    kept[at] = (struct match_pair){a, b, score};
}

static bool overlapping(const struct match *m, int32_t from, int32_t to, int32_t b)
{
    while (from < to) {
        int32_t middle = (from + to) / 2;
        if (m->overlap.slots[middle].b == b)
            return true;
        if (m->overlap.slots[middle].b < b)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

static void look_around(struct context *c, int32_t a, int32_t from, int32_t to, struct match_pair *kept, int32_t *n)
{
    const struct match *m = c->m;
    const struct match_shape *s = &m->shape_a[a];
    float reach = fminf(fmaxf(6 * s->size, c->reach_min), c->reach_max), wide = (float)c->width / (float)c->height;
    float x = s->x + s->moved_x, y = s->y + s->moved_y;
    for (int32_t gy = cell_of(y - reach, 1); gy <= cell_of(y + reach, 1); gy++)
        for (int32_t gx = cell_of(x - reach, wide); gx <= cell_of(x + reach, wide); gx++)
            for (int32_t b = m->grid[gy * GRID + gx]; b; b = m->grid_next[b]) {
                const struct match_shape *t = &m->shape_b[b];
                if (fabsf(t->log_area - s->log_area) < LOG_AREA_MAX && fabsf(t->x - x) <= reach &&
                    fabsf(t->y - y) <= reach && !overlapping(m, from, to, b))
                    offer(c, kept, n, a, b, 0);
            }
}

static void one_round(struct context *c)
{
    struct match *m = c->m;
    int32_t o = 0;
    m->count = 0;
    for (int32_t b = 1; b <= c->b->count; b++)
        m->shape_b[b].best = 0;
    for (int32_t a = 1; a <= c->a->count; a++) {
        struct match_pair *kept = m->pairs + m->count;
        int32_t from = o, n = 0;
        for (; o < m->overlaps && m->overlap.slots[o].a == a; o++)
            offer(c, kept, &n, a, m->overlap.slots[o].b, m->overlap.slots[o].n);
        look_around(c, a, from, o, kept, &n);
        m->count += n;
        m->shape_a[a].best = n ? kept[0].b : 0;
        m->shape_a[a].best_score = n ? kept[0].score : -INFINITY;
        for (int32_t k = 0; k < n; k++) {
            struct match_shape *s = &m->shape_b[kept[k].b];
            if (!s->best || kept[k].score > s->best_score) {
                s->best = a;
                s->best_score = kept[k].score;
            }
        }
    }
}

/* The motion of what a region touches, weighted by how much it touches; large areas are ground and say nothing. */
static int follow_neighbours(struct context *c)
{
    struct match *m = c->m;
    struct {
        float x, y, n;
    } *sum = calloc((size_t)c->a->count + 1, sizeof *sum);
    if (!sum)
        return -1;
    for (int32_t i = 0; i < c->a->contact_count; i++) {
        const struct contact *t = &c->a->contacts[i];
        for (int side = 0; side < 2; side++) {
            int32_t to = side ? t->b : t->a, from = side ? t->a : t->b;
            const struct match_shape *s = &m->shape_a[from];
            if (!to || !from || !s->best || s->best_score < 1 || m->shape_b[s->best].best != from || s->size > 0.4F)
                continue;
            float weight = (float)t->length / (s->size + 0.02F);
            sum[to].x += weight * (m->shape_b[s->best].x - s->x);
            sum[to].y += weight * (m->shape_b[s->best].y - s->y);
            sum[to].n += weight;
        }
    }
    for (int32_t k = 1; k <= c->a->count; k++)
        if (sum[k].n > 0) {
            m->shape_a[k].moved_x = sum[k].x / sum[k].n;
            m->shape_a[k].moved_y = sum[k].y / sum[k].n;
        }
    free(sum);
    return 0;
}

int match_find(struct match *m, const struct match_side *a, const struct match_side *b, int32_t width, int32_t height,
               const float weights[MATCH_FEATURES], struct err *e)
{
    struct context c = {.m = m, .a = a, .b = b, .width = width, .height = height, .weights = weights};
    float wide = (float)width / (float)height;
    /* As far as so many regions of the other side are expected. */
    float most = (float)PAIRS_MAX / ((float)a->count + 1), density = (float)b->count / wide;
    c.reach_max = density > 0 ? 0.5F * sqrtf(most / density) : 10;
    c.reach_min = 0.12F;
    if (c.reach_max > 0.3F)
        c.reach_max = 0.3F;
    m->count = 0;
    if (!a->count || !b->count)
        return 0;
    if (prepare(&c))
        return err_set(e, ERR_internal, "no memory to match %d regions with %d", a->count, b->count);
    fill_grid(&c);
    m->last_round = false;
    one_round(&c);
    if (follow_neighbours(&c))
        return err_set(e, ERR_internal, "no memory to match %d regions with %d", a->count, b->count);
    m->last_round = true;
    one_round(&c);
    return 0;
}
