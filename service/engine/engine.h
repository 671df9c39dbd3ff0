/* engine.h - one job's files to one result file: decode, colour by segments, snap, encode. Knows no queue and no
 * store; the worker's engine child and `longanim colorize` both run this.
 *
 * Stages, as a table in engine.c: survey → plan → colour (per segment) → render → receipt.
 * Network output is kept per segment as lossless video (MEDIA_LOSSLESS at network size); the final render reads these
 * and the input again, so a resumed job gives the same bytes as an uninterrupted one. Nothing that is written, but the
 * receipt's timings, depends on time or on how often the job was interrupted.
 * Threads: one run per process at a time (the model handle is kept between runs). */
#ifndef LONGANIM_ENGINE_ENGINE_H
#define LONGANIM_ENGINE_ENGINE_H

#include "base/config.h"
#include "base/err.h"
#include "base/hash.h"
#include "job/params.h"
#include "media/media.h"

#include <stdbool.h>
#include <stdint.h>

#define ENGINE_MODELS_MAX 16
#define ENGINE_PATH_MAX 1024

struct engine;

struct engine_conf {
    /* "name=dir[,name=dir…]", the first is the default; "" = the shipped model, if it is there. dir "null:OPTIONS"
     * selects the null back end; its options may contain commas. Borrowed until engine_free. */
    const char *models;
    const char *device; /* "auto", "cpu", "cuda", "cuda:N" */
    const char *dtype;  /* "auto", "f32", "bf16"; NULL = auto */
    int64_t vram_budget_bytes;
    int32_t threads;
    bool low_memory; /* after an OOM: run within half of what the model plans for */
    struct media_limits limits;
};

/* One entry of the list of models. */
struct engine_model {
    char name[64];
    char backend[16]; /* "longanimation" or "null" */
    char dir[ENGINE_PATH_MAX];
};
/* Reads a list of models (see engine_conf). Returns how many, or -1: params_invalid, or model_error when the list is
 * empty and no model is shipped. */
int engine_models_parse(const char *text, struct engine_model out[ENGINE_MODELS_MAX], struct err *e);

/* The limits of media that the settings name; time to decode whole videos, not only to look at them. */
void engine_limits(struct media_limits *out, const struct config *c);

/* Loads libmodel_shim.so from beside the program; models are opened when first used. */
int engine_new(struct engine **out, const struct engine_conf *c, struct err *e);
void engine_free(struct engine *g);

/* Opens every model and describes those that can be opened, as a JSON object: name -> description. Borrowed until the
 * engine is freed. model_error naming the first trouble when none can. */
const char *engine_describe(struct engine *g, struct err *e);

struct engine_segment {
    int32_t n, segments;
    int64_t first_frame;
    int32_t frames;
    char path[ENGINE_PATH_MAX], sha256[HASH_HEX_SIZE]; /* lossless video */
    int64_t bytes;
    char state_path[ENGINE_PATH_MAX], state_sha256[HASH_HEX_SIZE]; /* "" = none */
    int64_t state_bytes;
};

struct engine_plan {
    /* Of everything that decides the segments' bytes: parameters, model, device, input hashes, build. */
    char hash[HASH_HEX_SIZE];
    int32_t segments, steps, width, height; /* network size */
    int64_t frames;                         /* of the result */
};

/* Files that may come with a result: the palette of every snapped shot, the others with output.planes. What there is
 * says the receipt, with size and SHA-256. */
enum { ENGINE_PALETTE, ENGINE_LINE, ENGINE_PAINT, ENGINE_REGIONS, ENGINE_CONFIDENCE, ENGINE_SHEET, ENGINE_ARTIFACTS };
struct engine_artifact {
    const char *name, *content_type;
};
extern const struct engine_artifact engine_artifacts[ENGINE_ARTIFACTS];

struct engine_result {
    char path[ENGINE_PATH_MAX], sha256[HASH_HEX_SIZE], content_type[48];
    int64_t bytes, frames;
    int32_t width, height;
    char preview_path[ENGINE_PATH_MAX];
    int32_t artifacts; /* bit per ENGINE_*; the files lie in artifact_dir under their names */
    char artifact_dir[ENGINE_PATH_MAX];
    char receipt_path[ENGINE_PATH_MAX]; /* JSON: what the engine knows; the worker adds ids, times and epochs */
};

struct engine_progress {
    const char *stage; /* "decode", "load", "text", "memory", "encode", "diffusion", "vae", "render" */
    int32_t fraction_ppm, segments_done, segments_total, step, steps;
    int64_t frames_done;
    int64_t eta_low_ms, eta_high_ms; /* -1 = unknown */
};

struct engine_job {
    const char *video_path;
    const char *reference_paths[4];
    int reference_count;
    const char *palette_path, *timesheet_path; /* NULL = none */
    const struct job_params *params;           /* seed set */
    const char *work_dir;                      /* exists; everything is written below it */
    const char *result_path;                   /* NULL = "<work_dir>/result.<ext>" */
    void *user;
    /* All may be NULL. All return non-zero to stop the run with canceled_by_user. */

    /* The plan is made. *keep and *keep_count may be set to the segments 0..n-1 of a plan with this hash that were
     * committed before; the files lie on local disk, and both array and files stay until the run returns. What does
     * not match its SHA-256 is made again. */
    int (*on_plan)(void *user, const struct engine_plan *plan, const struct engine_segment **keep, int *keep_count);
    int (*on_progress)(void *user, const struct engine_progress *p);
    int (*on_segment)(void *user, const struct engine_segment *s); /* the files stay until the run returns */
    int (*on_preview)(void *user, const char *jpeg_path);          /* replaced by the next one */
};

/* Runs the job to its end. Errors: media_*, params_invalid, model_unknown, model_error, gpu_oom, gpu_fault, nan_output,
 * encode_failed, storage_full, canceled_by_user, internal. */
int engine_run(struct engine *g, const struct engine_job *j, struct engine_result *out, struct err *e);

#endif
