/* decide.c - one colour per track, from everything that the shot said about it.
 *
 *   score(c) = vote(size) * log(pooled votes) + geometry(size) * log(pooled prior) + ties + neighbours
 *
 * Votes of a frame count as much as the frame agrees with the shot: frames whose colours have all gone wrong lose
 * their say. Ties pull a track towards what lies behind a gap and towards what it split from; neighbours prefer
 * colours that the reference puts side by side. Ties and frame weights need the other tracks' colours, so the whole
 * is done a few times, each time for all tracks from the result of the time before. */
#include "paint/paint_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 4
#define BELIEFS 4
#define SURE 0.9F /* of a prior that tells how good the network is */
#define TRUST_LEAST 0.1F

/* The most likely colours of a track after a round. */
struct belief {
    uint8_t color[BELIEFS], share[BELIEFS]; /* of 255, falling */
};

/* Where a track's votes are. */
struct sighting {
    int32_t frame, region;
};

struct decision {
    struct paint *p;
    int64_t *first; /* per track: its first sighting; one more at the end */
    struct sighting *sightings;
    float *quality; /* per frame */
    struct belief *beliefs, *next;
    float trust; /* how often the network's votes are right, 0..1 */
    int32_t colors;
};

static int gather(struct decision *d)
{
    const struct paint *p = d->p;
    int64_t total = 0, tracks = p->tracker.count;
    d->first = calloc((size_t)tracks + 2, sizeof *d->first);
    if (!d->first)
        return -1;
    for (int64_t f = 0; f < p->frame_count; f++) {
        const struct drawing *at = &p->drawings[p->frames[f].drawing];
        for (int32_t k = 1; k <= at->count; k++)
            d->first[at->ids[k] + 1]++;
    }
    d->first[1] = 0; /* regions without a track */
    for (int64_t t = 1; t <= tracks; t++) {
        total += d->first[t + 1];
        d->first[t + 1] = total;
    }
    d->sightings = malloc(((size_t)total + 1) * sizeof *d->sightings);
    int64_t *at = malloc(((size_t)tracks + 2) * sizeof *at);
    if (!d->sightings || !at) {
        free(at);
        return -1;
    }
    memcpy(at, d->first, ((size_t)tracks + 2) * sizeof *at);
    for (int64_t f = 0; f < p->frame_count; f++) {
        const struct drawing *g = &p->drawings[p->frames[f].drawing];
        for (int32_t k = 1; k <= g->count; k++)
            if (g->ids[k])
                d->sightings[at[g->ids[k]]++] = (struct sighting){(int32_t)f, k};
    }
    free(at);
    return 0;
}

static float cells_of(const struct vote *v)
{
    return exp2f(v->evidence / 16.0F) - 1;
}

/* Shares of the colours in a track's votes, each frame by its evidence (of which more than a hundred cells is no
 * more) and its quality. What a vote does not name is spread evenly; so is a little that stands for doubt. */
static void pool_votes(const struct decision *d, int32_t track, float *out)
{
    const struct paint *p = d->p;
    float total = p->weights.vote_floor, rest = p->weights.vote_floor;
    memset(out, 0, (size_t)d->colors * sizeof *out);
    for (int64_t i = d->first[track]; i < d->first[track + 1]; i++) {
        const struct vote *v = &p->frames[d->sightings[i].frame].votes[d->sightings[i].region];
        float weight = d->quality[d->sightings[i].frame] * fminf(cells_of(v), 100), named = 0;
        for (int k = 0; k < VOTE_COLORS; k++) {
            float share = v->share[k] / 255.0F;
            out[v->color[k]] += weight * share;
            named += share;
        }
        rest += weight * (1 - named);
        total += weight;
    }
    for (int32_t c = 0; c < d->colors; c++) {
        float share = (out[c] + rest / (float)d->colors) / total;
        out[c] = d->trust * share + (1 - d->trust) / (float)d->colors;
    }
}

static float belief_share(const struct belief *b, int32_t color)
{
    for (int k = 0; k < BELIEFS; k++)
        if (b->color[k] == color)
            return b->share[k] / 255.0F;
    return 0;
}

static void add_ties(const struct decision *d, const struct track *t, float *score)
{
    const struct paint_weights *w = &d->p->weights;
    float sides = 0, drawings = (float)(t->drawings > 0 ? t->drawings : 1);
    for (int i = 0; i < TRACK_TIES; i++)
        sides += t->ties[i].side;
    for (int i = 0; i < TRACK_TIES; i++) {
        const struct tie *tie = &t->ties[i];
        if (!tie->track)
            continue;
        const struct belief *other = &d->beliefs[tie->track];
        float pull = w->tie_open * fminf(tie->open / drawings, 1) + w->tie_time * fminf(tie->time, 1);
        float side = sides > 0 ? w->neighbour * tie->side / sides : 0;
        if (t->drawings <= 2 && sides > 0)
            pull += w->tie_brief * tie->side / sides;
        for (int k = 0; k < BELIEFS; k++) {
            float share = other->share[k] / 255.0F;
            const float *beside = d->p->references.beside + (int64_t)other->color[k] * d->colors;
            score[other->color[k]] += pull * share;
            for (int32_t c = 0; side * share > 0.001F && c < d->colors; c++)
                score[c] += side * share * beside[c];
        }
    }
}

/* Fills score with a distribution. */
static void softmax(float *score, int32_t n)
{
    float most = -INFINITY, total = 0;
    for (int32_t c = 0; c < n; c++)
        most = fmaxf(most, score[c]);
    for (int32_t c = 0; c < n; c++)
        total += score[c] = expf(score[c] - most);
    for (int32_t c = 0; c < n; c++)
        score[c] /= total;
}

static struct belief believe(const struct decision *d, int32_t track, bool with_ties)
{
    const struct paint *p = d->p;
    const struct paint_weights *w = &p->weights;
    const struct track *t = &p->tracker.tracks[track];
    float votes[PALETTE_MAX], prior[PALETTE_MAX], score[PALETTE_MAX];
    float size = t->log_cells / (float)(t->drawings > 0 ? t->drawings : 1);
    float vote_weight = fmaxf(w->vote_base + w->vote_slope * size, 0.1F);
    float prior_weight = fmaxf(w->geometry_base + w->geometry_slope * size, 0);
    pool_votes(d, track, votes);
    sparse_shares(&t->prior, d->colors, prior);
    for (int32_t c = 0; c < d->colors; c++) {
        const struct palette_color *paint = &p->references.palette.colors[c];
        score[c] = vote_weight * logf(votes[c]) + prior_weight * logf(prior[c] + w->geometry_floor);
        if (paint->ink && paint->area <= 0)
            score[c] -= 100;
    }
    if (with_ties)
        add_ties(d, t, score);
    softmax(score, d->colors);
    struct belief out;
    for (int k = 0; k < BELIEFS; k++) {
        int32_t best = 0;
        for (int32_t c = 1; c < d->colors; c++)
            if (score[c] > score[best])
                best = c;
        out.color[k] = (uint8_t)best;
        out.share[k] = (uint8_t)lrintf(255 * fmaxf(score[best], 0));
        score[best] = -1;
    }
    return out;
}

/* How much of a frame's votes agrees with what the tracks believe, 0..1. */
static float agreement(const struct decision *d, int64_t f)
{
    const struct frame *frame = &d->p->frames[f];
    const struct drawing *g = &d->p->drawings[frame->drawing];
    float agree = 0, total = 0;
    for (int32_t k = 1; k <= g->count; k++) {
        const struct vote *v = &frame->votes[k];
        float weight = sqrtf(fminf(cells_of(v), 100));
        if (!g->ids[k])
            continue;
        for (int c = 0; c < VOTE_COLORS; c++)
            agree += weight * v->share[c] / 255.0F * belief_share(&d->beliefs[g->ids[k]], v->color[c]);
        total += weight;
    }
    return total > 0 ? agree / total : 0;
}

static int ascending(const void *left, const void *right)
{
    float l = *(const float *)left, r = *(const float *)right;
    return (l > r) - (l < r);
}

static int weigh_frames(struct decision *d)
{
    int64_t n = d->p->frame_count;
    float *sorted = malloc((size_t)n * sizeof *sorted);
    if (!sorted)
        return -1;
    for (int64_t f = 0; f < n; f++)
        sorted[f] = d->quality[f] = agreement(d, f);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    float usual = fmaxf(sorted[n / 2], 0.05F);
    for (int64_t f = 0; f < n; f++) {
        float q = fminf(d->quality[f] / usual, 1);
        d->quality[f] = fmaxf(q * q * q, 0.01F);
    }
    free(sorted);
    return 0;
}

/* Where the reference is sure of a colour, how much of the votes says so, too: a network that is often wrong there is
 * not to be believed elsewhere. */
static float measure_trust(const struct decision *d)
{
    double agree = 0, total = 0;
    float votes[PALETTE_MAX];
    for (int32_t t = 1; t <= d->p->tracker.count; t++) {
        const struct track *track = &d->p->tracker.tracks[t];
        const struct sparse *prior = &track->prior;
        int best = 0;
        for (int k = 1; k < prior->count; k++)
            if (prior->weight[k] > prior->weight[best])
                best = k;
        if (prior->count == 0 || prior->weight[best] < SURE * prior->total)
            continue;
        double weight = sqrt(track->log_cells * (double)(d->first[t + 1] - d->first[t]));
        pool_votes(d, t, votes);
        agree += weight * votes[prior->color[best]];
        total += weight;
    }
    return total > 0 ? fmaxf((float)(agree / total), TRUST_LEAST) : 1;
}

static void publish(struct decision *d)
{
    for (int32_t i = 1; i <= d->p->tracker.count; i++) {
        struct track *t = &d->p->tracker.tracks[i];
        t->color = d->beliefs[i].color[0];
        t->confidence = (uint8_t)(d->beliefs[i].share[0] - d->beliefs[i].share[1]);
    }
}

static int decide(struct decision *d)
{
    int32_t tracks = d->p->tracker.count;
    d->quality = malloc(((size_t)d->p->frame_count + 1) * sizeof *d->quality);
    d->beliefs = calloc((size_t)tracks + 1, sizeof *d->beliefs);
    d->next = calloc((size_t)tracks + 1, sizeof *d->next);
    if (!d->quality || !d->beliefs || !d->next || gather(d))
        return -1;
    for (int64_t f = 0; f < d->p->frame_count; f++)
        d->quality[f] = 1;
    d->trust = 1;
    d->trust = powf(measure_trust(d), d->p->weights.trust);
    for (int round = 0; round < ROUNDS; round++) {
        if (round && weigh_frames(d))
            return -1;
        for (int32_t t = 1; t <= tracks; t++)
            d->next[t] = believe(d, t, round > 0);
        struct belief *swap = d->beliefs;
        d->beliefs = d->next;
        d->next = swap;
    }
    publish(d);
    return 0;
}

int paint_decide(struct paint *p, struct err *e)
{
    struct decision d = {.p = p, .colors = p->references.palette.count};
    if (p->decided)
        return 0;
    if (p->frame_count == 0)
        return err_set(e, ERR_internal, "a decision without frames");
    int result = decide(&d);
    free(d.first);
    free(d.sightings);
    free(d.quality);
    free(d.beliefs);
    free(d.next);
    if (result)
        return err_set(e, ERR_internal, "no memory to decide %d tracks", p->tracker.count);
    ink_strengths(&p->strength, &p->cores);
    p->decided = true;
    return 0;
}
