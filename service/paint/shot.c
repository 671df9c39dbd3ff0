/* shot.c - a shot from its first frame to the decision: pass 1 of paint.h. */
#include "paint/holds.h"
#include "paint/paint_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PIXELS_MAX 16777216
#define SIDE_MAX 65536
#define RECORDS_MAX 24000000 /* from half of this on, only the largest regions of a drawing are told apart */
#define REGIONS_LATE 1024

void paint_conf_init(struct paint_conf *c, int32_t width, int32_t height)
{
    *c = (struct paint_conf){.width = width, .height = height, .gap_px = -1, .line_threshold = -1};
}

static bool size_fits(int32_t width, int32_t height)
{
    return width >= 1 && height >= 1 && width <= SIDE_MAX && height <= SIDE_MAX &&
           (int64_t)width * height <= PIXELS_MAX;
}

int32_t paint_hold_tolerance(const char *codec)
{
    static const char *const lossless[] = {"png", "ffv1", "rawvideo", "zip", ""};
    for (size_t i = 0; i < sizeof lossless / sizeof lossless[0]; i++)
        if (strcmp(codec, lossless[i]) == 0)
            return 0;
    return 64; /* a line that moves by a quarter of a pixel */
}

int paint_trace_lines(const char *text, unsigned *out)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"red", PAINT_TRACE_RED}, {"green", PAINT_TRACE_GREEN}, {"blue", PAINT_TRACE_BLUE}};
    unsigned found = 0;
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, ",");
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strlen(names[i].name) == n && strncmp(names[i].name, at, n) == 0)
                bit = names[i].bit;
        if (!bit)
            return -1;
        found |= bit;
        at += n + (at[n] == ',');
    }
    *out = found;
    return 0;
}

static int check_conf(const struct paint_conf *c, int count, const struct palette *palette, struct err *e)
{
    if (!size_fits(c->width, c->height))
        return err_set(e, ERR_media_too_many_pixels, "frames of %dx%d are not painted; at most %d pixels are", c->width,
                       c->height, PIXELS_MAX);
    if (c->gap_px < -1 || c->gap_px > PAINT_GAP_MAX)
        return err_set_field(e, ERR_params_invalid, "gap_px", "gaps of 0 to %d pixels can be closed", PAINT_GAP_MAX);
    if (c->line_threshold < -1 || c->line_threshold == 0 || c->line_threshold > 254)
        return err_set_field(e, ERR_params_invalid, "line_threshold", "the line threshold is 1 to 254");
    if (count < 0 || count > REFERENCE_MAX || (count == 0 && (!palette || palette->count == 0)))
        return err_set_field(e, ERR_params_invalid, "reference", "1 to %d references are needed, or a palette",
                             REFERENCE_MAX);
    return 0;
}

static int check_image(const struct paint_image *i, const char *what, struct err *e)
{
    if (!i->pixels || i->width < 1 || i->height < 1 || (i->channels != 3 && i->channels != 4) ||
        (int64_t)i->width * i->height > INT32_MAX)
        return err_set_field(e, ERR_params_invalid, what, "a picture of %dx%d with %d channels cannot be used",
                             i->width, i->height, i->channels);
    return 0;
}

int paint_open(struct paint **out, const struct paint_conf *c, const struct paint_image *references, int count,
               const struct palette *palette, struct err *e)
{
    if (check_conf(c, count, palette, e))
        return -1;
    for (int i = 0; i < count; i++)
        if (check_image(&references[i], "reference", e))
            return -1;
    struct paint *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_internal, "no memory for a shot");
    p->conf = *c;
    p->weights = paint_weights_fitted;
    p->regions_conf = regions_conf_default(c->width, c->height);
    if (c->gap_px >= 0)
        p->regions_conf.gap_px = c->gap_px;
    if (c->line_threshold > 0)
        p->regions_conf.threshold = c->line_threshold;
    p->last_lines = malloc((size_t)c->width * (size_t)c->height * 4);
    if (!p->last_lines)
        err_set(e, ERR_internal, "no memory for a shot");
    if (!p->last_lines ||
        references_load(&p->references, references, count, c->width, c->height, palette, c->transparent, e) ||
        regions_init(&p->regions, c->width, c->height, e) ||
        tracker_init(&p->tracker, c->width, c->height, &p->weights, e))
        goto fail;
    p->voter = voter_new(&p->references.palette, &p->weights);
    if (!p->voter) {
        err_set(e, ERR_internal, "no memory for votes");
        goto fail;
    }
    p->mode = c->mode != PAINT_AUTO ? c->mode : palette || p->references.flat ? PAINT_FLAT : PAINT_SMOOTH;
    *out = p;
    return 0;
fail:
    paint_close(p);
    return -1;
}

void paint__set_weights(struct paint *p, const struct paint_weights *w)
{
    p->weights = *w;
}

void paint_close(struct paint *p)
{
    if (!p)
        return;
    for (int64_t i = 0; i < p->drawing_count; i++) {
        free(p->drawings[i].ids);
        free(p->drawings[i].area);
    }
    for (int64_t i = 0; i < p->frame_count; i++)
        free(p->frames[i].votes);
    free(p->drawings);
    free(p->frames);
    free(p->last_lines);
    free(p->priors);
    free(p->means);
    reference_scratch_fini(&p->prior_scratch);
    tracker_fini(&p->tracker);
    voter_free(p->voter);
    regions_fini(&p->regions);
    references_fini(&p->references);
    free(p);
}

/* ---- frames ---- */
static int grow(void **at, int64_t count, int64_t *capacity, size_t size)
{
    if (count < *capacity)
        return 0;
    int64_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*at, (size_t)wanted * size);
    if (!grown)
        return -1;
    *at = grown;
    *capacity = wanted;
    return 0;
}

static bool same_lines(const struct paint *p, const struct paint_image *lines)
{
    return p->frame_count > 0 && p->last_channels == lines->channels &&
           holds_same(p->last_lines, lines->pixels, lines->width, lines->height, lines->channels,
                      p->conf.hold_tolerance);
}

static int make_room(struct paint *p, int32_t regions)
{
    if (regions < p->room)
        return 0;
    free(p->priors);
    free(p->means);
    p->priors = malloc(((size_t)regions + 1) * sizeof *p->priors);
    p->means = malloc(((size_t)regions + 1) * 3 * sizeof *p->means);
    p->room = p->priors && p->means ? regions + 1 : 0;
    return p->room ? 0 : -1;
}

/* A prior that is sure of itself counts most, so that a track keeps what its clearest drawings said. */
static int add_priors(struct paint *p, const struct drawing *d, struct err *e)
{
    for (int32_t i = 0; i < p->references.count; i++) {
        if (reference_prior(&p->references, i, &p->regions, &p->prior_scratch, &p->weights, p->priors, e))
            return -1;
        for (int32_t k = 1; k <= d->count; k++) {
            const struct sparse *from = &p->priors[k];
            float sure = 0;
            for (int c = 0; c < from->count; c++)
                sure = fmaxf(sure, from->weight[c]);
            sure = powf(sure, p->weights.prior_votes);
            for (int c = 0; d->ids[k] && c < from->count; c++)
                sparse_add(&p->tracker.tracks[d->ids[k]].prior, from->color[c], sure * from->weight[c]);
        }
    }
    return 0;
}

/* Size in pixels of the network's frame: what decides how much its vote is worth. */
static void add_sizes(struct paint *p, const struct drawing *d, const struct paint_image *proposal)
{
    float scale = (float)proposal->width * (float)proposal->height / ((float)p->conf.width * (float)p->conf.height);
    for (int32_t k = 1; k <= d->count; k++)
        if (d->ids[k])
            p->tracker.tracks[d->ids[k]].log_cells += log2f(1 + (float)d->area[k] * scale);
}

static int new_drawing(struct paint *p, const struct paint_image *lines, struct err *e)
{
    struct regions *r = &p->regions;
    struct regions_conf conf = p->regions_conf;
    if (p->records > RECORDS_MAX / 2)
        conf.most = REGIONS_LATE;
    if (regions_find(r, lines, &conf, true, e))
        return -1;
    struct drawing d = {.first_frame = p->frame_count, .count = r->count, .most = conf.most};
    if (grow((void **)&p->drawings, p->drawing_count, &p->drawing_capacity, sizeof d) || make_room(p, r->count))
        return err_set(e, ERR_internal, "no memory for a drawing");
    d.ids = malloc(((size_t)r->count + 1) * sizeof *d.ids);
    d.area = malloc(((size_t)r->count + 1) * sizeof *d.area);
    if (!d.ids || !d.area) {
        free(d.ids);
        free(d.area);
        return err_set(e, ERR_internal, "no memory for a drawing");
    }
    for (int32_t k = 0; k <= r->count; k++)
        d.area[k] = k ? r->at[k].area : 0;
    p->drawings[p->drawing_count++] = d;
    p->records += r->count;
    ink_count_cores(&p->cores, lines, r->ink, conf.threshold);
    memcpy(p->last_lines, lines->pixels, (size_t)lines->width * (size_t)lines->height * (size_t)lines->channels);
    p->last_channels = lines->channels;
    return 0;
}

static void add_means(struct paint *p, const struct drawing *d, const struct vote *votes)
{
    for (int32_t k = 1; k <= d->count; k++) {
        struct track *t = &p->tracker.tracks[d->ids[k]];
        float weight = exp2f(votes[k].evidence / 16.0F) - 1 + 1e-3F;
        for (int c = 0; d->ids[k] && c < 3; c++)
            t->mean[c] += weight * p->means[k * 3 + c];
        t->mean_weight += weight;
    }
}

int paint_observe(struct paint *p, const struct paint_image *lines, const struct paint_image *proposal, struct err *e)
{
    if (check_image(lines, "lines", e) || check_image(proposal, "proposal", e))
        return -1;
    if (lines->width != p->conf.width || lines->height != p->conf.height)
        return err_set_field(e, ERR_params_invalid, "lines", "a frame of %dx%d in a shot of %dx%d", lines->width,
                             lines->height, p->conf.width, p->conf.height);
    if (p->decided)
        return err_set(e, ERR_internal, "a frame after the decision");
    bool fresh = !same_lines(p, lines);
    if (grow((void **)&p->frames, p->frame_count, &p->frame_capacity, sizeof *p->frames))
        return err_set(e, ERR_internal, "no memory for a frame");
    if (fresh && new_drawing(p, lines, e))
        return -1;
    struct drawing *d = &p->drawings[p->drawing_count - 1];
    struct vote *votes = malloc(((size_t)d->count + 1) * sizeof *votes);
    if (!votes)
        return err_set(e, ERR_internal, "no memory for a frame");
    if (voter_cast(p->voter, &p->regions, p->regions_conf.threshold, proposal, votes, p->means, e) ||
        (fresh && (tracker_step(&p->tracker, &p->regions, votes, d->ids, e) || add_priors(p, d, e)))) {
        free(votes);
        return -1;
    }
    if (fresh)
        add_sizes(p, d, proposal);
    add_means(p, d, votes);
    p->frames[p->frame_count++] = (struct frame){(int32_t)(p->drawing_count - 1), votes};
    p->records += d->count;
    d->frames++;
    return 0;
}

/* ---- what a shot is made of ---- */
enum paint_mode paint_mode_used(const struct paint *p)
{
    return p->mode;
}

const struct palette *paint_palette(const struct paint *p)
{
    return &p->references.palette;
}

int64_t paint_frames(const struct paint *p)
{
    return p->frame_count;
}

int paint_drawing(const struct paint *p, int64_t frame, struct paint_drawing *out)
{
    if (frame < 0 || frame >= p->frame_count)
        return -1;
    int32_t index = p->frames[frame].drawing;
    const struct drawing *d = &p->drawings[index];
    *out = (struct paint_drawing){index, d->first_frame, d->frames, d->count};
    return 0;
}
