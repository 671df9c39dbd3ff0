/* loader.h - samples read ahead by worker threads, handed out in order.
 *
 * Sample n (counted over the whole run: step * items + item) is the same whoever reads it and whenever. A frame that
 * cannot be read is reported, its shot is not used again in this run, and another pick takes its place.
 * Threads: loader_get by one thread. */
#ifndef LONGANIM_TRAIN_LOADER_H
#define LONGANIM_TRAIN_LOADER_H

#include "train/pick.h"
#include "train/shots.h"

struct loader;

struct loader_conf {
    const struct train_shots *shots; /* borrowed; every shot has lines */
    struct train_pick_conf pick;
    int32_t items; /* of a step */
    int64_t first_step, last_step;
    int threads, ahead; /* ahead: samples read before they are asked for */
    void *user;
    void (*on_bad)(void *user, const char *shot, const struct err *why); /* by the threads, one at a time */
};

/* Pixels as in train.h of the model's side; borrowed until the next loader_get. */
struct loader_sample {
    const uint8_t *color, *lines, *reference, *reference_lines, *history;
    int32_t history_frames;
    const char *prompt; /* NULL = none */
};

int loader_new(struct loader **out, const struct loader_conf *c, struct err *e);
/* The steps and items have to be asked for in order. params_invalid when no shot is left. */
int loader_get(struct loader *l, int64_t step, int32_t item, struct loader_sample *out, struct err *e);
void loader_free(struct loader *l); /* NULL is fine */

#endif
