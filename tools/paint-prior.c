/* paint-prior.c - what the reference alone says, on shots that are given as region maps (tools/paint-clips).
 *
 * usage: paint-prior measure FILE…            figure pixels, pixels and regions right, per shot and kind of reference
 *        paint-prior dump OUT FILE…           tables of regions with the truth, for fitting
 * The reference is the first frame (near), the same mirrored, the last frame (far), or the first one shifted. Lines are
 * drawn between regions at twice the map's size. No network takes part: the proposal is one flat grey. Baseline: the
 * colour of the reference's region nearest by centroid and size. */
#include "paint/paint_int.h"
#include "tests/support/clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 17, COLUMNS = 24, KINDS = CLIP_REFERENCES };
static const char *const kind_names[KINDS] = {"near", "mirrored", "far", "shifted"};

struct shot {
    struct clip clip;
    int32_t kind;
    uint8_t *picture, *lines;
    struct paint *paint;
};

struct truth {
    int32_t group, area;
    bool figure, known;
};

static void die(const char *what)
{
    fprintf(stderr, "paint-prior: %s\n", what);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        die("no memory");
    return p;
}

static void open_shot(struct shot *s, const char *path, int32_t kind)
{
    struct paint_conf conf;
    struct err e;
    memset(s, 0, sizeof *s);
    if (clip_read(&s->clip, path))
        die(path);
    s->kind = kind;
    size_t pixels = (size_t)s->clip.width * (size_t)s->clip.height;
    s->picture = must(malloc(pixels * 3));
    s->lines = must(malloc(pixels * 3));
    clip_draw_reference(&s->clip, kind);
    clip_picture(&s->clip, NULL, s->picture);
    struct paint_image reference = {s->picture, s->clip.width, s->clip.height, 3};
    paint_conf_init(&conf, s->clip.width, s->clip.height);
    if (paint_open(&s->paint, &conf, &reference, 1, NULL, &e))
        die(e.detail);
}

static void close_shot(struct shot *s)
{
    paint_close(s->paint);
    clip_free(&s->clip);
    free(s->picture);
    free(s->lines);
}

/* ---- truth ---- */
static int32_t group_of_color(const struct shot *s, int32_t color)
{
    for (int32_t g = 0; g < 256; g++)
        if (memcmp(s->clip.colors[g], paint_palette(s->paint)->colors[color].rgb, 3) == 0)
            return g;
    return -1;
}

/* Of each region of the last drawing: the group that most of its pixels show. */
static void find_truth(const struct shot *s, struct truth *out)
{
    const struct regions *r = &s->paint->regions;
    const struct reference *ref = &s->paint->references.at[0];
    int32_t *count = must(calloc(((size_t)r->count + 1) * 256, sizeof *count));
    bool there[256] = {false};
    for (int32_t k = 1; k <= ref->regions.count; k++) {
        int32_t g = group_of_color(s, ref->color[k]);
        if (g >= 0)
            there[g] = true;
    }
    for (int64_t i = 0, n = (int64_t)r->width * r->height; i < n; i++)
        if (r->ink[i] <= s->paint->regions_conf.threshold)
            count[(int64_t)r->label[i] * 256 + s->clip.map[i]]++;
    for (int32_t k = 1; k <= r->count; k++) {
        const int32_t *c = count + (int64_t)k * 256;
        int32_t sum[256] = {0}, best = 0, figure = 0, all = 0;
        for (int32_t i = 0; i < s->clip.ids; i++) {
            sum[s->clip.groups[i]] += c[i];
            figure += i > s->clip.background ? c[i] : 0;
            all += c[i];
        }
        for (int32_t g = 1; g < 256; g++)
            best = sum[g] > sum[best] ? g : best;
        out[k] = (struct truth){best, r->at[k].area, 2 * figure > all, there[best]};
    }
    free(count);
}

static void observe(struct shot *s, int32_t step)
{
    static const uint8_t grey[3] = {128, 128, 128};
    struct paint_image lines = {s->lines, s->clip.width, s->clip.height, 3}, proposal = {grey, 1, 1, 3};
    struct err e;
    clip_draw(&s->clip, s->kind == CLIP_FAR ? step : 2 * step);
    clip_lines(&s->clip, s->lines);
    if (paint_observe(s->paint, &lines, &proposal, &e))
        die(e.detail);
}

/* ---- measure ---- */

/* The study's baseline: per frame, nearest centroid (in units of 15 of its pixels at 160x96) plus difference of log
 * size. */
static int32_t nearest_by_size(const struct shot *s, const struct region *a)
{
    const struct reference *ref = &s->paint->references.at[0];
    double least = INFINITY, unit = 15 * s->clip.width / 160.0;
    int32_t best = 0;
    for (int32_t k = 1; k <= ref->regions.count; k++) {
        const struct region *b = &ref->regions.at[k];
        double d = hypot(a->cx - b->cx, a->cy - b->cy) / unit + fabs(log((double)a->area / b->area));
        if (b->area > 0 && d < least) {
            least = d;
            best = k;
        }
    }
    return group_of_color(s, ref->color[best]);
}

static int32_t likeliest(const struct sparse *p)
{
    int best = 0;
    for (int c = 1; c < p->count; c++)
        if (p->weight[c] > p->weight[best])
            best = c;
    return p->count ? p->color[best] : -1;
}

struct score {
    double figure[2], pixels[2], regions[2];
};

static void add_score(struct score *to, const struct truth *t, bool right)
{
    if (!t->known || t->area < 16)
        return;
    to->figure[0] += t->figure ? t->area : 0;
    to->figure[1] += t->figure && right ? t->area : 0;
    to->pixels[0] += t->area;
    to->pixels[1] += right ? t->area : 0;
    to->regions[0]++;
    to->regions[1] += right;
}

enum { BASE, PRIOR, METHODS };

static void measure(const char *path, int32_t kind)
{
    struct shot s;
    struct score scores[METHODS] = {0};
    struct truth *truths[FRAMES];
    open_shot(&s, path, kind);
    for (int32_t step = 0; step < FRAMES; step++) {
        int64_t drawings = s.paint->drawing_count;
        observe(&s, step);
        truths[step] = NULL;
        if (s.paint->drawing_count == drawings)
            continue;
        truths[step] = must(calloc((size_t)s.paint->regions.count + 1, sizeof **truths));
        find_truth(&s, truths[step]);
        for (int32_t k = 1; k <= s.paint->regions.count; k++)
            add_score(&scores[BASE], &truths[step][k],
                      nearest_by_size(&s, &s.paint->regions.at[k]) == truths[step][k].group);
    }
    int32_t at = 0;
    for (int32_t step = 0; step < FRAMES; step++) {
        const struct drawing *d = truths[step] ? &s.paint->drawings[at++] : NULL;
        for (int32_t k = 1; d && k <= d->count; k++)
            if (d->ids[k]) {
                int32_t color = likeliest(&s.paint->tracker.tracks[d->ids[k]].prior);
                add_score(&scores[PRIOR], &truths[step][k],
                          color >= 0 && group_of_color(&s, color) == truths[step][k].group);
            }
        free(truths[step]);
    }
    const char *slash = strrchr(path, '/');
    printf("%s %s", slash ? slash + 1 : path, kind_names[kind]);
    for (int i = 0; i < METHODS; i++)
        printf(" %.0f %.0f %.0f %.0f %.0f %.0f", scores[i].figure[1], scores[i].figure[0], scores[i].pixels[1],
               scores[i].pixels[0], scores[i].regions[1], scores[i].regions[0]);
    printf("\n");
    fflush(stdout);
    close_shot(&s);
}

/* ---- dump ---- */
static void put(FILE *f, const float *row)
{
    if (fwrite(row, sizeof *row, COLUMNS, f) != COLUMNS)
        die("cannot write");
}

static void dump_side(FILE *f, const struct regions *r, int threshold, const int32_t *group, const struct truth *t,
                      const int32_t *track)
{
    double(*m)[4] = must(calloc((size_t)r->count + 1, sizeof *m));
    for (int32_t y = 0; y < r->height; y++)
        for (int32_t x = 0; x < r->width; x++) {
            int64_t i = (int64_t)y * r->width + x;
            int32_t k = r->label[i];
            if (r->ink[i] > threshold || !k)
                continue;
            double dx = x - (double)r->at[k].cx, dy = y - (double)r->at[k].cy;
            m[k][0] += dx * dx * dx;
            m[k][1] += dx * dx * dy;
            m[k][2] += dx * dy * dy;
            m[k][3] += dy * dy * dy;
        }
    for (int32_t k = 1; k <= r->count; k++) {
        const struct region *a = &r->at[k];
        float n = a->area > 0 ? (float)a->area : 1;
        float row[COLUMNS] = {(float)a->area,
                              a->cx,
                              a->cy,
                              a->mxx,
                              a->myy,
                              a->mxy,
                              (float)a->x0,
                              (float)a->y0,
                              (float)a->x1,
                              (float)a->y1,
                              a->border,
                              (float)(t ? t[k].group : group[k]),
                              t ? t[k].figure : 0,
                              t ? t[k].known : 1,
                              (float)(track ? track[k] : k),
                              (float)m[k][0] / n,
                              (float)m[k][1] / n,
                              (float)m[k][2] / n,
                              (float)m[k][3] / n};
        put(f, row);
    }
    for (int32_t i = 0; i < r->contact_count; i++) {
        const struct contact *c = &r->contacts[i];
        float row[COLUMNS] = {(float)c->a, (float)c->b, (float)c->length, (float)c->open};
        put(f, row);
    }
    free(m);
}

static void dump(FILE *f, const char *path, int32_t number, int32_t kind)
{
    struct shot s;
    struct match m = {0};
    open_shot(&s, path, kind);
    const struct regions *ref = &s.paint->references.at[0].regions, *r = &s.paint->regions;
    int32_t *groups = must(calloc((size_t)ref->count + 1, sizeof *groups));
    for (int32_t k = 1; k <= ref->count; k++)
        groups[k] = group_of_color(&s, s.paint->references.at[0].color[k]);
    float head[COLUMNS] = {-1, (float)number,       (float)kind,
                           -1, (float)ref->count,   (float)ref->contact_count,
                           0,  (float)s.clip.width, (float)s.clip.height};
    put(f, head);
    dump_side(f, ref, 128, groups, NULL, NULL);
    for (int32_t step = 0; step < FRAMES; step += 2) {
        int64_t drawings = s.paint->drawing_count;
        observe(&s, step);
        if (s.paint->drawing_count == drawings)
            continue;
        struct truth *t = must(calloc((size_t)r->count + 1, sizeof *t));
        find_truth(&s, t);
        if (match_overlap(&m, r->label, ref->label, r->width, r->height))
            die("no memory");
        float row[COLUMNS] = {-1,
                              (float)number,
                              (float)kind,
                              (float)step,
                              (float)r->count,
                              (float)r->contact_count,
                              (float)m.overlaps,
                              (float)s.clip.width,
                              (float)s.clip.height};
        put(f, row);
        dump_side(f, r, s.paint->regions_conf.threshold, NULL, t, s.paint->drawings[drawings].ids);
        for (int32_t i = 0; i < m.overlaps; i++) {
            float o[COLUMNS] = {(float)m.overlap.slots[i].a, (float)m.overlap.slots[i].b, (float)m.overlap.slots[i].n};
            put(f, o);
        }
        free(t);
    }
    free(groups);
    match_fini(&m);
    close_shot(&s);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "measure") == 0) {
        for (int i = 2; i < argc; i++)
            for (int32_t kind = 0; kind < KINDS; kind++)
                measure(argv[i], kind);
        return 0;
    }
    if (argc > 3 && strcmp(argv[1], "dump") == 0) {
        FILE *f = must(fopen(argv[2], "wb"));
        for (int i = 3; i < argc; i++)
            for (int32_t kind = 0; kind < KINDS; kind++)
                dump(f, argv[i], i - 3, kind);
        return fclose(f) != 0;
    }
    die("usage: paint-prior measure FILE… | dump OUT FILE…");
}
