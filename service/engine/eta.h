/* eta.h - when will it be done? A range from the step times measured so far. Pure: times are given in.
 *
 * Work is counted in denoising steps; what a segment costs besides (memory, encoding, decoding) is measured per
 * segment. The range is the quartiles of the last steps, widened while there are few. The end (snap and render) is
 * guessed until it has begun, then measured by its own pace. */
#ifndef LONGANIM_ENGINE_ETA_H
#define LONGANIM_ENGINE_ETA_H

#include <stdint.h>

#define ETA_SAMPLES 64

struct eta {
    int32_t segments, steps;  /* per run, per segment */
    int32_t segment, step;    /* where we are; step counts finished steps of this segment */
    int64_t step_began_ms;    /* -1 = not in a step */
    int64_t segment_began_ms; /* -1 = unknown */
    int64_t segment_steps_ms; /* time of this segment spent in steps */
    int64_t other_ms;         /* mean time of a segment besides its steps; -1 = not measured */
    int32_t other_count;
    int32_t samples[ETA_SAMPLES];
    int32_t count;        /* samples ever taken */
    int64_t end_ms;       /* guess of the whole end */
    int64_t end_began_ms; /* -1 = not yet */
    int64_t end_done, end_total;
};

/* end_ms: guess of what the end will take, right within a factor of two. */
void eta_init(struct eta *t, int32_t segments, int32_t steps, int32_t first_segment, int64_t end_ms, int64_t now_ms);
/* `done` of `steps` denoising steps of `segment` are finished. */
void eta_step(struct eta *t, int32_t segment, int32_t done, int64_t now_ms);
void eta_segment_done(struct eta *t, int32_t segment, int64_t now_ms);
/* All segments are done; of the end `done` of `total` are. */
void eta_end(struct eta *t, int64_t done, int64_t total);
/* Time still needed; both -1 before the first measured step, and before the first part of the end where no step was
 * measured. */
void eta_estimate(const struct eta *t, int64_t now_ms, int64_t *out_low_ms, int64_t *out_high_ms);

#endif
