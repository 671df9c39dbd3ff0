/* gaps.c - labelling paper so that gaps in lines do not leak (see regions.h), and growing labels under lines. */
#include "paint/bits.h"
#include "paint/ink.h"
#include "paint/regions.h"

#include <stdlib.h>
#include <string.h>

#define LEVELS_MAX 16

struct queue {
    int32_t *at;
    int64_t count, capacity;
};

struct regions_work {
    int32_t width, height;
    struct bits level[LEVELS_MAX + 1]; /* paper eroded 0, 1, 2 … times; made on demand */
    struct bits done, edge;            /* labelled pixels; what borders on them */
    struct queue now, next;            /* waves of growth */
};

struct regions_work *gaps_work_new(int32_t width, int32_t height)
{
    struct regions_work *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->width = width;
    w->height = height;
    if (bits_init(&w->done, width, height) || bits_init(&w->edge, width, height)) {
        gaps_work_free(w);
        return NULL;
    }
    return w;
}

void gaps_work_free(struct regions_work *w)
{
    if (!w)
        return;
    for (int i = 0; i <= LEVELS_MAX; i++)
        bits_fini(&w->level[i]);
    bits_fini(&w->done);
    bits_fini(&w->edge);
    free(w->now.at);
    free(w->next.at);
    free(w);
}

static int push(struct queue *q, int32_t index)
{
    if (q->count == q->capacity) {
        int64_t capacity = q->capacity ? q->capacity * 2 : 16384;
        int32_t *grown = realloc(q->at, (size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        q->at = grown;
        q->capacity = capacity;
    }
    q->at[q->count++] = index;
    return 0;
}

/* The label of the first labelled 4-neighbour in a fixed order, or 0. */
static inline int32_t neighbour_label(const int32_t *label, int32_t w, int32_t h, int32_t x, int32_t y)
{
    const int32_t *p = label + (int64_t)y * w + x;
    if (y > 0 && p[-w] > 0)
        return p[-w];
    if (x > 0 && p[-1] > 0)
        return p[-1];
    if (x + 1 < w && p[1] > 0)
        return p[1];
    return y + 1 < h && p[w] > 0 ? p[w] : 0;
}

static int push_edge(struct regions_work *w)
{
    w->now.count = 0;
    for (int32_t y = 0; y < w->height; y++) {
        const uint64_t *row = bits_row(&w->edge, y);
        for (int32_t i = 0; i < w->edge.stride; i++)
            for (uint64_t rest = row[i]; rest; rest &= rest - 1)
                if (push(&w->now, y * w->width + i * 64 + __builtin_ctzll(rest)))
                    return -1;
    }
    return 0;
}

/* Puts the unlabelled allowed neighbours of pixel i into the next wave and marks them as done. */
static int spread(struct regions_work *w, const struct bits *allowed, int32_t x, int32_t y)
{
    static const int8_t step[4][2] = {{0, -1}, {-1, 0}, {1, 0}, {0, 1}};
    for (int k = 0; k < 4; k++) {
        int32_t nx = x + step[k][0], ny = y + step[k][1];
        if (nx < 0 || ny < 0 || nx >= w->width || ny >= w->height || !bits_get(allowed, nx, ny) ||
            bits_get(&w->done, nx, ny))
            continue;
        bits_set(&w->done, nx, ny);
        if (push(&w->next, ny * w->width + nx))
            return -1;
    }
    return 0;
}

/* Labels spread over `allowed` in waves, so that every pixel takes the label nearest to it. A wave's labels are all
 * read before any is written: the result does not depend on the order within a wave. */
static int grow(struct regions_work *w, const struct bits *allowed, int32_t *label)
{
    bits_frontier(&w->edge, &w->done, allowed);
    if (push_edge(w))
        return -1;
    for (int64_t i = 0; i < w->now.count; i++)
        bits_set(&w->done, w->now.at[i] % w->width, w->now.at[i] / w->width);
    while (w->now.count) {
        w->next.count = 0;
        for (int64_t i = 0; i < w->now.count; i++) {
            int32_t x = w->now.at[i] % w->width, y = w->now.at[i] / w->width;
            /* Negative until the wave is over: neighbours of this wave do not see it. */
            label[w->now.at[i]] = -neighbour_label(label, w->width, w->height, x, y);
        }
        for (int64_t i = 0; i < w->now.count; i++) {
            int32_t at = w->now.at[i];
            label[at] = -label[at];
            if (spread(w, allowed, at % w->width, at / w->width))
                return -1;
        }
        struct queue swap = w->now;
        w->now = w->next;
        w->next = swap;
    }
    return 0;
}

static int make_level(struct regions_work *w, int i)
{
    if (!w->level[i].words && bits_init(&w->level[i], w->width, w->height))
        return -1;
    if (i & 1)
        bits_erode_cross(&w->level[i], &w->level[i - 1]);
    else
        bits_erode_square(&w->level[i], &w->level[i - 1]);
    return 0;
}

static void subtract(struct bits *out, const struct bits *a, const struct bits *b)
{
    int64_t n = (int64_t)a->stride * a->height;
    for (int64_t i = 0; i < n; i++)
        out->words[i] = a->words[i] & ~b->words[i];
}

int32_t gaps_label(struct regions_work *w, const uint8_t *ink, int threshold, int32_t levels, int32_t *top_count,
                   int32_t *label)
{
    int32_t count = 0;
    levels = levels < LEVELS_MAX ? levels : LEVELS_MAX;
    if (!w->level[0].words && bits_init(&w->level[0], w->width, w->height))
        return -1;
    ink_paper(&w->level[0], ink, threshold);
    for (int i = 1; i <= levels; i++)
        if (make_level(w, i))
            return -1;
    memset(label, 0, (size_t)w->width * (size_t)w->height * sizeof *label);
    memset(w->done.words, 0, (size_t)w->done.stride * (size_t)w->height * sizeof *w->done.words);
    for (int i = levels; i >= 0; i--) {
        if (count && grow(w, &w->level[i], label))
            return -1;
        /* The edge bits are free again: they hold what no region reached. */
        subtract(&w->edge, &w->level[i], &w->done);
        int32_t found = bits_label(&w->edge, count + 1, label);
        if (found < 0)
            return -1;
        count += found;
        if (i == levels)
            *top_count = count;
        memcpy(w->done.words, w->level[i].words, (size_t)w->done.stride * (size_t)w->height * sizeof *w->done.words);
    }
    return count;
}

int gaps_grow_all(struct regions_work *w, int32_t *label)
{
    /* Level 0 has been used up: it becomes the mask of everything. */
    if (!w->level[0].words && bits_init(&w->level[0], w->width, w->height))
        return -1;
    for (int32_t y = 0; y < w->height; y++) {
        uint64_t *all = bits_row(&w->level[0], y), *done = bits_row(&w->done, y);
        const int32_t *row = label + (int64_t)y * w->width;
        for (int32_t i = 0; i < w->done.stride; i++) {
            int32_t n = w->width - i * 64 < 64 ? w->width - i * 64 : 64;
            uint64_t bit = 0;
            for (int32_t x = 0; x < n; x++)
                bit |= (uint64_t)(row[i * 64 + x] > 0) << x;
            done[i] = bit;
            all[i] = n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
        }
    }
    return grow(w, &w->level[0], label);
}
