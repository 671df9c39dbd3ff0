/* support.h - a caller of the model for the boundary tests: draws an input shot, keeps what comes back, stops when
 * told. Header only: every boundary test is one program. */
#ifndef TESTS_SHIM_SUPPORT_H
#define TESTS_SHIM_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

#define MAX_SEGMENTS 64

struct caller {
    int32_t input_width, input_height;
    int64_t next_source, sources; /* the next index allowed; how many were asked for */
    int64_t first_source;         /* the first index asked for; -1 = none yet */
    uint8_t *frames;              /* delivered, network size */
    int64_t delivered, capacity;
    int32_t width, height;
    struct mdl_segment segments[MAX_SEGMENTS];
    uint8_t *states[MAX_SEGMENTS];
    int32_t segment_count;
    int64_t history; /* delivered frames asked back */
    int32_t progress_calls, diffusion_steps[MAX_SEGMENTS];
    int64_t largest_frames_done;
    struct mdl_progress last_progress;
    int32_t cancel_segment, cancel_step; /* -1 = never */
    int cancel_in;                       /* 's'ource, 'f'rames, se'g'ment, 0 = none */
    uint8_t reference_pixels[8 * 8 * 3];
    struct mdl_image reference;
};

static inline void draw_input(uint8_t *rgb, int32_t w, int32_t h, int64_t index)
{
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            int line = (x + index) % 16 == 0 || y % 11 == 0;
            memset(rgb + ((size_t)y * (size_t)w + (size_t)x) * 3, line ? 0 : 255, 3);
        }
}

static inline int caller_source(void *user, int64_t index, uint8_t *rgb)
{
    struct caller *c = user;
    if (c->first_source < 0)
        c->first_source = c->next_source = index;
    assert_int_equal(index, c->next_source);
    c->next_source++;
    c->sources++;
    draw_input(rgb, c->input_width, c->input_height, index);
    return c->cancel_in == 's' && c->sources == 5;
}

static inline int caller_frames(void *user, const uint8_t *rgb, int64_t first_frame, int32_t n, int32_t w, int32_t h)
{
    struct caller *c = user;
    size_t bytes = (size_t)w * (size_t)h * 3;
    assert_int_equal(first_frame, c->delivered);
    assert_true(n > 0);
    c->width = w;
    c->height = h;
    if (c->delivered + n > c->capacity) {
        c->capacity = (c->delivered + n) * 2;
        c->frames = realloc(c->frames, (size_t)c->capacity * bytes);
        assert_non_null(c->frames);
    }
    memcpy(c->frames + (size_t)c->delivered * bytes, rgb, (size_t)n * bytes);
    c->delivered += n;
    return c->cancel_in == 'f';
}

static inline int caller_segment(void *user, const struct mdl_segment *s)
{
    struct caller *c = user;
    assert_true(s->index < MAX_SEGMENTS);
    assert_int_equal(s->index, c->segment_count);
    assert_int_equal(s->first_frame + s->frames, c->delivered);
    c->segments[s->index] = *s;
    c->states[s->index] = malloc(s->state_size_bytes);
    assert_non_null(c->states[s->index]);
    memcpy(c->states[s->index], s->state, s->state_size_bytes);
    c->segments[s->index].state = c->states[s->index];
    c->segment_count++;
    return c->cancel_in == 'g';
}

static inline int caller_history(void *user, int64_t index, uint8_t *rgb)
{
    struct caller *c = user;
    size_t bytes = (size_t)c->width * (size_t)c->height * 3;
    assert_true(index >= 0 && index < c->delivered);
    c->history++;
    memcpy(rgb, c->frames + (size_t)index * bytes, bytes);
    return 0;
}

static inline int caller_progress(void *user, const struct mdl_progress *p)
{
    struct caller *c = user;
    c->progress_calls++;
    c->last_progress = *p;
    assert_true(p->step >= 0 && p->step <= p->steps && p->segment >= 0 && p->segment < p->segments);
    if (p->stage == MDL_STAGE_DIFFUSION && p->step > 0 && p->segment < MAX_SEGMENTS)
        c->diffusion_steps[p->segment]++;
    assert_true(p->frames_done >= c->largest_frames_done);
    c->largest_frames_done = p->frames_done;
    return p->stage == MDL_STAGE_DIFFUSION && p->segment == c->cancel_segment && p->step == c->cancel_step;
}

/* A caller with a red and green reference, and the parameters that lead to it. */
static inline void caller_init(struct caller *c, struct mdl_params *p, int32_t w, int32_t h, int64_t frames)
{
    memset(c, 0, sizeof *c);
    c->input_width = w;
    c->input_height = h;
    c->first_source = c->cancel_segment = c->cancel_step = -1;
    for (int i = 0; i < 64; i++)
        memcpy(c->reference_pixels + i * 3, i % 8 < 4 ? "\xC8\x20\x10" : "\x10\x90\x30", 3);
    c->reference = (struct mdl_image){c->reference_pixels, 8, 8};
    mdl_params_init(p, sizeof *p);
    p->input_width = w;
    p->input_height = h;
    p->frames = frames;
    p->seed = 7;
    p->references = &c->reference;
    p->reference_count = 1;
    p->on_source = caller_source;
    p->on_frames = caller_frames;
    p->on_segment = caller_segment;
    p->on_history = caller_history;
    p->on_progress = caller_progress;
    p->user = c;
}

static inline void caller_fini(struct caller *c)
{
    free(c->frames);
    for (int i = 0; i < c->segment_count; i++)
        free(c->states[i]);
}

/* Goes on from segment k of a finished run `from`: its frames and states up to there, nothing else. */
static inline void caller_resume(struct caller *c, struct mdl_params *p, const struct caller *from, int32_t k)
{
    size_t bytes = (size_t)from->width * (size_t)from->height * 3;
    c->width = from->width;
    c->height = from->height;
    c->delivered = c->capacity = from->segments[k].first_frame;
    c->frames = malloc((size_t)c->capacity * bytes + 1);
    assert_non_null(c->frames);
    memcpy(c->frames, from->frames, (size_t)c->delivered * bytes);
    for (int i = 0; i < k; i++) {
        c->segments[i] = from->segments[i];
        c->states[i] = malloc(from->segments[i].state_size_bytes);
        assert_non_null(c->states[i]);
        memcpy(c->states[i], from->states[i], from->segments[i].state_size_bytes);
    }
    c->segment_count = k;
    p->resume_segment = k;
    p->resume_state = c->states[k - 1];
    p->resume_state_size_bytes = from->segments[k - 1].state_size_bytes;
}

static inline void assert_same_video(const struct caller *a, const struct caller *b)
{
    assert_int_equal(a->delivered, b->delivered);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_memory_equal(a->frames, b->frames, (size_t)a->delivered * (size_t)a->width * (size_t)a->height * 3);
    assert_int_equal(a->segment_count, b->segment_count);
    for (int i = 0; i < a->segment_count; i++) {
        assert_int_equal(a->segments[i].state_size_bytes, b->segments[i].state_size_bytes);
        assert_memory_equal(a->states[i], b->states[i], a->segments[i].state_size_bytes);
    }
}

/* On the CPU with one thread: tests share the cores, and libtorch's threads spin while they wait for each other. */
static inline void options_init(struct mdl_options *o)
{
    mdl_options_init(o, sizeof *o);
    o->device = MDL_DEVICE_CPU;
    o->threads = 1;
}

static inline mdl_model *open_or_fail(const char *backend, const char *dir)
{
    mdl_model *m = NULL;
    struct mdl_options o;
    struct mdl_error e = {0, ""};
    options_init(&o);
    if (mdl_open(&m, backend, dir, &o, &e) != MDL_OK)
        fail_msg("mdl_open(%s, %s): %s", backend, dir, e.text);
    return m;
}

static inline void run_or_fail(mdl_model *m, const struct mdl_params *p)
{
    struct mdl_error e = {0, ""};
    if (mdl_run(m, p, &e) != MDL_OK)
        fail_msg("mdl_run: %s", e.text);
}

#endif
