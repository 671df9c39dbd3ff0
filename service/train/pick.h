/* pick.h - which frames a sample is made of. Pure: the same seed, step and item give the same pick, so that a run that
 * was stopped goes on with the samples that it would have had.
 *
 *   vae      consecutive frames of any shot
 *   sketch   a segment of consecutive frames; its reference is one of them, the likelier the nearer to the first, or,
 *            for a share, any frame of the shot
 *   memory   a segment that begins a segment's length into the shot or later; its reference is any frame before it; its
 *            history is all frames before it (evenly sampled when they are many)
 *   reward   as sketch */
#ifndef LONGANIM_TRAIN_PICK_H
#define LONGANIM_TRAIN_PICK_H

#include <stdbool.h>
#include <stdint.h>

enum train_stage { TRAIN_VAE, TRAIN_SKETCH, TRAIN_MEMORY, TRAIN_REWARD }; /* as MDL_TRAIN_* */

struct train_pick_conf {
    enum train_stage stage;
    uint64_t seed;
    int64_t frames;              /* of a sample */
    int64_t history_max;         /* frames of a history at most */
    double reference_anywhere;   /* share of references from the whole shot */
    double mirror, mirror_alone; /* shares: everything mirrored; the reference alone, too */
};

struct train_pick {
    int shot;
    int64_t first, reference, history; /* history: frames 0..first-1, so many of them */
    bool mirrored, reference_mirrored;
};

/* Shots shorter than this are no use to a stage. */
int64_t train_pick_min_frames(enum train_stage stage, int64_t frames);

/* frames_of[count]: the shots' lengths, all long enough. `attempt` > 0: another pick for the same place. */
void train_pick(struct train_pick *out, const struct train_pick_conf *c, const int64_t *frames_of, int count,
                int64_t step, int32_t item, int attempt);

/* Frame `i` of the history. */
int64_t train_pick_history_frame(const struct train_pick *p, int64_t i);

#endif
