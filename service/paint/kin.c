#include "paint/kin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG_AREA_MAX 2.5F /* larger differences are never the same thing, unless they overlap */
#define PAIRS_MAX 500000  /* looked at; with more regions only those of like area */
#define MANY 1500         /* regions, from which on fewer pairs are followed up */
#define KEPT_OF_MANY 4
#define NEIGHBOURS 16 /* the longest borders of a region */
#define NEIGHBOURS_OF_MANY 6
#define REACH 0.7F          /* neighbours' places may be so far off, in sizes, before they speak much less */
#define LIKELY_LEAST 0.005F /* what is less likely supports nobody */

struct kin_shape {
    float x, y, size, log_area, stretch_x, stretch_y, log_spread, fill, compact, degree, contained, skew_x, skew_y;
    float area; /* under lines too, where it overlaps the other side */
    bool border;
};

/* Who lies beside whom: to[first[k]] .. to[first[k + 1] - 1], rising. */
struct kin_net {
    int32_t *first, *to;
    float *length, *pull, *share; /* pull: the longest few, small ones preferred; sums to 1 */
    int32_t regions, edges;
};

struct view {
    struct kin *k;
    const struct match_side *a, *b;
    const struct paint_weights *w;
    float wide; /* width in heights */
    int32_t neighbours;
};

static void net_free(struct kin_net *n)
{
    if (!n)
        return;
    free(n->first);
    free(n->to);
    free(n->length);
    free(n->pull);
    free(n->share);
    free(n);
}

void kin_fini(struct kin *k)
{
    free(k->pairs);
    free(k->counts);
    free(k->shape_a);
    free(k->shape_b);
    free(k->by_area);
    free(k->common);
    free(k->next);
    net_free(k->net_a);
    net_free(k->net_b);
    *k = (struct kin){0};
}

/* ---- neighbours ---- */
static struct kin_net *net_new(const struct match_side *side)
{
    struct kin_net *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    size_t edges = 2 * (size_t)side->contact_count + 1;
    n->regions = side->count;
    n->first = calloc((size_t)side->count + 2, sizeof *n->first);
    n->to = malloc(edges * sizeof *n->to);
    n->length = malloc(edges * sizeof *n->length);
    n->pull = calloc(edges, sizeof *n->pull);
    n->share = calloc(edges, sizeof *n->share);
    int32_t *at = malloc(((size_t)side->count + 2) * sizeof *at);
    if (!n->first || !n->to || !n->length || !n->pull || !n->share || !at) {
        free(at);
        net_free(n);
        return NULL;
    }
    for (int32_t i = 0; i < side->contact_count; i++)
        if (side->contacts[i].a && side->contacts[i].b) {
            n->first[side->contacts[i].a + 1]++;
            n->first[side->contacts[i].b + 1]++;
        }
    for (int32_t k = 0; k <= side->count; k++)
        n->first[k + 1] += n->first[k];
    n->edges = n->first[side->count + 1];
    memcpy(at, n->first, ((size_t)side->count + 2) * sizeof *at);
    /* Contacts are sorted by a, then b: first all smaller neighbours of each region, then the larger ones. */
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < side->contact_count; i++) {
            const struct contact *c = &side->contacts[i];
            int32_t from = pass ? c->a : c->b, to = pass ? c->b : c->a;
            if (!c->a || !c->b)
                continue;
            n->to[at[from]] = to;
            n->length[at[from]++] = (float)c->length;
        }
    free(at);
    return n;
}

static bool beside(const struct kin_net *n, int32_t k, int32_t other)
{
    int32_t from = n->first[k], to = n->first[k + 1];
    while (from < to) {
        int32_t middle = from + (to - from) / 2;
        if (n->to[middle] == other)
            return true;
        if (n->to[middle] < other)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

/* Only the longest `most` borders of a region pull; equal ones in order. */
static float least_length(const struct kin_net *n, int32_t k, int32_t most)
{
    float longest[NEIGHBOURS];
    int32_t count = 0;
    if (n->first[k + 1] - n->first[k] <= most)
        return 0;
    for (int32_t i = n->first[k]; i < n->first[k + 1]; i++) {
        int32_t at = count;
        while (at > 0 && n->length[i] > longest[at - 1])
            at--;
        if (at == most)
            continue;
        count += count < most;
        memmove(longest + at + 1, longest + at, (size_t)(count - 1 - at) * sizeof *longest);
        longest[at] = n->length[i];
    }
    return longest[count - 1];
}

static void weigh_neighbours(struct kin_net *n, const struct kin_shape *shape, int32_t most)
{
    for (int32_t k = 1; k <= n->regions; k++) {
        float least = least_length(n, k, most), total = 0, all = 0;
        int32_t taken = 0;
        for (int32_t i = n->first[k]; i < n->first[k + 1]; i++) {
            all += n->length[i];
            if (n->length[i] < least || taken == most)
                continue;
            taken++;
            total += n->pull[i] = n->length[i] / (shape[n->to[i]].size + 0.02F);
        }
        for (int32_t i = n->first[k]; i < n->first[k + 1]; i++) {
            n->pull[i] = total > 0 ? n->pull[i] / total : 0;
            n->share[i] = n->length[i] / fmaxf(all, 1);
        }
    }
}

/* ---- shapes ---- */
static void describe(const struct match_side *side, const struct kin_net *n, struct kin_shape *out, int32_t height)
{
    for (int32_t k = 1; k <= side->count; k++) {
        const struct region *r = &side->at[k];
        float area = r->area > 0 ? (float)r->area : 1, trace = r->mxx + r->myy + 1e-6F, all = 0, most = 0;
        float box = (float)(r->x1 - r->x0) * (float)(r->y1 - r->y0), cube = trace * sqrtf(trace);
        for (int32_t i = n->first[k]; i < n->first[k + 1]; i++) {
            all += n->length[i];
            most = fmaxf(most, n->length[i]);
        }
        out[k] = (struct kin_shape){.x = r->cx / (float)height,
                                    .y = r->cy / (float)height,
                                    .size = sqrtf(area) / (float)height,
                                    .log_area = logf(area),
                                    .stretch_x = (r->mxx - r->myy) / trace,
                                    .stretch_y = 2 * r->mxy / trace,
                                    .log_spread = logf(trace / area),
                                    .fill = box >= 1 ? area / box : 1,
                                    .compact = logf((all + 4) / sqrtf(area)),
                                    .degree = log1pf((float)(n->first[k + 1] - n->first[k])),
                                    .contained = most / fmaxf(all, 1),
                                    .skew_x = r->skew_x / cube,
                                    .skew_y = r->skew_y / cube,
                                    .border = r->border};
    }
}

static int by_area(const void *left, const void *right, void *user)
{
    const struct kin_shape *shape = user;
    int32_t l = *(const int32_t *)left, r = *(const int32_t *)right;
    if (shape[l].log_area != shape[r].log_area)
        return shape[l].log_area < shape[r].log_area ? -1 : 1;
    return (l > r) - (l < r);
}

/* ---- pairs ---- */
static void compare(const struct view *v, const struct kin_shape *a, const struct kin_shape *b, int32_t common,
                    bool flip, float f[KIN_FEATURES])
{
    float size = 0.5F * (a->size + b->size), n = (float)common, mirror = flip ? -1 : 1;
    float dx = a->x - b->x, dy = a->y - b->y, still = sqrtf(dx * dx + dy * dy);
    float mx = a->x - (v->wide - b->x), turned = sqrtf(mx * mx + dy * dy);
    float sx = a->stretch_x - b->stretch_x, sy = a->stretch_y - mirror * b->stretch_y;
    float kx = a->skew_x - mirror * b->skew_x, ky = a->skew_y - b->skew_y;
    memset(f, 0, KIN_FEATURES * sizeof *f);
    f[KIN_BIAS] = 1;
    f[KIN_AREA] = fabsf(a->log_area - b->log_area);
    f[KIN_STRETCH] = sqrtf(sx * sx + sy * sy);
    f[KIN_SPREAD] = fminf(fabsf(a->log_spread - b->log_spread), 2);
    f[KIN_FILL] = fabsf(a->fill - b->fill);
    f[KIN_BORDER] = a->border != b->border;
    f[KIN_COMPACT] = fminf(fabsf(a->compact - b->compact), 2);
    f[KIN_DEGREE] = fabsf(a->degree - b->degree);
    f[KIN_CONTAINED] = fabsf(a->contained - b->contained);
    f[KIN_SKEW] = fminf(sqrtf(kx * kx + ky * ky), 2);
    if (!flip) {
        f[KIN_IOU] = common ? n / (a->area + b->area - n) : 0;
        f[KIN_INSIDE] = common ? n / fminf(a->area, b->area) : 0;
        f[KIN_FAR] = log1pf(4 * still / size);
        f[KIN_ACROSS] = still;
        return;
    }
    f[KIN_FLIP] = 1;
    f[KIN_FLIP_FAR] = log1pf(4 * still / size);
    f[KIN_FLIP_ACROSS] = still;
    f[KIN_FLIP_TURNED] = log1pf(4 * turned / size);
    f[KIN_FLIP_TURNED_ACROSS] = turned;
}

static float dot(const float w[KIN_FEATURES], const float f[KIN_FEATURES])
{
    float sum = 0;
    for (int i = 0; i < KIN_FEATURES; i++)
        sum += w[i] * f[i];
    return sum;
}

static void keep(const struct view *v, int32_t a, int32_t b, bool flip, float score)
{
    struct kin_pair *pairs = v->k->pairs + (int64_t)a * v->k->stride;
    int32_t *n = &v->k->counts[a], at = *n;
    while (at > 0 && score > pairs[at - 1].score)
        at--;
    if (at == v->k->stride)
        return;
    *n += *n < v->k->stride;
    memmove(pairs + at + 1, pairs + at, (size_t)(*n - 1 - at) * sizeof *pairs);
    pairs[at] = (struct kin_pair){b, flip, score, 0};
}

static void offer(const struct view *v, int32_t a, int32_t b)
{
    float f[KIN_FEATURES];
    for (int flip = 0; flip < 2; flip++) {
        compare(v, &v->k->shape_a[a], &v->k->shape_b[b], v->k->common[b], flip, f);
        keep(v, a, b, flip, dot(v->w->kin[0], f));
    }
}

/* The regions of b from the first that is not smaller than `log_area`. */
static int32_t lower_bound(const struct view *v, float log_area)
{
    int32_t from = 0, to = v->b->count;
    while (from < to) {
        int32_t middle = from + (to - from) / 2;
        if (v->k->shape_b[v->k->by_area[middle]].log_area < log_area)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Those of like area, at most `most`, those of the most alike area first; and what overlaps. */
static void look(const struct view *v, int32_t a, const struct pair_count *overlap, int32_t overlaps, int32_t most)
{
    const struct kin *k = v->k;
    float area = k->shape_a[a].log_area;
    int32_t up = lower_bound(v, area), down = up - 1;
    for (int32_t i = 0; i < overlaps; i++)
        k->common[overlap[i].b] = overlap[i].n;
    v->k->counts[a] = 0;
    while (most-- > 0) {
        float above = up < v->b->count ? k->shape_b[k->by_area[up]].log_area - area : INFINITY;
        float below = down >= 0 ? area - k->shape_b[k->by_area[down]].log_area : INFINITY;
        if (fminf(above, below) >= LOG_AREA_MAX)
            break;
        offer(v, a, above <= below ? k->by_area[up++] : k->by_area[down--]);
    }
    for (int32_t i = 0; i < overlaps; i++) {
        float d = k->shape_b[overlap[i].b].log_area - area;
        bool offered = false;
        for (int32_t p = 0; p < k->counts[a] && !offered; p++)
            offered = k->pairs[(int64_t)a * k->stride + p].b == overlap[i].b;
        if (!offered && fabsf(d) >= LOG_AREA_MAX)
            offer(v, a, overlap[i].b);
    }
    for (int32_t i = 0; i < overlaps; i++)
        k->common[overlap[i].b] = 0;
}

static void make_likely(const struct view *v)
{
    for (int32_t a = 1; a <= v->a->count; a++) {
        struct kin_pair *pairs = v->k->pairs + (int64_t)a * v->k->stride;
        float most = 0, total = 0;
        for (int32_t i = 0; i < v->k->counts[a]; i++)
            most = fmaxf(most, pairs[i].score);
        for (int32_t i = 0; i < v->k->counts[a]; i++)
            total += pairs[i].likely = expf(pairs[i].score - most);
        total += expf(-most); /* nothing that the reference shows */
        for (int32_t i = 0; i < v->k->counts[a]; i++)
            pairs[i].likely /= total;
    }
}

/* ---- rounds ---- */

/* How well one neighbour of a supports that a is b: the best of what it might be that lies beside b; and how well that
 * one's place fits. */
static void neighbour_says(const struct view *v, int32_t a, int32_t other, const struct kin_pair *pair, float out[2])
{
    const struct kin *k = v->k;
    const struct kin_shape *sa = &k->shape_a[a], *so = &k->shape_a[other], *sb = &k->shape_b[pair->b];
    const struct kin_pair *theirs = k->pairs + (int64_t)other * k->stride;
    float size = 0.5F * (sa->size + so->size) + 0.02F, mirror = pair->flipped ? -1 : 1;
    out[0] = out[1] = 0;
    for (int32_t i = 0; i < k->counts[other]; i++) {
        const struct kin_pair *p = &theirs[i];
        if (p->flipped != pair->flipped || p->likely < LIKELY_LEAST || p->likely <= out[0] ||
            !beside(k->net_b, pair->b, p->b))
            continue;
        const struct kin_shape *sp = &k->shape_b[p->b];
        float dx = (so->x - sa->x) - mirror * (sp->x - sb->x), dy = (so->y - sa->y) - (sp->y - sb->y);
        float off = sqrtf(dx * dx + dy * dy) / size;
        out[0] = fmaxf(out[0], p->likely * expf(-off / REACH));
        out[1] = fmaxf(out[1], p->likely);
    }
}

static void one_round(const struct view *v, const float w[KIN_FEATURES], const struct pair_count *overlap,
                      int32_t overlaps)
{
    struct kin *k = v->k;
    int32_t o = 0;
    for (int32_t a = 1; a <= v->a->count; a++) {
        int32_t first = o;
        for (; o < overlaps && overlap[o].a == a; o++)
            k->common[overlap[o].b] = overlap[o].n;
        for (int32_t i = 0; i < k->counts[a]; i++) {
            const struct kin_pair *pair = &k->pairs[(int64_t)a * k->stride + i];
            float f[KIN_FEATURES], says[2];
            compare(v, &k->shape_a[a], &k->shape_b[pair->b], k->common[pair->b], pair->flipped, f);
            for (int32_t e = k->net_a->first[a]; e < k->net_a->first[a + 1]; e++) {
                if (k->net_a->pull[e] <= 0)
                    continue;
                neighbour_says(v, a, k->net_a->to[e], pair, says);
                f[KIN_PLACED] += k->net_a->pull[e] * says[0];
                f[KIN_BESIDE] += k->net_a->share[e] * says[1];
            }
            k->next[(int64_t)a * k->stride + i] = dot(w, f);
        }
        for (; first < o; first++)
            k->common[overlap[first].b] = 0;
    }
    for (int64_t a = 1; a <= v->a->count; a++)
        for (int64_t i = a * k->stride; i < a * k->stride + k->counts[a]; i++)
            k->pairs[i].score = k->next[i];
}

/* ---- the whole ---- */
static int reserve(struct kin *k, int32_t a, int32_t b)
{
    int64_t pairs = ((int64_t)a + 1) * k->stride;
    if (pairs > k->capacity_pairs) {
        free(k->pairs);
        free(k->next);
        k->pairs = malloc((size_t)pairs * sizeof *k->pairs);
        k->next = malloc((size_t)pairs * sizeof *k->next);
        k->capacity_pairs = k->pairs && k->next ? pairs : 0;
    }
    if (a >= k->capacity_a) {
        free(k->counts);
        free(k->shape_a);
        k->counts = malloc(((size_t)a + 1) * sizeof *k->counts);
        k->shape_a = malloc(((size_t)a + 1) * sizeof *k->shape_a);
        k->capacity_a = k->counts && k->shape_a ? a + 1 : 0;
    }
    if (b >= k->capacity_b) {
        free(k->shape_b);
        free(k->by_area);
        free(k->common);
        k->shape_b = malloc(((size_t)b + 1) * sizeof *k->shape_b);
        k->by_area = malloc(((size_t)b + 1) * sizeof *k->by_area);
        k->common = calloc((size_t)b + 1, sizeof *k->common);
        k->capacity_b = k->shape_b && k->by_area && k->common ? b + 1 : 0;
    }
    return k->capacity_pairs && k->capacity_a && k->capacity_b ? 0 : -1;
}

static int prepare(const struct view *v, const struct pair_count *overlap, int32_t overlaps, int32_t height)
{
    struct kin *k = v->k;
    net_free(k->net_a);
    net_free(k->net_b);
    k->net_a = net_new(v->a);
    k->net_b = net_new(v->b);
    if (!k->net_a || !k->net_b || reserve(k, v->a->count, v->b->count))
        return -1;
    describe(v->a, k->net_a, k->shape_a, height);
    describe(v->b, k->net_b, k->shape_b, height);
    weigh_neighbours(k->net_a, k->shape_a, v->neighbours);
    for (int32_t i = 0; i < overlaps; i++) {
        k->shape_a[overlap[i].a].area += (float)overlap[i].n;
        k->shape_b[overlap[i].b].area += (float)overlap[i].n;
    }
    for (int32_t b = 0; b < v->b->count; b++)
        k->by_area[b] = b + 1;
    qsort_r(k->by_area, (size_t)v->b->count, sizeof *k->by_area, by_area, k->shape_b);
    return 0;
}

int kin_find(struct kin *k, const struct match_side *a, const struct match_side *b, const struct pair_count *overlap,
             int32_t overlaps, int32_t width, int32_t height, const struct paint_weights *w, struct err *e)
{
    bool many = a->count > MANY;
    struct view v = {.k = k,
                     .a = a,
                     .b = b,
                     .w = w,
                     .wide = (float)width / (float)height,
                     .neighbours = many ? NEIGHBOURS_OF_MANY : NEIGHBOURS};
    k->stride = many ? KEPT_OF_MANY : KIN_KEPT;
    int32_t most = PAIRS_MAX / (a->count + 1) + 4, o = 0;
    if (prepare(&v, overlap, overlaps, height))
        return err_set(e, ERR_internal, "no memory to compare %d regions with %d of the reference", a->count, b->count);
    for (int32_t i = 1; i <= a->count; i++) {
        int32_t first = o;
        while (o < overlaps && overlap[o].a == i)
            o++;
        look(&v, i, overlap + first, o - first, most);
    }
    for (int round = 1; round <= KIN_ROUNDS; round++) {
        make_likely(&v);
        one_round(&v, w->kin[round], overlap, overlaps);
    }
    return 0;
}
