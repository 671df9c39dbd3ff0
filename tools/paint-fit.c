/* paint-fit.c - training shots for the weights of service/paint; tools/fit-paint-weights runs it.
 *
 * usage: paint-fit pairs SHOTS WEIGHTS TRACK_OUT        what matching sees, with the truth, as rows of floats
 *        paint-fit decide SHOTS WEIGHTS [CLIP…]         reads lines of weights, answers each with accuracies
 * WEIGHTS is a file of numbers in the order of struct paint_weights, or "-" for the fitted ones. Seeds start at
 * TRAINING_SEED; no test uses such seeds. Shots go round near, mirrored and far references, good and weak networks,
 * gaps, holds and sizes. Every clip (tools/paint-clips) is one more shot for each kind of reference. */
#include "paint/paint_int.h"
#include "tests/support/art.h"
#include "tests/support/clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAINING_SEED 1000000
#define WEIGHTS ((int)(sizeof(struct paint_weights) / sizeof(float)))
#define FRAMES 20

/* What a region of a drawing really is. */
struct truth {
    int32_t part, color, track, area;
    bool figure;
};

struct shot {
    struct art *art; /* or, when NULL, the clip */
    struct clip clip;
    struct art_conf conf;
    struct art_damage damage;
    struct art_frame frame;
    double disbelief;
    int32_t divide, kind; /* kind of reference: 0 near, 1 mirrored, 2 far */
    uint8_t *lines, *picture, *proposal;
    struct paint *paint;
    struct truth *now, *before, *all;
    int32_t now_count, before_count;
    int64_t all_count, all_capacity;
};

static FILE *track_out;

static void die(const char *what)
{
    fprintf(stderr, "paint-fit: %s\n", what);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        die("no memory");
    return p;
}

static void read_weights(const char *path, struct paint_weights *w)
{
    float *to = (float *)w;
    *w = paint_weights_fitted;
    if (strcmp(path, "-") == 0)
        return;
    FILE *f = must(fopen(path, "r"));
    for (int i = 0; i < WEIGHTS; i++)
        if (fscanf(f, "%f", &to[i]) != 1)
            die("too few weights");
    fclose(f);
}

static void open_shot(struct shot *s, int32_t n, const struct paint_weights *w)
{
    static const int32_t heights[6] = {180, 270, 270, 360, 540, 540}, divide[6] = {2, 2, 4, 4, 4, 8};
    uint64_t state = TRAINING_SEED + (uint64_t)n;
    int32_t size = (int32_t)(art_random(&state) % 6), height = heights[size], width = height * 16 / 9;
    memset(s, 0, sizeof *s);
    art_conf_init(&s->conf, TRAINING_SEED + (uint64_t)n, width, height, FRAMES);
    s->kind = n % 3;
    s->conf.hold = 1 + (art_uniform(&state, 0, 1) < 0.4);
    s->conf.speed = art_uniform(&state, 0.4, 1.6);
    s->conf.gaps = art_uniform(&state, 0, 1) < 0.5 ? 0 : 0.25;
    s->conf.antialias = art_uniform(&state, 0, 1) < 0.7;
    s->conf.trace = art_uniform(&state, 0, 1) < 0.3;
    s->divide = divide[size];
    s->disbelief = art_uniform(&state, 0, 1) < 0.5 ? 0 : art_uniform(&state, 0.1, 0.7);
    s->damage = (struct art_damage){.blur = art_uniform(&state, 0, 1.5),
                                    .noise = art_uniform(&state, 0, 20),
                                    .hue_frames = art_uniform(&state, 0, 0.4),
                                    .whole_frame = n % 4 < 2,
                                    .seed = state};
    s->art = must(art_new(&s->conf));
    if (art_frame_init(&s->frame, s->art))
        die("no memory");
    size_t bytes = (size_t)width * (size_t)height * 3;
    s->lines = must(malloc(bytes));
    s->picture = must(malloc(bytes));
    s->proposal = must(malloc(bytes));
    s->now = must(calloc(PAINT_REGIONS_MAX + 1, sizeof *s->now));
    s->before = must(calloc(PAINT_REGIONS_MAX + 1, sizeof *s->before));
    art_draw(s->art, s->kind == 2 ? 3 * FRAMES : 0, &s->frame);
    art_truth(s->art, &s->frame, true, s->picture);
    if (s->kind == 1)
        art_mirror(s->picture, width, height);
    struct paint_conf pc;
    struct err e;
    struct paint_image reference = {s->picture, width, height, 3};
    paint_conf_init(&pc, width, height);
    if (paint_open(&s->paint, &pc, &reference, 1, NULL, &e))
        die(e.detail);
    paint__set_weights(s->paint, w);
}

/* What makes the demo model weak on figures: a coarse frame, soft, and a good part of the ids mistaken. */
static void open_clip(struct shot *s, const char *path, int32_t kind, int32_t number, const struct paint_weights *w)
{
    uint64_t state = TRAINING_SEED + 77 * (uint64_t)number;
    struct paint_conf pc;
    struct err e;
    memset(s, 0, sizeof *s);
    if (clip_read(&s->clip, path))
        die(path);
    s->kind = kind < 3 ? kind : 2;
    s->conf = (struct art_conf){.width = s->clip.width, .height = s->clip.height};
    s->divide = art_uniform(&state, 0, 1) < 0.5 ? 4 : 8;
    s->disbelief = art_uniform(&state, 0.1, 0.8);
    s->damage = (struct art_damage){
        .blur = art_uniform(&state, 0.3, 1.2), .noise = art_uniform(&state, 2, 12), .seed = state, .whole_frame = true};
    size_t bytes = (size_t)s->conf.width * (size_t)s->conf.height * 3;
    s->lines = must(malloc(bytes));
    s->picture = must(malloc(bytes));
    s->proposal = must(malloc(bytes));
    s->now = must(calloc(PAINT_REGIONS_MAX + 1, sizeof *s->now));
    s->before = must(calloc(PAINT_REGIONS_MAX + 1, sizeof *s->before));
    clip_draw_reference(&s->clip, kind);
    clip_picture(&s->clip, NULL, s->picture);
    struct paint_image reference = {s->picture, s->conf.width, s->conf.height, 3};
    paint_conf_init(&pc, s->conf.width, s->conf.height);
    if (paint_open(&s->paint, &pc, &reference, 1, NULL, &e))
        die(e.detail);
    paint__set_weights(s->paint, w);
}

/* Draws lines and the network's frame. */
static void draw_frame(struct shot *s, int32_t t)
{
    uint8_t colors[ART_PARTS_MAX * 3];
    if (s->art) {
        art_draw(s->art, t, &s->frame);
        art_lines(s->art, &s->frame, s->lines);
        art_believe(s->art, t, s->disbelief, s->damage.seed, colors);
        art_picture(s->art, &s->frame, colors, true, s->picture);
    } else {
        clip_draw(&s->clip, s->kind == 2 ? t : 2 * t);
        clip_lines(&s->clip, s->lines);
        clip_believe(&s->clip, t, s->disbelief, s->damage.seed, colors);
        clip_picture(&s->clip, colors, s->picture);
    }
    if (art_damage(s->picture, s->conf.width, s->conf.height, t, &s->damage, s->proposal, s->conf.width / s->divide,
                   s->conf.height / s->divide))
        die("no memory");
}

static int32_t color_index(const struct palette *p, const uint8_t rgb[3])
{
    for (int32_t i = 0; i < p->count; i++)
        if (memcmp(p->colors[i].rgb, rgb, 3) == 0)
            return i;
    return -1;
}

/* What most of each region's pixels show. */
static void find_truth(struct shot *s)
{
    const struct regions *r = &s->paint->regions;
    int32_t parts = s->art ? art_parts(s->art) : 256;
    int32_t *count = must(calloc(((size_t)r->count + 1) * (size_t)parts, sizeof *count));
    for (int64_t i = 0, n = (int64_t)r->width * r->height; i < n; i++)
        if (r->ink[i] <= s->paint->regions_conf.threshold)
            count[(int64_t)r->label[i] * parts + (s->art ? s->frame.part[i] : s->clip.map[i])]++;
    const struct drawing *d = &s->paint->drawings[s->paint->drawing_count - 1];
    s->now_count = r->count;
    for (int32_t k = 1; k <= r->count; k++) {
        const int32_t *c = count + (int64_t)k * parts;
        int32_t best = 0;
        for (int32_t i = 1; i < parts; i++)
            best = c[i] > c[best] ? i : best;
        const uint8_t *rgb = s->art ? art_color(s->art, best) : s->clip.colors[s->clip.groups[best]];
        s->now[k] = (struct truth){best, color_index(paint_palette(s->paint), rgb), d->ids[k], r->at[k].area,
                                   s->art ? art_group(s->art, best) >= 7 : best > s->clip.background};
    }
    free(count);
}

/* ---- pairs ---- */
struct seen {
    int32_t a, b;
    float f[MATCH_FEATURES];
};
static struct seen *seen;
static int64_t seen_count, seen_capacity;

static void watch(void *user, int32_t a, int32_t b, const float *f)
{
    const struct match *m = user;
    if (m && m->overlaps == 0)
        return; /* the search among lost regions: b counts something else */
    if (seen_count == seen_capacity) {
        seen_capacity = seen_capacity ? seen_capacity * 2 : 65536;
        seen = must(realloc(seen, (size_t)seen_capacity * sizeof *seen));
    }
    seen[seen_count] = (struct seen){a, b, {0}};
    memcpy(seen[seen_count++].f, f, sizeof seen->f);
}

static void put(FILE *f, const float *row, int n)
{
    fwrite(row, sizeof *row, (size_t)n, f);
}

/* region, same part, area, features */
static void write_track_pairs(const struct shot *s, int32_t *uid)
{
    for (int64_t i = 0; i < seen_count; i++) {
        const struct seen *p = &seen[i];
        float row[3 + MATCH_FEATURES];
        if (p->a > s->now_count || p->b > s->before_count)
            continue;
        row[0] = (float)(*uid + p->a);
        row[1] = s->now[p->a].part == s->before[p->b].part;
        row[2] = (float)s->now[p->a].area;
        memcpy(row + 3, p->f, sizeof p->f);
        put(track_out, row, 3 + MATCH_FEATURES);
    }
    *uid += s->now_count;
    seen_count = 0;
}

/* ---- running ---- */
static void keep_truth(struct shot *s)
{
    for (int32_t k = 1; k <= s->now_count; k++) {
        if (s->all_count == s->all_capacity) {
            s->all_capacity = s->all_capacity ? s->all_capacity * 2 : 4096;
            s->all = must(realloc(s->all, (size_t)s->all_capacity * sizeof *s->all));
        }
        s->all[s->all_count++] = s->now[k];
    }
}

static void run_shot(struct shot *s, int32_t *uid)
{
    int32_t w = s->conf.width, h = s->conf.height, pw = w / s->divide, ph = h / s->divide;
    struct err e;
    for (int32_t t = 0; t < FRAMES; t++) {
        draw_frame(s, t);
        struct paint_image lines = {s->lines, w, h, 3}, proposal = {s->proposal, pw, ph, 3};
        int64_t drawings = s->paint->drawing_count;
        s->paint->tracker.match.watch = track_out ? watch : NULL;
        s->paint->tracker.match.watch_user = &s->paint->tracker.match;
        if (paint_observe(s->paint, &lines, &proposal, &e))
            die(e.detail);
        if (s->paint->drawing_count == drawings)
            continue;
        struct truth *swap = s->before;
        s->before = s->now;
        s->now = swap;
        s->before_count = s->now_count;
        find_truth(s);
        keep_truth(s);
        if (track_out)
            write_track_pairs(s, uid);
    }
}

static void close_shot(struct shot *s)
{
    paint_close(s->paint);
    if (s->art)
        art_frame_fini(&s->frame);
    art_free(s->art);
    clip_free(&s->clip);
    free(s->lines);
    free(s->picture);
    free(s->proposal);
    free(s->now);
    free(s->before);
    free(s->all);
}

/* Prints figure pixels, all pixels and regions right, for near, mirrored and far references. */
static void answer(struct shot *shots, int32_t n, const struct paint_weights *w)
{
    double sum[3][4] = {{0}};
    for (int32_t i = 0; i < n; i++) {
        struct shot *s = &shots[i];
        struct paint *p = s->paint;
        double figure[2] = {0}, pixels[2] = {0}, regions[2] = {0};
        struct err e;
        p->decided = false;
        p->weights = *w;
        if (paint_decide(p, &e))
            die(e.detail);
        for (int64_t k = 0; k < s->all_count; k++) {
            const struct truth *t = &s->all[k];
            bool right = t->track && p->tracker.tracks[t->track].color == t->color;
            if (t->color < 0)
                continue;
            figure[0] += t->figure ? t->area : 0;
            figure[1] += t->figure && right ? t->area : 0;
            pixels[0] += t->area;
            pixels[1] += right ? t->area : 0;
            regions[0]++;
            regions[1] += right;
        }
        sum[s->kind][0] += figure[1] / fmax(figure[0], 1);
        sum[s->kind][1] += pixels[1] / fmax(pixels[0], 1);
        sum[s->kind][2] += regions[1] / fmax(regions[0], 1);
        sum[s->kind][3]++;
    }
    for (int kind = 0; kind < 3; kind++)
        printf("%.5f %.5f %.5f ", sum[kind][0] / sum[kind][3], sum[kind][1] / sum[kind][3],
               sum[kind][2] / sum[kind][3]);
    printf("\n");
    fflush(stdout);
}

static int write_pairs(int32_t n, const struct paint_weights *w, const char *path)
{
    int32_t uid = 0;
    track_out = must(fopen(path, "wb"));
    for (int32_t i = 0; i < n; i++) {
        struct shot s;
        open_shot(&s, i, w);
        run_shot(&s, &uid);
        close_shot(&s);
    }
    return fclose(track_out) != 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        die("usage: paint-fit pairs SHOTS WEIGHTS TRACK_OUT | decide SHOTS WEIGHTS [CLIP…]");
    int32_t n = (int32_t)strtol(argv[2], NULL, 10), clips = argc - 4, uid = 0, count = n;
    struct paint_weights w;
    read_weights(argv[3], &w);
    if (strcmp(argv[1], "pairs") == 0 && argc == 5)
        return write_pairs(n, &w, argv[4]);
    struct shot *shots = must(calloc((size_t)(n + clips * CLIP_REFERENCES) + 1, sizeof *shots));
    for (int32_t i = 0; i < n; i++)
        open_shot(&shots[i], i, &w);
    for (int32_t i = 0; i < clips; i++)
        for (int32_t kind = 0; kind < CLIP_REFERENCES; kind++, count++)
            open_clip(&shots[count], argv[4 + i], kind, count, &w);
    for (int32_t i = 0; i < count; i++)
        run_shot(&shots[i], &uid);
    char line[16384];
    while (fgets(line, sizeof line, stdin)) {
        char *at = line;
        float *to = (float *)&w;
        for (int i = 0; i < WEIGHTS; i++)
            to[i] = strtof(at, &at);
        answer(shots, count, &w);
    }
    for (int32_t i = 0; i < count; i++)
        close_shot(&shots[i]);
    free(shots);
    return 0;
}
