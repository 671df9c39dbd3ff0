#include "engine/eta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void eta_init(struct eta *t, int32_t segments, int32_t steps, int32_t first_segment, int64_t end_ms, int64_t now_ms)
{
    *t = (struct eta){.segments = segments, .steps = steps, .segment = first_segment, .step_began_ms = -1};
    t->segment_began_ms = now_ms;
    t->other_ms = -1;
    t->end_began_ms = first_segment < segments ? -1 : now_ms;
    t->end_ms = end_ms;
}

void eta_step(struct eta *t, int32_t segment, int32_t done, int64_t now_ms)
{
    if (segment == t->segment && done > t->step && t->step_began_ms >= 0) {
        int64_t each = (now_ms - t->step_began_ms) / (done - t->step);
        t->samples[t->count++ % ETA_SAMPLES] = each > INT32_MAX ? INT32_MAX : (int32_t)each;
        t->segment_steps_ms += now_ms - t->step_began_ms;
    }
    t->segment = segment;
    t->step = done;
    t->step_began_ms = now_ms;
}

void eta_segment_done(struct eta *t, int32_t segment, int64_t now_ms)
{
    int64_t other = now_ms - t->segment_began_ms - t->segment_steps_ms;
    if (other < 0)
        other = 0;
    t->other_ms = t->other_count ? (t->other_ms * t->other_count + other) / (t->other_count + 1) : other;
    t->other_count++;
    t->segment = segment + 1;
    t->end_began_ms = t->segment < t->segments ? -1 : now_ms;
    t->step = 0;
    t->step_began_ms = -1;
    t->segment_steps_ms = 0;
    t->segment_began_ms = now_ms;
}

void eta_end(struct eta *t, int64_t done, int64_t total)
{
    t->end_done = done;
    t->end_total = total;
}

static void estimate_end(const struct eta *t, int64_t now_ms, int64_t *out_low_ms, int64_t *out_high_ms)
{
    double left = (double)(now_ms - t->end_began_ms) * (double)(t->end_total - t->end_done) / (double)t->end_done;
    *out_low_ms = (int64_t)(left * 0.8);
    *out_high_ms = (int64_t)(left * 1.25);
}

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void eta_estimate(const struct eta *t, int64_t now_ms, int64_t *out_low_ms, int64_t *out_high_ms)
{
    *out_low_ms = *out_high_ms = -1;
    if (t->end_done > 0) {
        estimate_end(t, now_ms, out_low_ms, out_high_ms);
        return;
    }
    int32_t n = t->count < ETA_SAMPLES ? t->count : ETA_SAMPLES;
    if (n == 0)
        return;
    int32_t sorted[ETA_SAMPLES];
    memcpy(sorted, t->samples, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    double low = sorted[n / 4], high = sorted[n - 1 - n / 4], middle = sorted[n / 2];
    double steps_left = (double)(t->segments - t->segment) * t->steps - t->step;
    if (steps_left < 0)
        steps_left = 0;
    double segments_left = t->segments - t->segment;
    /* unmeasured: between nothing and half of what the steps take, which is where the published model lies, or three
     * times what this segment has spent on it so far */
    double spent_other = (double)(now_ms - t->segment_began_ms - t->segment_steps_ms);
    double other_low = t->other_ms >= 0 ? (double)t->other_ms * 0.9 : 0;
    double other_high = t->other_ms >= 0 ? (double)t->other_ms * 1.2 : fmax(middle * t->steps * 0.5, spent_other * 3);
    double widen = n < 16 ? 0.3 - 0.0125 * n : 0.1;
    double spent = t->step_began_ms >= 0 ? (double)(now_ms - t->step_began_ms) : 0;
    double best = steps_left * low * (1 - widen) + segments_left * other_low - spent;
    double worst = steps_left * high * (1 + widen) + segments_left * other_high;
    int64_t end_low = t->end_ms / 2, end_high = t->end_ms * 2;
    *out_low_ms = (best < 0 ? 0 : (int64_t)best) + end_low;
    *out_high_ms = (worst < 0 ? 0 : (int64_t)worst) + end_high;
    if (*out_high_ms < *out_low_ms)
        *out_high_ms = *out_low_ms;
}
