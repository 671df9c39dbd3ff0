#include "train/pick.h"

#include <math.h>

/* splitmix64 (S. Vigna): a stream of numbers from any seed. */
static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static double uniform(uint64_t *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

static int64_t below(uint64_t *state, int64_t n)
{
    int64_t x = (int64_t)(uniform(state) * (double)n);
    return x < n ? x : n - 1;
}

static uint64_t stream(uint64_t seed, int64_t step, int32_t item, int attempt)
{
    uint64_t state = seed;
    state = next(&state) + (uint64_t)step;
    state = next(&state) + (uint64_t)item;
    state = next(&state) + (uint64_t)attempt;
    return next(&state);
}

int64_t train_pick_min_frames(enum train_stage stage, int64_t frames)
{
    return stage == TRAIN_MEMORY ? 2 * frames : frames;
}

/* Of n frames, the likelier the nearer to the first: the chance falls to a third over half of them. */
static int64_t near_first(uint64_t *state, int64_t n)
{
    double mean = (double)n / 2;
    double at = -mean * log(1 - uniform(state) * (1 - exp(-(double)n / mean)));
    return at < (double)n ? (int64_t)at : n - 1;
}

void train_pick(struct train_pick *out, const struct train_pick_conf *c, const int64_t *frames_of, int count,
                int64_t step, int32_t item, int attempt)
{
    uint64_t state = stream(c->seed, step, item, attempt);
    struct train_pick p = {.shot = (int)below(&state, count)};
    int64_t frames = frames_of[p.shot];
    if (c->stage == TRAIN_MEMORY) {
        p.first = c->frames + below(&state, frames - 2 * c->frames + 1);
        p.reference = below(&state, p.first);
        p.history = p.first < c->history_max ? p.first : c->history_max;
    } else {
        p.first = below(&state, frames - c->frames + 1);
        bool anywhere = uniform(&state) < c->reference_anywhere;
        p.reference = anywhere ? below(&state, frames) : p.first + near_first(&state, c->frames);
    }
    p.mirrored = uniform(&state) < c->mirror;
    p.reference_mirrored = p.mirrored != (uniform(&state) < c->mirror_alone);
    *out = p;
}

int64_t train_pick_history_frame(const struct train_pick *p, int64_t i)
{
    return p->history < 2 ? 0 : i * (p->first - 1) / (p->history - 1);
}
