/* params.h - the parameters of a job: one table from which come the parser, the defaults, the form fields, the
 * command-line flags, `--help`, GET /capabilities and the JSON that is shown back.
 * Pure: no I/O, no clock; drawing a seed is the caller's business. Source: the HTTP contract, POST /jobs. */
#ifndef LONGANIM_JOB_PARAMS_H
#define LONGANIM_JOB_PARAMS_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define PARAMS_TEXT_MAX 2000
#define PARAMS_PLACE_MAX 300
#define PARAMS_GAP_MAX 32

enum params_profile { PROFILE_COMPLETE, PROFILE_REFERENCE };
enum params_input { INPUT_AUTO, INPUT_LINEART, INPUT_COLOR };
enum params_strategy { STRATEGY_GLOBAL, STRATEGY_AUTOREGRESSIVE };
enum params_injection { INJECT_DEFAULT, INJECT_SKIP_LAYER, INJECT_FULL, INJECT_FORMER_HALF, INJECT_LATTER_HALF };
enum params_format { FORMAT_MP4, FORMAT_MOV, FORMAT_WEBM, FORMAT_PNG_ZIP };
enum params_snap { SNAP_AUTO, SNAP_NONE, SNAP_REGION };
enum params_background { BACKGROUND_KEEP, BACKGROUND_TRANSPARENT };
enum params_speed { SPEED_EXACT, SPEED_FAST };

struct job_params {
    int32_t fps_num, fps_den; /* zip inputs only */
    char model[64];           /* "" = the server's first */
    char prompt[PARAMS_TEXT_MAX + 1], negative_prompt[PARAMS_TEXT_MAX + 1];
    bool has_seed;
    int64_t seed;                                             /* 0..2^63-1 */
    int32_t steps;                                            /* 0 = the model's */
    double guidance_scale;                                    /* < 0 = the model's */
    int profile, input, reference_strategy, injection, speed; /* enums above */
    double control_scale;                                     /* < 0 = the model's */
    bool memory_global, memory_local;
    int32_t memory_global_frames, memory_local_frames; /* 0 = the model's */
    bool fusion_enabled;
    int32_t fusion_first_step; /* < 0 = the model's */
    int32_t width, height;     /* 0 = auto */
    int output_format, output_snap, background;
    bool output_planes;
    char output_to[PARAMS_PLACE_MAX + 1]; /* "" = nowhere but the service's own store */
    char trace_lines[24];                 /* "red,blue"; "" = none */
    int32_t gap;                          /* pixels; -1 = by the frame's size */
    int32_t priority;                     /* 0..9 */
    json_t *tags;                         /* object of strings; owned; never NULL after params_init */
};

void params_init(struct job_params *p); /* the defaults */
void params_free(struct job_params *p);

/* Applies a JSON object on top of what is there. Unknown names: params_invalid naming the nearest known one; null,
 * wrong type or range: params_invalid with the field as JSON pointer. On failure *p is half applied and only fit for
 * params_free. */
int params_apply_json(struct job_params *p, const json_t *object, struct err *e);

/* Applies one scalar given as text, as a form field or flag gives it; dotted names reach into objects
 * ("output.format", "tags.shot"). "size" is "auto" or "WIDTHxHEIGHT", or comes as size.width and size.height. */
int params_apply_text(struct job_params *p, const char *name, const char *value, struct err *e);

/* What only the whole can tell; call once after everything was applied. params_invalid. */
int params_check(const struct job_params *p, struct err *e);

/* Is this dotted name a parameter? */
bool params_known(const char *name);

/* The known name nearest to this one. Static. */
const char *params_nearest(const char *name);

/* Does this object already give the parameter of this dotted name, in whole or in part? For fields given twice. */
bool params_given(const json_t *object, const char *name);

/* Puts the model's values where none were given: name, steps, guidance_scale, control_scale, injection,
 * memory_global_frames, memory_local_frames and fusion_first_step of its description, as far as it has them. */
void params_fill(struct job_params *p, const json_t *model);

/* As applied, defaults filled in; what is the model's and was not filled is left out. New reference. Round-trips
 * through params_apply_json. */
json_t *params_json(const struct job_params *p);

/* Calls fn for every scalar parameter in table order: dotted name, type ("integer", "number", "string", "boolean" or
 * "a|b|c" for an enumeration), default as text ("" = the model's), one line of documentation. */
void params_each(void (*fn)(void *user, const char *name, const char *type, const char *fallback, const char *doc),
                 void *user);

#endif
