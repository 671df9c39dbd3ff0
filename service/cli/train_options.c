#include "cli/train_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- words ---- */

struct name {
    const char *name;
    int32_t value;
};

static const struct name stage_names[] = {{"vae", MDL_TRAIN_VAE},
                                          {"sketch", MDL_TRAIN_SKETCH},
                                          {"memory", MDL_TRAIN_MEMORY},
                                          {"reward", MDL_TRAIN_REWARD},
                                          {NULL, 0}};
static const struct name optimizer_names[] = {{"adamw", MDL_OPTIMIZER_ADAMW}, {"muon", MDL_OPTIMIZER_MUON}, {NULL, 0}};
static const struct name schedule_names[] = {
    {"constant", MDL_SCHEDULE_CONSTANT}, {"linear", MDL_SCHEDULE_LINEAR}, {"cosine", MDL_SCHEDULE_COSINE}, {NULL, 0}};
static const struct name times_names[] = {{"uniform", MDL_TIMES_UNIFORM}, {"high", MDL_TIMES_HIGH}, {NULL, 0}};
static const struct name reward_names[] = {{"score", MDL_REWARD_SCORE}, {"direct", MDL_REWARD_DIRECT}, {NULL, 0}};
static const struct name store_names[] = {
    {"f32", MDL_STORE_F32}, {"f16", MDL_STORE_F16}, {"bf16", MDL_STORE_BF16}, {NULL, 0}};
static const struct name lines_names[] = {{"auto", TRAIN_LINES_AUTO},
                                          {"given", TRAIN_LINES_GIVEN},
                                          {"network", TRAIN_LINES_NETWORK},
                                          {"borders", TRAIN_LINES_BORDERS},
                                          {NULL, 0}};

/* *out stays as it is when nothing was given. */
static int choose(const struct name *names, const char *flag, const char *text, int32_t *out, struct err *e)
{
    char all[128] = "";
    if (!text)
        return 0;
    for (const struct name *n = names; n->name; n++) {
        if (strcmp(n->name, text) == 0) {
            *out = n->value;
            return 0;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", n->name);
    }
    return err_set(e, ERR_params_invalid, "%s is \"%s\", not one of %s", flag, text, all);
}

static int read_size(const char *flag, const char *text, int32_t *width, int32_t *height, struct err *e)
{
    char rest;
    if (text && (sscanf(text, "%dx%d%c", width, height, &rest) != 2 || *width < 1 || *height < 1))
        return err_set(e, ERR_params_invalid, "%s is \"%s\", not WIDTHxHEIGHT", flag, text);
    return 0;
}

int train_options_lines(const struct train_options *o, enum train_lines *out, struct err *e)
{
    int32_t lines = TRAIN_LINES_AUTO;
    if (choose(lines_names, "--lines", o->lines, &lines, e) != 0)
        return -1;
    *out = (enum train_lines)lines;
    return 0;
}

int train_options_store(const struct train_options *o, int32_t *out, struct err *e)
{
    *out = MDL_STORE_F16;
    return choose(store_names, "--store", o->store, out, e);
}

/* ---- settings ---- */

static int32_t count_of(int64_t value, int32_t usual)
{
    return value < 0 ? usual : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

int train_options_settings(const struct train_options *o, const struct model_lib *lib, struct mdl_train_settings *out,
                           struct err *e)
{
    struct mdl_train_settings *s = out;
    int32_t stage = MDL_TRAIN_SKETCH;
    if (choose(stage_names, "--stage", o->stage, &stage, e) != 0)
        return -1;
    lib->train_settings_init(s, sizeof *s, stage);
    if (choose(optimizer_names, "--optimizer", o->optimizer, &s->optimizer, e) != 0 ||
        choose(schedule_names, "--schedule", o->schedule, &s->schedule, e) != 0 ||
        choose(times_names, "--times", o->times, &s->times, e) != 0 ||
        choose(reward_names, "--reward", o->reward, &s->reward_kind, e) != 0 ||
        read_size("--size", o->size, &s->width, &s->height, e) != 0 ||
        read_size("--crop", o->crop, &s->crop_width, &s->crop_height, e) != 0)
        return -1;
    s->parts = o->parts ? o->parts : s->parts;
    s->prompt = o->prompt ? o->prompt : s->prompt;
    s->autocast = o->autocast;
    s->recompute = o->recompute;
#define TRAIN_COUNT(field, flag, doc) s->field = count_of(o->field, s->field);
#define TRAIN_STEPS(field, flag, doc) s->field = o->field < 0 ? s->field : (__typeof__(s->field))o->field;
#define TRAIN_REAL(field, flag, doc) s->field = isnan(o->field) ? s->field : o->field;
#include "cli/train_options_table.h"
    return 0;
}

/* ---- arguments ---- */

static int check(const struct train_options *o)
{
    struct err e = {0};
    enum train_lines lines;
    int32_t store;
    if (!o->model || (!o->dry_run && (!o->data || !o->work)))
        err_set(&e, ERR_params_invalid, "--model, --data and --work are needed");
    else if (o->log_steps < 1 || o->loaders < 1 || o->history_frames < 1)
        err_set(&e, ERR_params_invalid, "--log-steps, --loaders and --history-frames are at least 1");
    else if (train_options_lines(o, &lines, &e) == 0 && train_options_store(o, &store, &e) == 0)
        return -1;
    cli_complain(&e);
    return CLI_USAGE;
}

int train_options_read(struct train_options *out, struct cli_args *args, int argc, char **argv)
{
    struct train_options o = {
#define TRAIN_COUNT(field, flag, doc) .field = -1,
#define TRAIN_STEPS(field, flag, doc) .field = -1,
#define TRAIN_REAL(field, flag, doc) .field = NAN,
#define TRAIN_OWN_COUNT(field, flag, fallback, doc) .field = fallback,
#define TRAIN_OWN_SHARE(field, flag, fallback, doc) .field = fallback,
#include "cli/train_options_table.h"
    };
    const struct cli_option options[] = {
#define TRAIN_TEXT(field, flag, letter, value, doc) {flag, letter, CLI_TEXT, &o.field, value, doc},
#define TRAIN_SWITCH(field, flag, doc) {flag, 0, CLI_SWITCH, &o.field, NULL, doc},
#define TRAIN_COUNT(field, flag, doc) {flag, 0, CLI_INT, &o.field, "N", doc},
#define TRAIN_STEPS(field, flag, doc) {flag, 0, CLI_INT, &o.field, "N", doc},
#define TRAIN_REAL(field, flag, doc) {flag, 0, CLI_REAL, &o.field, "X", doc},
#define TRAIN_OWN_COUNT(field, flag, fallback, doc) {flag, 0, CLI_INT, &o.field, "N", doc},
#define TRAIN_OWN_SHARE(field, flag, fallback, doc) {flag, 0, CLI_REAL, &o.field, "X", doc},
#include "cli/train_options_table.h"
    };
    const struct cli_usage usage = {
        .name = "train",
        .positional = "",
        .text = "Trains a model's networks in stages: vae, then sketch (SketchDiT), memory, reward. Stops cleanly on "
                "SIGINT and\nSIGTERM and goes on when called again. docs/train.md has an example.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_TOOL,
    };
    int status = cli_args(args, &usage, argc, argv);
    if (status < 0)
        status = check(&o);
    *out = o;
    return status;
}
