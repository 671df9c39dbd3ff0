/* engine_int.h - what the files of this folder share: the handle, and the state of the one run. */
#ifndef LONGANIM_ENGINE_ENGINE_INT_H
#define LONGANIM_ENGINE_ENGINE_INT_H

#include "engine/drawings.h"
#include "engine/engine.h"
#include "engine/eta.h"
#include "engine/model_lib.h"
#include "paint/exposure.h"
#include "paint/palette.h"

struct engine {
    struct engine_conf conf;
    struct model_lib lib;
    struct engine_model models[ENGINE_MODELS_MAX];
    mdl_model *open[ENGINE_MODELS_MAX];
    bool lowered[ENGINE_MODELS_MAX]; /* opened anew with less memory */
    int model_count;
    char *description;
};

/* The model of that name ("" = the first), opened. model_unknown, model_error, gpu_oom. */
int engine__model(struct engine *g, const char *name, mdl_model **out, const struct engine_model **out_row,
                  struct err *e);
/* Opens the model of this row anew with another budget. */
int engine__reopen(struct engine *g, const struct engine_model *row, int64_t vram_budget_bytes, mdl_model **out,
                   struct err *e);

/* One picture, packed RGB; owned. */
struct picture {
    uint8_t *rgb;
    int32_t width, height;
};

/* One run. Filled from top to bottom, each part by the stage that its comment names. */
struct engine__run {
    struct engine *g;
    const struct engine_job *job;

    /* survey: what the files are */
    struct media_info info;
    int32_t time_base_num, time_base_den;
    int64_t decoded;        /* frames of the input: counted, not believed */
    int64_t frames;         /* those that the networks see: one of each drawing */
    int64_t *pts;           /* per frame of the result, rising, in time_base */
    int64_t last_long;      /* duration of the last frame, in time_base */
    int64_t survey_ms;      /* what decoding every frame took */
    char **names;           /* per decoded frame for zips, else NULL */
    struct timesheet sheet; /* frames 0 = none */
    struct drawings drawings;
    struct exposure exposure; /* by the timesheet, or (from the plan on) of frames that are held; keep NULL = neither */
    struct palette *palette;  /* given by the user, or NULL; owned */
    char palette_sha256[HASH_HEX_SIZE], timesheet_sha256[HASH_HEX_SIZE];
    int64_t palette_bytes, timesheet_bytes;
    struct picture references[4];
    char video_sha256[HASH_HEX_SIZE], reference_sha256[4][HASH_HEX_SIZE];
    int64_t video_bytes, reference_bytes[4];
    int input_kind; /* MDL_INPUT_* */

    /* plan */
    mdl_model *model;
    const struct engine_model *model_row;
    struct mdl_params mdl;
    struct mdl_image images[4];
    struct engine_plan plan;
    int64_t skip_first; /* delivered frame i shows input frame i + skip_first */

    /* colour */
    struct engine_segment *segments; /* plan.segments of them; the first `done` are complete */
    int32_t done, kept;
    void *state; /* resume state; owned */
    struct media_reader *source;
    int64_t source_next;
    struct shot *history;
    struct media_writer *writer;
    struct eta eta;
    int32_t fraction_ppm;
    struct err trouble; /* of a callback, which can only say "stop" */

    /* render */
    const char *snapped; /* "none", "flat" or "smooth" */
    struct engine_result result;
};

/* Which frames the networks see, by the timesheet; prints: of as many frames as it has. */
int engine__expose(struct engine__run *r, const uint8_t *prints, struct err *e);
/* The same by what the survey found to be held, if the model is one that should not see a drawing twice. */
int engine__hold(struct engine__run *r, struct err *e);

/* Where the progress of the stages ends, in millionths of the whole. */
enum { SURVEY_PPM = 20000, RENDER_PPM = 950000 /* begins */, SNAP_PPM = 970000, WRITTEN_PPM = 995000 };

#define SNAP_COST 2 /* a drawing takes about as long to look at as two frames to paint and write */

/* The stages. */
int engine__survey(struct engine__run *r, struct err *e);
int engine__plan(struct engine__run *r, struct err *e);
int engine__colour(struct engine__run *r, struct err *e);
int engine__render(struct engine__run *r, struct err *e);
int engine__receipt(struct engine__run *r, struct err *e);

/* Tells the job's listener; canceled_by_user when it asks to stop. p's stage and steps are the caller's, the rest is
 * filled in here from r. */
int engine__progress(struct engine__run *r, const char *stage, int32_t fraction_ppm, int32_t step, int32_t steps,
                     int64_t frames_done, struct err *e);

/* "<work_dir>/<name>" into out. */
int engine__path(const struct engine__run *r, char out[ENGINE_PATH_MAX], const char *name, struct err *e);

/* Opens the input at its first frame; composites alpha over white when frames are read with engine__next. */
int engine__open_input(const struct engine__run *r, struct media_reader **out, struct err *e);
/* The next frame that the networks see as packed RGB in `rgb` (r's size). 1, 0 at the end, -1. */
int engine__next(const struct engine__run *r, struct media_reader *reader, uint8_t *rgb, struct media_frame *out,
                 struct err *e);

/* Contact sheet of `count` frames of the segments done so far, evenly spread from `first` to `last`. */
int engine__contact(struct engine__run *r, int64_t first, int64_t last, const char *path, struct err *e);

#endif
