#include "paint/tracks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOST_DRAWINGS 8 /* so long a lost region may come back as itself */
#define LOST_MAX 4096
#define BACK_SCORE 1.0F /* logit above which it does: no overlap speaks for it */

int tracker_init(struct tracker *t, int32_t width, int32_t height, const struct paint_weights *w, struct err *e)
{
    *t = (struct tracker){.width = width, .height = height, .weights = w};
    t->label = calloc((size_t)width * (size_t)height, sizeof *t->label);
    t->tracks = calloc(256, sizeof *t->tracks);
    t->capacity = 256;
    if (t->label && t->tracks)
        return 0;
    tracker_fini(t);
    return err_set(e, ERR_internal, "no memory for tracks");
}

void tracker_fini(struct tracker *t)
{
    free(t->tracks);
    free(t->label);
    free(t->at);
    free(t->contacts);
    free(t->votes);
    free(t->ids);
    free(t->lost);
    match_fini(&t->match);
    *t = (struct tracker){0};
}

static float tie_size(const struct tie *t)
{
    return t->open + t->time + 0.2F * t->side;
}

void track_tie(struct track *t, int32_t other, float open, float time, float side)
{
    int least = 0;
    for (int i = 0; i < TRACK_TIES; i++) {
        struct tie *k = &t->ties[i];
        if (k->track == other) {
            k->open += open;
            k->time += time;
            k->side += side;
            return;
        }
        if (tie_size(k) < tie_size(&t->ties[least]))
            least = i;
    }
    struct tie fresh = {other, open, time, side};
    if (tie_size(&t->ties[least]) < tie_size(&fresh))
        t->ties[least] = fresh;
}

/* ---- tracks ---- */
static int32_t new_track(struct tracker *t)
{
    if (t->count >= PAINT_TRACKS_MAX)
        return 0;
    if (t->count + 1 >= t->capacity) {
        int32_t capacity = t->capacity * 2;
        struct track *grown = realloc(t->tracks, (size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        t->tracks = grown;
        t->capacity = capacity;
    }
    t->tracks[++t->count] = (struct track){0};
    return t->count;
}

static int by_score(const void *left, const void *right)
{
    const struct match_pair *l = left, *r = right;
    if (l->score != r->score)
        return l->score > r->score ? -1 : 1;
    if (l->a != r->a)
        return l->a < r->a ? -1 : 1;
    return (l->b > r->b) - (l->b < r->b);
}

/* Best pairs first, each region once. taken[b] marks partners that are gone. */
static void assign(struct match *m, float least, const int32_t *track_of_b, bool *taken, int32_t *ids)
{
    if (m->count)
        qsort(m->pairs, (size_t)m->count, sizeof *m->pairs, by_score);
    for (int32_t i = 0; i < m->count && m->pairs[i].score > least; i++) {
        const struct match_pair *p = &m->pairs[i];
        if (ids[p->a] || taken[p->b] || !track_of_b[p->b])
            continue;
        ids[p->a] = track_of_b[p->b];
        taken[p->b] = true;
    }
}

/* ---- regions that were lost ---- */
static int lose(struct tracker *t, const bool *taken)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < t->lost_count; i++)
        if (t->lost[i].track && t->drawing - t->lost[i].drawing <= LOST_DRAWINGS)
            t->lost[kept++] = t->lost[i];
    t->lost_count = kept;
    for (int32_t k = 1; k <= t->regions && t->lost_count < LOST_MAX; k++) {
        if (taken[k] || !t->ids[k])
            continue;
        if (t->lost_count == t->lost_capacity) {
            int32_t capacity = t->lost_capacity ? t->lost_capacity * 2 : 64;
            struct lost *grown = realloc(t->lost, (size_t)capacity * sizeof *grown);
            if (!grown)
                return -1;
            t->lost = grown;
            t->lost_capacity = capacity;
        }
        t->lost[t->lost_count++] = (struct lost){t->at[k], t->votes[k], t->ids[k], t->drawing - 1};
    }
    return 0;
}

/* Regions without a partner, against the lost ones. The lost list is shifted by one: sides count from 1. */
static int find_again(struct tracker *t, const struct regions *r, const struct vote *votes, int32_t *ids, struct err *e)
{
    int32_t n = t->lost_count;
    struct region *at = malloc(((size_t)n + 1) * sizeof *at);
    struct vote *old = malloc(((size_t)n + 1) * sizeof *old);
    int32_t *track = malloc(((size_t)n + 1) * sizeof *track);
    bool *taken = calloc((size_t)n + 1, sizeof *taken);
    int result = -1;
    if (!at || !old || !track || !taken) {
        err_set(e, ERR_internal, "no memory for %d lost regions", n);
        goto out;
    }
    for (int32_t i = 0; i < n; i++) {
        at[i + 1] = t->lost[i].at;
        old[i + 1] = t->lost[i].vote;
        track[i + 1] = t->lost[i].track;
    }
    struct match_side a = {r->count, r->at, r->contacts, r->contact_count, votes};
    struct match_side b = {.count = n, .at = at, .votes = old};
    t->match.overlaps = 0;
    if (match_find(&t->match, &a, &b, t->width, t->height, t->weights->track, e))
        goto out;
    assign(&t->match, BACK_SCORE, track, taken, ids);
    for (int32_t i = 0; i < n; i++)
        if (taken[i + 1])
            t->lost[i].track = 0;
    result = 0;
out:
    free(at);
    free(old);
    free(track);
    free(taken);
    return result;
}

/* ---- ties ---- */
static void tie_both(struct tracker *t, int32_t a, int32_t b, float open, float time, float side_a, float side_b)
{
    if (a && b && a != b) {
        track_tie(&t->tracks[a], b, open, time, side_a);
        track_tie(&t->tracks[b], a, open, time, side_b);
    }
}

/* What was in the place of a new region, and what is in the place of one that ended. */
static void tie_in_time(struct tracker *t, const struct regions *r, const int32_t *ids, const bool *is_new,
                        const bool *taken)
{
    const struct match *m = &t->match;
    for (int32_t i = 0; i < m->overlaps; i++) {
        const struct pair_count *o = &m->overlap.slots[i];
        float of_new = (float)o->n / (1 + (float)r->at[o->a].area),
              of_old = (float)o->n / (1 + (float)t->at[o->b].area);
        float share = is_new[o->a] && !taken[o->b] ? fmaxf(of_new, of_old)
                      : is_new[o->a]               ? of_new
                      : !taken[o->b]               ? of_old
                                                   : 0;
        if (share > 0.5F)
            tie_both(t, ids[o->a], t->ids[o->b], 0, fminf(share, 1) * 2 - 1, 0, 0);
    }
}

static int tie_in_space(struct tracker *t, const struct regions *r, const int32_t *ids, struct err *e)
{
    float *border = calloc((size_t)r->count + 1, sizeof *border);
    if (!border)
        return err_set(e, ERR_internal, "no memory for ties");
    for (int32_t i = 0; i < r->contact_count; i++) {
        border[r->contacts[i].a] += (float)r->contacts[i].length;
        border[r->contacts[i].b] += (float)r->contacts[i].length;
    }
    for (int32_t i = 0; i < r->contact_count; i++) {
        const struct contact *c = &r->contacts[i];
        float length = (float)c->length, least = fminf(border[c->a], border[c->b]);
        if (c->a)
            tie_both(t, ids[c->a], ids[c->b], (float)c->open / least, 0, length / border[c->a], length / border[c->b]);
    }
    free(border);
    return 0;
}

/* ---- one drawing ---- */
static int remember(struct tracker *t, const struct regions *r, const struct vote *votes, const int32_t *ids)
{
    size_t n = (size_t)r->count + 1;
    if ((int32_t)n > t->region_capacity) {
        free(t->at);
        free(t->votes);
        free(t->ids);
        t->at = malloc(n * sizeof *t->at);
        t->votes = malloc(n * sizeof *t->votes);
        t->ids = malloc(n * sizeof *t->ids);
        t->region_capacity = (int32_t)n;
    }
    if (r->contact_count > t->contact_capacity) {
        free(t->contacts);
        t->contacts = malloc((size_t)r->contact_count * sizeof *t->contacts);
        t->contact_capacity = r->contact_count;
    }
    if (!t->at || !t->votes || !t->ids || (r->contact_count && !t->contacts)) {
        t->region_capacity = t->contact_capacity = t->regions = 0;
        return -1;
    }
    memcpy(t->at, r->at, n * sizeof *t->at);
    memcpy(t->votes, votes, n * sizeof *t->votes);
    memcpy(t->ids, ids, n * sizeof *t->ids);
    if (r->contact_count)
        memcpy(t->contacts, r->contacts, (size_t)r->contact_count * sizeof *t->contacts);
    memcpy(t->label, r->label, (size_t)r->width * (size_t)r->height * sizeof *t->label);
    t->regions = r->count;
    t->contact_count = r->contact_count;
    return 0;
}

static int match_before(struct tracker *t, const struct regions *r, const struct vote *votes, int32_t *ids, bool *taken,
                        struct err *e)
{
    struct match_side a = {r->count, r->at, r->contacts, r->contact_count, votes};
    struct match_side b = {t->regions, t->at, t->contacts, t->contact_count, t->votes};
    if (match_overlap(&t->match, r->label, t->label, t->width, t->height))
        return err_set(e, ERR_internal, "no memory to compare two drawings");
    if (match_find(&t->match, &a, &b, t->width, t->height, t->weights->track, e))
        return -1;
    assign(&t->match, 0, t->ids, taken, ids);
    return 0;
}

int tracker_step(struct tracker *t, const struct regions *r, const struct vote *votes, int32_t *ids, struct err *e)
{
    bool *taken = calloc((size_t)t->regions + 1, sizeof *taken), *is_new = calloc((size_t)r->count + 1, sizeof *is_new);
    int result = -1;
    if (!taken || !is_new) {
        err_set(e, ERR_internal, "no memory for %d regions", r->count);
        goto out;
    }
    memset(ids, 0, ((size_t)r->count + 1) * sizeof *ids);
    if (t->drawing && match_before(t, r, votes, ids, taken, e))
        goto out;
    for (int32_t k = 1; k <= r->count; k++)
        is_new[k] = ids[k] == 0;
    struct pairs overlap = t->match.overlap; /* find_again looks without overlap */
    int32_t overlaps = t->match.overlaps;
    if (t->lost_count && find_again(t, r, votes, ids, e))
        goto out;
    t->match.overlap = overlap;
    t->match.overlaps = overlaps;
    for (int32_t k = 1; k <= r->count; k++)
        if (!ids[k] && (ids[k] = new_track(t)) < 0) {
            err_set(e, ERR_internal, "no memory for tracks");
            goto out;
        }
    if (t->drawing)
        tie_in_time(t, r, ids, is_new, taken);
    if (tie_in_space(t, r, ids, e))
        goto out;
    if (lose(t, taken) || remember(t, r, votes, ids)) {
        err_set(e, ERR_internal, "no memory for a drawing");
        goto out;
    }
    for (int32_t k = 1; k <= r->count; k++) {
        t->tracks[ids[k]].drawings += ids[k] != 0;
        t->tracks[ids[k]].last = t->drawing;
    }
    t->drawing++;
    result = 0;
out:
    free(taken);
    free(is_new);
    return result;
}
