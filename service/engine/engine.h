/* engine.h - one job's files to one result file: decode, colour by segments, snap, encode. Knows no queue and no
 * store; the worker's engine child and `longanim colorize` both run this.
 *
 * Stages, as a table in engine.c: probe → lines → model (per segment) → render → encode → receipt.
 * Network output is kept per segment as lossless video (MEDIA_LOSSLESS at network size); the final render reads these
 * and the input again, so a resumed job gives the same bytes as an uninterrupted one.
 * Threads: one run per process at a time (the model handle is kept between runs). */
#ifndef LONGANIM_ENGINE_ENGINE_H
#define LONGANIM_ENGINE_ENGINE_H

#include "base/err.h"
#include "base/hash.h"
#include "job/params.h"
#include "media/media.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct engine_conf {
    const char *models; /* "name=dir[,name=dir…]"; dir "null:OPTIONS" selects the null back end */
    const char *device; /* "auto", "cpu", "cuda", "cuda:N" */
    int64_t vram_budget_bytes;
    int32_t threads;
    struct media_limits limits;
};
/* Loads libmodel_shim.so from beside the program; models are opened when first used. */
int engine_new(struct engine **out, const struct engine_conf *c, struct err *e);
void engine_free(struct engine *g);

/* JSON object: model name -> description. Borrowed until the engine is freed. */
const char *engine_describe(struct engine *g);

struct engine_segment {
    int32_t n, segments;
    int64_t first_frame;
    int32_t frames;
    char path[512], sha256[HASH_HEX_SIZE]; /* lossless video */
    int64_t bytes;
    char state_path[512], state_sha256[HASH_HEX_SIZE]; /* "" = none */
    int64_t state_bytes;
};

struct engine_result {
    char path[512], sha256[HASH_HEX_SIZE], content_type[48];
    int64_t bytes, frames;
    int32_t width, height;
    char preview_path[512];
    char receipt_path[512]; /* JSON: what engine knows; the worker adds times and ids */
};

struct engine_progress {
    const char *stage; /* "decode", "text", "memory", "encode", "diffusion", "vae", "render" */
    int32_t fraction_ppm, segments_done, segments_total, step, steps;
    int64_t frames_done;
    int64_t eta_low_ms, eta_high_ms; /* -1 = unknown */
};

struct engine_job {
    const char *video_path;
    const char *reference_paths[4];
    int reference_count;
    const struct job_params *params; /* seed set */
    const char *work_dir;            /* exists; everything is written below it */
    const char *result_path;         /* NULL = "<work_dir>/result.<ext>" */
    /* segments 0..segment_count-1 that were committed before, already on local disk (path, sha256, frames) */
    const struct engine_segment *segments;
    int segment_count;
    void *user;
    /* All return non-zero to stop the run with ERR canceled_by_user. */
    int (*on_plan)(void *user, int segments, const char *plan_hash, int *keep_segments);
    int (*on_progress)(void *user, const struct engine_progress *p);
    int (*on_segment)(void *user, const struct engine_segment *s);
    int (*on_preview)(void *user, const char *jpeg_path);
};

/* Runs the job to its end. Errors: media_*, params_invalid, model_error, gpu_oom, gpu_fault, nan_output,
 * encode_failed, storage_full, canceled_by_user, internal. */
int engine_run(struct engine *g, const struct engine_job *j, struct engine_result *out, struct err *e);

#endif
