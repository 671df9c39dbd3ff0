/* train.h - training a model's networks; everything the C service may know about it.
 *
 *   mdl_trainer *t;  struct mdl_error err;
 *   struct mdl_train_settings s;  mdl_train_settings_init(&s, sizeof s, MDL_TRAIN_SKETCH);
 *   if (mdl_train_open(&t, "models/mine", "work", &s, NULL, &err)) die(err.text);   // goes on where work/ stopped
 *   struct mdl_train_hooks r = {.size = sizeof r, .on_sample = load, .on_step = note};
 *   if (mdl_train_run(t, &r, &err)) die(err.text);                                  // MDL_ECANCELED: stopped, saved
 *   if (mdl_train_export(t, "models/better", MDL_STORE_F16, &err)) die(err.text);
 *   mdl_train_close(t);
 *
 * Threads, ownership and errors are those of model.h. A run can be stopped after every step and goes on from its last
 * checkpoint with the numbers that it would have had: on the CPU, with the same number of threads, bit for bit.
 * Everything random depends on the seed and on the number of the step alone. */
#ifndef MDL_TRAIN_H
#define MDL_TRAIN_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdl_trainer mdl_trainer;

enum {
    MDL_TRAIN_VAE = 0, /* pixels -> latents -> pixels */
    MDL_TRAIN_SKETCH =
        1, /* SketchDiT (and the transformer of a small model): a segment from its lines and a reference */
    MDL_TRAIN_MEMORY = 2, /* the memory module: the same behind a history */
    MDL_TRAIN_REWARD = 3  /* consistency of colour, rewarded on whole samplings */
};
enum { MDL_OPTIMIZER_ADAMW = 0, MDL_OPTIMIZER_MUON = 1 }; /* Muon: matrices of blocks; AdamW for the rest */
enum { MDL_SCHEDULE_CONSTANT = 0, MDL_SCHEDULE_LINEAR = 1, MDL_SCHEDULE_COSINE = 2 };
enum { MDL_TIMES_UNIFORM = 0, MDL_TIMES_HIGH = 1 };                /* high: density rises with the time step */
enum { MDL_REWARD_SCORE = 0, MDL_REWARD_DIRECT = 1 };              /* score function, or through the last step */
enum { MDL_STORE_F32 = 0, MDL_STORE_F16 = 1, MDL_STORE_BF16 = 2 }; /* of exported weights */

struct mdl_train_settings {
    uint32_t size; /* set by mdl_train_settings_init; fields are only ever appended */
    int32_t stage;
    const char *parts;     /* comma-separated, see mdl_train_describe; "" = the stage's own */
    int32_t width, height; /* of the samples, multiples of 16; 0 = the model's */
    int32_t frames;        /* of a sample, 8n+1 (stage vae: any); 0 = the model's segment */
    int64_t steps;
    int32_t batch, accumulate; /* samples of one pass; passes of one step */
    int32_t optimizer, schedule;
    double learning_rate, final_share; /* at the end of the schedule: learning_rate * final_share */
    int64_t warmup_steps;
    double flat_share;                       /* of the steps before the schedule begins to fall */
    double beta1, beta2, weight_decay, clip; /* clip: largest norm of the gradient; 0 = none */
    double ema;                              /* decay of the averaged weights; 0 = none */
    uint64_t seed;
    int32_t recompute;        /* switch: blocks keep their inputs only */
    int32_t autocast;         /* switch: products in bfloat16 */
    int64_t checkpoint_steps; /* between two checkpoints; 0 = only at the end */
    /* stages sketch, memory, reward */
    const char *prompt;
    double prompt_dropout; /* share of samples that see the empty prompt */
    int32_t times;
    double pure_noise_share, pad_weight; /* of samples at the last time step; of the padding frame in the loss */
    /* stage vae */
    double vae_mse, vae_l1, vae_gradient, vae_kl,
        vae_line_share;              /* share of samples that are lines, weighted threefold */
    int32_t crop_width, crop_height; /* multiples of 8; 0 = whole frames */
    /* stage reward */
    int32_t reward_kind, reward_steps, reward_group, reward_taken; /* samplings compared; steps of each learnt from */
};

/* What one sample is made of. Pixels are packed as in model.h, at the size of the samples. */
struct mdl_train_sample {
    const uint8_t *color;           /* frames x height x width x 3 */
    const uint8_t *lines;           /* frames x height x width, grey, dark lines on paper */
    const uint8_t *reference;       /* height x width x 3 */
    const uint8_t *reference_lines; /* height x width */
    const uint8_t *history;         /* history_frames x height x width x 3, the frames before; NULL = none */
    int32_t history_frames;
    const char *prompt; /* NULL = the settings' */
};

struct mdl_train_step {
    int64_t step, steps; /* step: done so far */
    double loss, gradient_norm, learning_rate;
    double reward;       /* stage reward, else 0 */
    int32_t taken;       /* 0: the gradient was not finite and the step was left out */
    int32_t saved;       /* a checkpoint was written after it */
    double seconds;      /* of this step, waiting for samples included */
    double data_seconds; /* waiting for samples */
};

/* Sample `item` (0..batch*accumulate-1) of a step; the same for the same numbers. Pixels are borrowed until the next
 * call. Non-zero stops the run with MDL_EINVAL. */
typedef int (*mdl_train_sample_fn)(void *user, int64_t step, int32_t item, struct mdl_train_sample *out);
/* After every step. Non-zero stops the run: a checkpoint is written and MDL_ECANCELED returned. */
typedef int (*mdl_train_step_fn)(void *user, const struct mdl_train_step *s);

struct mdl_train_hooks {
    uint32_t size; /* sizeof, set by the caller */
    mdl_train_sample_fn on_sample;
    mdl_train_step_fn on_step;
    void *user;
};

/* The defaults of a stage. */
MDL_API void mdl_train_settings_init(struct mdl_train_settings *s, uint32_t size, int32_t stage) MDL_NOEXCEPT;

/* Opens a model folder for training. `work` holds the checkpoint (state.json and a safetensors file); it is made when
 * it is missing, and a run in it goes on when it was made with the same settings (under the constant schedule the
 * number of steps may change). NULL: nothing is kept. */
MDL_API int mdl_train_open(mdl_trainer **out, const char *model, const char *work, const struct mdl_train_settings *s,
                           const struct mdl_options *o, struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

/* JSON object: stage, step, steps, width, height, frames, history (does the stage need frames before), parts (name,
 * parameters, trained), every part name that settings.parts knows, bytes of weights, gradients and optimiser. Borrowed
 * until mdl_train_close. */
MDL_API const char *mdl_train_describe(mdl_trainer *t) MDL_NOEXCEPT;

/* Lines of colour frames by the model's line-art network: frames x height x width, 0 or 255. Sizes as the samples'. */
MDL_API int mdl_train_lines(mdl_trainer *t, const uint8_t *rgb, int32_t frames, uint8_t *lines,
                            struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

MDL_API int mdl_train_run(mdl_trainer *t, const struct mdl_train_hooks *r,
                          struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

/* Writes a model folder: trained networks with their averaged weights (if there are any), everything else as it was. */
MDL_API int mdl_train_export(mdl_trainer *t, const char *folder, int32_t store,
                             struct mdl_error *err) MDL_NOEXCEPT MDL_CHECKED;

MDL_API void mdl_train_close(mdl_trainer *t) MDL_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
