/* shapes.c - area, place, moments and neighbours of labelled regions. */
#include "paint/pairs.h"
#include "paint/regions.h"

#include <stdlib.h>
#include <string.h>

struct sums {
    int64_t n, x, y;
    double xx, yy, xy;     /* around the frame's middle, for precision */
    double cube_x, cube_y; /* of x (x^2 + y^2), and y likewise */
};

/* A run of pixels x0..x1-1 of row y, in closed form. */
static void add_run(struct sums *s, struct region *at, int32_t x0, int32_t x1, int32_t y, double mx, double my)
{
    int64_t n = x1 - x0;
    double a = x0 - mx, b = x1 - 1 - mx, sum_x = (a + b) * 0.5 * (double)n, dy = y - my;
    s->n += n;
    s->x += (int64_t)(x0 + x1 - 1) * n; /* twice the sum */
    s->y += n * y;
    /* sum of (a+i)^2, i = 0..n-1 */
    double m = (double)(n - 1);
    double sum_xx = (double)n * a * a + a * m * (double)n + m * (double)n * (2 * m + 1) / 6;
    double half = m * (double)n * 0.5, sum_xxx = a * (3 * sum_xx - 2 * a * a * (double)n - 3 * a * half) + half * half;
    s->xx += sum_xx;
    s->yy += (double)n * dy * dy;
    s->xy += sum_x * dy;
    s->cube_x += sum_xxx + dy * dy * sum_x;
    s->cube_y += dy * sum_xx + (double)n * dy * dy * dy;
    if (x0 < at->x0)
        at->x0 = x0;
    if (x1 > at->x1)
        at->x1 = x1;
    if (y < at->y0)
        at->y0 = y;
    if (y + 1 > at->y1)
        at->y1 = y + 1;
}

static void finish(struct region *r, const struct sums *s, double mx, double my, int32_t width, int32_t height)
{
    double n = s->n ? (double)s->n : 1;
    double cx = (double)s->x / (2 * n), cy = (double)s->y / n, dx = cx - mx, dy = cy - my;
    r->area = (int32_t)s->n;
    r->cx = (float)cx;
    r->cy = (float)cy;
    /* A pixel is a square, not a point: its own spread of 1/12 keeps one-pixel shapes from vanishing. */
    r->mxx = (float)(s->xx / n - dx * dx + 1.0 / 12);
    r->myy = (float)(s->yy / n - dy * dy + 1.0 / 12);
    r->mxy = (float)(s->xy / n - dx * dy);
    double xx = s->xx / n - dx * dx, yy = s->yy / n - dy * dy, xy = s->xy / n - dx * dy, r2 = dx * dx + dy * dy;
    r->skew_x = (float)(s->cube_x / n - (3 * dx * xx + dx * yy + 2 * dy * xy + dx * r2));
    r->skew_y = (float)(s->cube_y / n - (3 * dy * yy + dy * xx + 2 * dx * xy + dy * r2));
    r->border = r->x0 == 0 || r->y0 == 0 || r->x1 == width || r->y1 == height;
}

static void measure(struct regions *r, int threshold, struct sums *sums)
{
    double mx = r->width * 0.5, my = r->height * 0.5;
    for (int32_t y = 0; y < r->height; y++) {
        const int32_t *row = r->label + (int64_t)y * r->width;
        const uint8_t *ink = r->ink + (int64_t)y * r->width;
        for (int32_t x = 0; x < r->width;) {
            int32_t start = x, label = row[x];
            if (ink[x] > threshold) {
                x++;
                continue;
            }
            while (x < r->width && row[x] == label && ink[x] <= threshold)
                x++;
            if (label)
                add_run(&sums[label], &r->at[label], start, x, y, mx, my);
        }
    }
    for (int32_t k = 1; k <= r->count; k++)
        finish(&r->at[k], &sums[k], mx, my, r->width, r->height);
}

static int touch(struct pairs *p, int32_t a, int32_t b, bool open)
{
    return a < b ? pairs_add(p, a, b, 1, open) : pairs_add(p, b, a, 1, open);
}

static int count_contacts(const struct regions *r, int threshold, struct pairs *p)
{
    int32_t w = r->width;
    for (int32_t y = 0; y < r->height; y++) {
        const int32_t *row = r->label + (int64_t)y * w;
        const uint8_t *ink = r->ink + (int64_t)y * w;
        for (int32_t x = 0; x + 1 < w; x++)
            if (row[x] != row[x + 1] && touch(p, row[x], row[x + 1], ink[x] <= threshold && ink[x + 1] <= threshold))
                return -1;
        if (y + 1 == r->height)
            break;
        for (int32_t x = 0; x < w; x++)
            if (row[x] != row[x + w] && touch(p, row[x], row[x + w], ink[x] <= threshold && ink[x + w] <= threshold))
                return -1;
    }
    return 0;
}

static int keep_contacts(struct regions *r, struct pairs *p)
{
    int32_t n = pairs_sort(p);
    struct contact *grown = realloc(r->contacts, ((size_t)n + 1) * sizeof *grown);
    if (!grown)
        return -1;
    r->contacts = grown;
    r->contact_count = n;
    for (int32_t i = 0; i < n; i++)
        grown[i] = (struct contact){p->slots[i].a, p->slots[i].b, p->slots[i].n, p->slots[i].m};
    return 0;
}

int regions_shapes(struct regions *r, int threshold, struct err *e)
{
    struct pairs p = {0};
    struct sums *sums = calloc((size_t)r->count + 1, sizeof *sums);
    struct region *at = realloc(r->at, ((size_t)r->count + 1) * sizeof *at);
    int result = -1;
    if (at)
        r->at = at;
    if (!sums || !at)
        goto out;
    for (int32_t k = 0; k <= r->count; k++)
        at[k] = (struct region){.x0 = INT32_MAX, .y0 = INT32_MAX};
    measure(r, threshold, sums);
    r->contact_count = 0;
    if (r->count && (count_contacts(r, threshold, &p) || keep_contacts(r, &p)))
        goto out;
    result = 0;
out:
    free(sums);
    pairs_fini(&p);
    return result ? err_set(e, ERR_internal, "no memory for %d regions", r->count) : 0;
}
