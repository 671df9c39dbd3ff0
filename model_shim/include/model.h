/* model.h - everything the C service may know about the model.
 *
 *   mdl_model *m;  struct mdl_error err;
 *   struct mdl_options o;  mdl_options_init(&o, sizeof o);
 *   if (mdl_open(&m, "longanimation", "models/demo", &o, &err)) die(err.text);
 *   struct mdl_params p;   mdl_params_init(&p, sizeof p);
 *   p.input_width = 1280; p.input_height = 720; p.frames = 96; p.on_source = read_frame; p.on_frames = keep; …
 *   if (mdl_run(m, &p, &err)) die(err.text);
 *   mdl_close(m);
 *
 * Threads:   one handle, one thread at a time; different handles are independent. Callbacks run on the thread
 *            that called mdl_run.
 * Ownership: pointers passed in are borrowed for the call; pointers passed to a callback are borrowed for the
 *            callback. Only mdl_open gives you something to free, and mdl_close frees it (NULL is fine).
 * Errors:    0 or a negative MDL_E*; on error `err` (NULL is fine) holds a sentence for the log, and every
 *            out-parameter is left as it was. Nothing is ever thrown, and the handle stays usable after every
 *            code but MDL_EDEVICE.
 * No tensor crosses this boundary; frames are packed 8-bit RGB, rows top to bottom, without padding. */
#ifndef MDL_MODEL_H
#define MDL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define MDL_NOEXCEPT noexcept
extern "C" {
#else
#define MDL_NOEXCEPT
#endif

#if defined(__GNUC__)
#define MDL_API __attribute__((visibility("default")))
#define MDL_CHECKED __attribute__((warn_unused_result))
#else
#define MDL_API
#define MDL_CHECKED
#endif

#define MDL_ABI 1u

enum {
    MDL_OK = 0,
    MDL_EINVAL = -1,    /* the caller's parameters; never retry */
    MDL_EWEIGHTS = -2,  /* missing, truncated or unexpected tensor or file of the model folder; never retry */
    MDL_ENOMEM = -3,    /* host or device memory; may fit later, smaller, or with another plan */
    MDL_EDEVICE = -4,   /* the device context is gone: restart the process */
    MDL_ECANCELED = -5, /* a callback asked to stop */
    MDL_EINTERNAL = -6, /* a bug on the C++ side */
    MDL_ENAN = -7       /* the networks produced values that are not numbers */
};

struct mdl_error {
    int32_t code;
    char text[508];
};

typedef struct mdl_model mdl_model;

enum { MDL_DEVICE_AUTO = 0, MDL_DEVICE_CPU = 1, MDL_DEVICE_CUDA = 2 };
enum { MDL_DTYPE_AUTO = 0, MDL_DTYPE_F32 = 1, MDL_DTYPE_BF16 = 2 }; /* auto: f32 on cpu, bf16 on cuda */

struct mdl_options {
    uint32_t size; /* set by mdl_options_init; fields are only ever appended */
    int32_t device, device_index;
    int32_t dtype;
    int32_t threads;           /* 0 = as many as there are cores */
    int64_t vram_budget_bytes; /* 0 = all of the device; picks the plan of phases */
};

enum { MDL_PROFILE_COMPLETE = 0, MDL_PROFILE_REFERENCE = 1 };
enum { MDL_INPUT_LINEART = 0, MDL_INPUT_COLOR = 1 }; /* ready lines, or colour frames whose lines are extracted */
enum { MDL_STRATEGY_GLOBAL = 0, MDL_STRATEGY_AUTOREGRESSIVE = 1 };
enum { MDL_INJECT_DEFAULT = 0, MDL_INJECT_SKIP_LAYER, MDL_INJECT_FULL, MDL_INJECT_FORMER_HALF, MDL_INJECT_LATTER_HALF };
enum { MDL_SPEED_EXACT = 0, MDL_SPEED_FAST = 1 };

enum { MDL_STAGE_LOAD = 0, MDL_STAGE_TEXT, MDL_STAGE_MEMORY, MDL_STAGE_ENCODE, MDL_STAGE_DIFFUSION, MDL_STAGE_DECODE };

struct mdl_progress {
    int32_t stage;             /* MDL_STAGE_* */
    int32_t segment, segments; /* 0-based; total of this run, resumed ones included */
    int32_t step, steps;       /* within the stage; step runs 0..steps */
    int64_t frames_done;       /* frames delivered so far, resumed ones included */
};

struct mdl_segment {
    int32_t index, segments;
    int64_t first_frame; /* index in the delivered video */
    int32_t frames;      /* delivered by this segment */
    const void *state;   /* opaque; what the next segment needs besides the delivered frames */
    uint64_t state_size_bytes;
};

/* Fills rgb with input frame `index` (input_width x input_height x 3). Indices rise by one per call; on a resumed
 * run the first one asked for is the first frame of the first segment still to do. Non-zero stops the run. */
typedef int (*mdl_source_fn)(void *user, int64_t index, uint8_t *rgb);
/* A reference image at its own size. */
struct mdl_image {
    const uint8_t *rgb;
    int32_t width, height;
};
/* Delivers frames first_frame..first_frame+n-1 of the video at network size, in order. Non-zero stops the run. */
typedef int (*mdl_frames_fn)(void *user, const uint8_t *rgb, int64_t first_frame, int32_t n, int32_t width,
                             int32_t height);
/* A segment is complete: all its frames were delivered. Non-zero stops the run. */
typedef int (*mdl_segment_fn)(void *user, const struct mdl_segment *s);
/* Fills rgb with the already delivered frame `index` at network size, exactly as it was delivered. Asked only when
 * a run is resumed. Non-zero stops the run. */
typedef int (*mdl_history_fn)(void *user, int64_t index, uint8_t *rgb);
/* Called at least once per denoising step. Non-zero asks the run to stop; it stops before the next step. */
typedef int (*mdl_progress_fn)(void *user, const struct mdl_progress *p);

struct mdl_params {
    uint32_t size; /* set by mdl_params_init; fields are only ever appended */
    int32_t input_width, input_height;
    int64_t frames;        /* input frames, >= 1 */
    int32_t width, height; /* network size, multiples of 16; 0 = native area at the input's aspect ratio */
    int32_t steps;         /* 0 = the model's */
    float guidance_scale;  /* < 0 = the model's; 1 = no guidance */
    float control_scale;   /* < 0 = the model's */
    uint64_t seed;
    const char *prompt, *negative_prompt; /* UTF-8, never NULL */
    int32_t profile, input_kind, reference_strategy, injection, speed;
    int32_t memory_global, memory_local;               /* switches */
    int32_t memory_global_frames, memory_local_frames; /* 0 = the model's */
    int32_t fusion;                                    /* switch */
    int32_t fusion_first_step;                         /* < 0 = the model's; >= steps means none */
    const struct mdl_image *references;
    int32_t reference_count;  /* 1..4; the first one is the reference of the released model */
    int32_t resume_segment;   /* first segment to do; 0 = a fresh run */
    const void *resume_state; /* `state` of segment resume_segment-1, exactly as delivered */
    uint64_t resume_state_size_bytes;
    mdl_source_fn on_source;
    mdl_frames_fn on_frames;
    mdl_segment_fn on_segment;
    mdl_history_fn on_history;
    mdl_progress_fn on_progress; /* may be NULL */
    void *user;
};

/* What a run with these parameters will be. No weights are touched. */
struct mdl_plan {
    uint32_t size;         /* set by the caller to sizeof */
    int32_t width, height; /* network size */
    int32_t segments, segment_frames, stride_frames;
    int64_t output_frames; /* equals `frames` in profile complete */
    int32_t steps;
    int64_t host_bytes, device_bytes; /* peak need */
};

MDL_API uint32_t mdl_abi(void) MDL_NOEXCEPT;
MDL_API const char *mdl_version(void) MDL_NOEXCEPT; /* "longanim x.y.z torch a.b.c"; static */
MDL_API void mdl_options_init(struct mdl_options *o, uint32_t size) MDL_NOEXCEPT;
MDL_API void mdl_params_init(struct mdl_params *p, uint32_t size) MDL_NOEXCEPT;

/* Opens a model. `backend`: "longanimation" (dir = a model folder), "null" (dir = options such as
 * "delay_ms=20,segment=25,overlap=16,width=96,height=64,steps=4"; "" for the defaults). Weights are mapped and
 * checked, not yet read. */
MDL_API int mdl_open(mdl_model **out, const char *backend, const char *dir, const struct mdl_options *o,
                     struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

/* JSON object describing the model: name, backend, native width and height, segment_frames, overlap_frames, steps,
 * guidance_scale, control_scale, injection, fusion_first_step, memory (false: no video encoder, so segments remember
 * nothing), references_used, device, dtype, sha256 of the whole and per component (of samples of the files), parameters
 * and bytes of components, licences. Borrowed from the handle until mdl_close. */
MDL_API const char *mdl_describe(mdl_model *m) MDL_NOEXCEPT;

MDL_API int mdl_plan_run(mdl_model *m, const struct mdl_params *p, struct mdl_plan *out,
                         struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;
MDL_API int mdl_run(mdl_model *m, const struct mdl_params *p, struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;
MDL_API void mdl_close(mdl_model *m) MDL_NOEXCEPT;

/* Runs golden files, model folders with expected/, or folders of these. One line per check goes to on_line (without
 * newline); the counts are set on return. Non-zero from on_line stops. */
typedef int (*mdl_line_fn)(void *user, const char *line);
MDL_API int mdl_parity(const char *const *paths, int32_t count, const struct mdl_options *o, mdl_line_fn on_line,
                       void *user, int32_t *passed, int32_t *failed, int32_t *skipped,
                       struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

/* Checks a model folder (manifest, every tensor by name, shape and type) and writes a JSON report into a buffer that
 * the model side owns until the next call on this thread: what is wrong (`problems` counts it), components, licences,
 * and the memory that the run which `p` describes needs per phase (NULL: one segment at the model's own size). */
MDL_API int mdl_check(const char *dir, const struct mdl_params *p, const struct mdl_options *o, const char **report,
                      int32_t *problems, struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
