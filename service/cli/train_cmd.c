/* longanim train: a model's networks on shots of one's own. What is read, when, and what is written down of it; the
 * training itself is behind train.h. */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/fs.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/model_lib.h"
#include "train/journal.h"
#include "train/loader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct train_cmd {
    const char *model, *data, *work, *out, *cache, *stage, *lines, *store, *size;
    const char *parts, *optimizer, *schedule, *times, *prompt, *reward;
    const char *crop;
    int64_t steps, batch, accumulate, frames, warmup, seed, checkpoint_steps, log_steps, loaders, history_frames;
    int64_t reward_steps, reward_group, reward_taken;
    double learning_rate, final_share, flat_share, beta1, beta2, weight_decay, clip, ema, prompt_dropout;
    double pure_noise_share, pad_weight, line_share, reference_anywhere, mirror, mirror_reference;
    bool autocast, recompute, dry_run;

    struct mdl_train_settings settings;
    struct model_lib lib;
    mdl_trainer *trainer;
    json_t *about;
    struct train_shots shots;
    struct loader *loader;
    struct journal *journal;
    struct cli_progress progress;
    struct err loader_error, journal_error;
    double losses; /* since the last line */
    int64_t losses_count, started_step;
};

/* ---- settings ---- */

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

static int32_t count_of(int64_t value, int32_t usual)
{
    return value < 0 ? usual : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static double real_of(double value, double usual)
{
    return isnan(value) ? usual : value;
}

/* The stage's defaults, and over them what was given. */
static int make_settings(struct train_cmd *c, struct err *e)
{
    struct mdl_train_settings *s = &c->settings;
    int32_t stage = MDL_TRAIN_SKETCH;
    if (choose(stage_names, "--stage", c->stage, &stage, e) != 0)
        return -1;
    c->lib.train_settings_init(s, sizeof *s, stage);
    if (choose(optimizer_names, "--optimizer", c->optimizer, &s->optimizer, e) != 0 ||
        choose(schedule_names, "--schedule", c->schedule, &s->schedule, e) != 0 ||
        choose(times_names, "--times", c->times, &s->times, e) != 0 ||
        choose(reward_names, "--reward", c->reward, &s->reward_kind, e) != 0 ||
        read_size("--size", c->size, &s->width, &s->height, e) != 0 ||
        read_size("--crop", c->crop, &s->crop_width, &s->crop_height, e) != 0)
        return -1;
    s->parts = c->parts ? c->parts : s->parts;
    s->prompt = c->prompt ? c->prompt : s->prompt;
    s->frames = count_of(c->frames, s->frames);
    s->steps = c->steps < 0 ? s->steps : c->steps;
    s->batch = count_of(c->batch, s->batch);
    s->accumulate = count_of(c->accumulate, s->accumulate);
    s->learning_rate = real_of(c->learning_rate, s->learning_rate);
    s->final_share = real_of(c->final_share, s->final_share);
    s->flat_share = real_of(c->flat_share, s->flat_share);
    s->warmup_steps = c->warmup < 0 ? s->warmup_steps : c->warmup;
    s->beta1 = real_of(c->beta1, s->beta1);
    s->beta2 = real_of(c->beta2, s->beta2);
    s->weight_decay = real_of(c->weight_decay, s->weight_decay);
    s->clip = real_of(c->clip, s->clip);
    s->ema = real_of(c->ema, s->ema);
    s->seed = c->seed < 0 ? s->seed : (uint64_t)c->seed;
    s->autocast = c->autocast;
    s->recompute = c->recompute;
    s->checkpoint_steps = c->checkpoint_steps < 0 ? s->checkpoint_steps : c->checkpoint_steps;
    s->prompt_dropout = real_of(c->prompt_dropout, s->prompt_dropout);
    s->pure_noise_share = real_of(c->pure_noise_share, s->pure_noise_share);
    s->pad_weight = real_of(c->pad_weight, s->pad_weight);
    s->vae_line_share = real_of(c->line_share, s->vae_line_share);
    s->reward_steps = count_of(c->reward_steps, s->reward_steps);
    s->reward_group = count_of(c->reward_group, s->reward_group);
    s->reward_taken = count_of(c->reward_taken, s->reward_taken);
    return 0;
}

/* ---- opening ---- */

static int open_trainer(struct train_cmd *c, const struct config *config, struct err *e)
{
    struct mdl_options o;
    struct mdl_error why = {0};
    if (model_lib_open(&c->lib, e) != 0)
        return -1;
    c->lib.options_init(&o, sizeof o);
    o.threads = (int32_t)config->threads;
    o.vram_budget_bytes = config->vram_budget;
    if (model_lib_compute(config->device, config->dtype, &o, e) != 0 || make_settings(c, e) != 0)
        return -1;
    const char *work = c->dry_run ? NULL : c->work;
    if (model_lib_check(c->lib.train_open(&c->trainer, c->model, work, &c->settings, &o, &why), &why, e) != 0)
        return -1;
    const char *text = c->lib.train_describe(c->trainer);
    c->about = json_parse(text, strlen(text), ERR_internal, e);
    return c->about ? 0 : -1;
}

static int64_t about_int(const struct train_cmd *c, const char *key)
{
    int64_t value = 0;
    json_need_int(c->about, key, &value, NULL);
    return value;
}

static int on_shot(void *user, const char *name, const struct err *why, int done, int total)
{
    struct train_cmd *c = user;
    cli_progress_bytes(&c->progress, "reading shots", done, total);
    if (why) {
        cli_progress_clear(&c->progress);
        fprintf(stderr, "longanim: %s is left out: %s\n", name, why->detail);
    }
    return cli_interrupted();
}

static int network_lines(void *user, const uint8_t *rgb, int32_t frames, uint8_t *lines, struct err *e)
{
    struct train_cmd *c = user;
    struct mdl_error why = {0};
    if (cli_interrupted())
        return err_set(e, ERR_canceled_by_user, "interrupted");
    return model_lib_check(c->lib.train_lines(c->trainer, rgb, frames, lines, &why), &why, e);
}

/* Flat paint: a pixel is line where it differs from its neighbour to the right or below. */
static int border_lines(void *user, const uint8_t *rgb, int32_t frames, uint8_t *lines, struct err *e)
{
    enum { DIFFERENT = 24 };
    const struct train_shots *s = &((struct train_cmd *)user)->shots;
    (void)e;
    for (int64_t y = 0; y < (int64_t)frames * s->height; y++)
        for (int64_t x = 0; x < s->width; x++) {
            const uint8_t *here = rgb + (y * s->width + x) * 3;
            const uint8_t *right = x + 1 < s->width ? here + 3 : here;
            const uint8_t *below = (y + 1) % s->height ? here + 3 * s->width : here;
            bool line = false;
            for (int k = 0; k < 3; k++)
                line = line || abs(here[k] - right[k]) > DIFFERENT || abs(here[k] - below[k]) > DIFFERENT;
            lines[y * s->width + x] = line ? 0 : 255;
        }
    return 0;
}

static int open_shots(struct train_cmd *c, const struct config *config, struct err *e)
{
    char cache[FS_PATH_MAX];
    int32_t lines = TRAIN_LINES_AUTO;
    if (choose(lines_names, "--lines", c->lines, &lines, e) != 0 || (!c->cache && fs_join(cache, c->work, "cache", e)))
        return -1;
    struct train_shots_conf conf = {
        .data = c->data,
        .cache = c->cache ? c->cache : cache,
        .width = (int32_t)about_int(c, "width"),
        .height = (int32_t)about_int(c, "height"),
        .min_frames = train_pick_min_frames((enum train_stage)c->settings.stage, about_int(c, "frames")),
        .threads = (int)c->loaders,
        .lines = (enum train_lines)lines,
        .user = c,
        .on_shot = on_shot};
    engine_limits(&conf.limits, config);
    if (train_shots_open(&c->shots, &conf, e) != 0)
        return -1;
    cli_progress_clear(&c->progress);
    return train_shots_extract(&c->shots, lines == TRAIN_LINES_BORDERS ? border_lines : network_lines, c, e);
}

static void on_bad(void *user, const char *shot, const struct err *why)
{
    (void)user;
    fprintf(stderr, "longanim: %s is not used any more: %s\n", shot, why->detail);
}

static int open_loader(struct train_cmd *c, struct err *e)
{
    c->started_step = about_int(c, "step");
    struct loader_conf conf = {.shots = &c->shots,
                               .pick = {.stage = (enum train_stage)c->settings.stage,
                                        .seed = c->settings.seed,
                                        .frames = about_int(c, "frames"),
                                        .history_max = c->history_frames,
                                        .reference_anywhere = c->reference_anywhere,
                                        .mirror = c->mirror,
                                        .mirror_alone = c->mirror_reference},
                               .items = c->settings.batch * c->settings.accumulate,
                               .first_step = c->started_step,
                               .last_step = c->settings.steps,
                               .threads = (int)c->loaders,
                               .ahead = 2 * c->settings.batch * c->settings.accumulate,
                               .on_bad = on_bad};
    return loader_new(&c->loader, &conf, e);
}

/* ---- running ---- */

static int on_sample(void *user, int64_t step, int32_t item, struct mdl_train_sample *out)
{
    struct train_cmd *c = user;
    struct loader_sample s;
    if (loader_get(c->loader, step, item, &s, &c->loader_error) != 0)
        return -1;
    *out = (struct mdl_train_sample){.color = s.color,
                                     .lines = s.lines,
                                     .reference = s.reference,
                                     .reference_lines = s.reference_lines,
                                     .history = s.history,
                                     .history_frames = s.history_frames,
                                     .prompt = s.prompt};
    return 0;
}

static int write_step(struct train_cmd *c, const struct mdl_train_step *s)
{
    struct rusage usage;
    json_t *line = json_object();
    getrusage(RUSAGE_SELF, &usage);
    json_put_str(line, "event", "step");
    json_put_int(line, "step", s->step);
    json_put_real(line, "loss", c->losses / (double)c->losses_count);
    if (c->settings.stage == MDL_TRAIN_REWARD)
        json_put_real(line, "reward", s->reward);
    json_put_real(line, "learning_rate", s->learning_rate);
    json_put_real(line, "gradient_norm", s->gradient_norm);
    json_put_real(line, "seconds", s->seconds);
    json_put_real(line, "data_seconds", s->data_seconds);
    json_put_int(line, "peak_mb", usage.ru_maxrss / 1024);
    if (!s->taken)
        json_put_bool(line, "left_out", true);
    if (s->saved)
        json_put_bool(line, "checkpoint", true);
    c->losses = 0;
    c->losses_count = 0;
    return journal_add(c->journal, line, &c->journal_error);
}

static void show_step(struct train_cmd *c, const struct mdl_train_step *s)
{
    char text[128];
    double left = s->seconds * (double)(s->steps - s->step);
    snprintf(text, sizeof text, "loss %.4f", s->loss);
    struct cli_state state = {.state = "training",
                              .stage = text,
                              .fraction = (double)s->step / (double)s->steps,
                              .step = s->step,
                              .steps = s->steps,
                              .eta_low_s = left,
                              .eta_high_s = left};
    if (c->progress.bar)
        cli_progress_show(&c->progress, &state);
}

static int on_step(void *user, const struct mdl_train_step *s)
{
    struct train_cmd *c = user;
    if (isfinite(s->loss)) {
        c->losses += s->loss;
        c->losses_count++;
    }
    show_step(c, s);
    bool due = s->step % c->log_steps == 0 || s->saved || s->step == s->steps;
    if (due && c->losses_count > 0 && write_step(c, s) != 0)
        return -1;
    if (s->saved && journal_plot(c->journal, &c->journal_error) != 0)
        return -1;
    return cli_interrupted();
}

static int write_start(struct train_cmd *c, struct err *e)
{
    json_t *line = json_object();
    json_put_str(line, "event", c->started_step ? "resume" : "start");
    json_put_int(line, "shots", c->shots.count);
    json_put_int(line, "shots_left_out", c->shots.bad);
    json_put(line, "run", json_incref(c->about));
    return journal_add(c->journal, line, e);
}

static int train(struct train_cmd *c, struct err *e)
{
    struct mdl_train_hooks hooks = {.size = sizeof hooks, .on_sample = on_sample, .on_step = on_step, .user = c};
    struct mdl_error why = {0};
    if (journal_open(&c->journal, c->work, e) != 0 || write_start(c, e) != 0)
        return -1;
    int rc = c->lib.train_run(c->trainer, &hooks, &why);
    cli_progress_clear(&c->progress);
    if (c->loader_error.code != ERR_none || c->journal_error.code != ERR_none) {
        *e = c->loader_error.code != ERR_none ? c->loader_error : c->journal_error;
        return -1;
    }
    if (journal_plot(c->journal, e) != 0)
        return -1;
    return model_lib_check(rc, &why, e);
}

static int export_model(struct train_cmd *c, struct err *e)
{
    struct mdl_error why = {0};
    int32_t store = MDL_STORE_F16;
    if (!c->out)
        return 0;
    if (choose(store_names, "--store", c->store, &store, e) != 0)
        return -1;
    return model_lib_check(c->lib.train_export(c->trainer, c->out, store, &why), &why, e);
}

static int run(struct train_cmd *c, const struct config *config, struct err *e)
{
    int32_t ignored = 0;
    if (choose(store_names, "--store", c->store, &ignored, e) != 0 || open_trainer(c, config, e) != 0)
        return -1;
    if (c->dry_run) {
        char *text = json_dumps(c->about, JSON_INDENT(2));
        puts(text);
        free(text);
        return 0;
    }
    if (open_shots(c, config, e) != 0 || open_loader(c, e) != 0 || train(c, e) != 0)
        return -1;
    return export_model(c, e);
}

static int check_usage(const struct train_cmd *c)
{
    struct err e = {0};
    if (!c->model || (!c->dry_run && (!c->data || !c->work)))
        err_set(&e, ERR_params_invalid, "--model, --data and --work are needed");
    else if (c->log_steps < 1 || c->loaders < 1 || c->history_frames < 1)
        err_set(&e, ERR_params_invalid, "--log-steps, --loaders and --history-frames are at least 1");
    else
        return -1;
    cli_complain(&e);
    return CLI_USAGE;
}

static void train_cmd_fini(struct train_cmd *c)
{
    loader_free(c->loader);
    journal_close(c->journal);
    train_shots_free(&c->shots);
    json_decref(c->about);
    if (c->trainer)
        c->lib.train_close(c->trainer);
}

int cli_train(int argc, char **argv)
{
    struct train_cmd c = {.steps = -1,
                          .batch = -1,
                          .accumulate = -1,
                          .frames = -1,
                          .warmup = -1,
                          .seed = -1,
                          .checkpoint_steps = -1,
                          .log_steps = 10,
                          .loaders = 2,
                          .history_frames = 650,
                          .reward_steps = -1,
                          .reward_group = -1,
                          .reward_taken = -1,
                          .learning_rate = NAN,
                          .final_share = NAN,
                          .flat_share = NAN,
                          .beta1 = NAN,
                          .beta2 = NAN,
                          .weight_decay = NAN,
                          .clip = NAN,
                          .ema = NAN,
                          .prompt_dropout = NAN,
                          .pure_noise_share = NAN,
                          .pad_weight = NAN,
                          .line_share = NAN,
                          .reference_anywhere = 0.3,
                          .mirror = 0.5,
                          .mirror_reference = 0.1};
    struct cli_args a;
    struct err e = {0};
    const struct cli_option options[] = {
        {"--model", 0, CLI_TEXT, &c.model, "DIR", "the model that is trained on; it stays as it is"},
        {"--data", 0, CLI_TEXT, &c.data, "DIR",
         "shots: videos, zips or folders of frames; NAME.lines.* beside them is their line art, NAME.txt their prompt"},
        {"--work", 0, CLI_TEXT, &c.work, "DIR",
         "checkpoint, log.jsonl, loss.svg; a run in it goes on where it stopped"},
        {"--out", 'o', CLI_TEXT, &c.out, "DIR", "write the trained model there at the end"},
        {"--stage", 0, CLI_TEXT, &c.stage, "NAME", "vae, sketch, memory or reward (sketch)"},
        {"--parts", 0, CLI_TEXT, &c.parts, "LIST",
         "what trains, separated by commas, e.g. transformer,sketch_dit; --dry-run lists all (the stage's own)"},
        {"--dry-run", 0, CLI_SWITCH, &c.dry_run, NULL, "only say what would train, and how large it is"},
        {"--size", 0, CLI_TEXT, &c.size, "WxH", "of the samples, multiples of 16 (the model's)"},
        {"--frames", 0, CLI_INT, &c.frames, "N", "of a sample, 8n+1 (the model's segment)"},
        {"--steps", 0, CLI_INT, &c.steps, "N", "steps in all (1000)"},
        {"--batch", 0, CLI_INT, &c.batch, "N", "samples of one pass (vae 4, sketch 2, else 1)"},
        {"--accumulate", 0, CLI_INT, &c.accumulate, "N", "passes of one step (1)"},
        {"--optimizer", 0, CLI_TEXT, &c.optimizer, "NAME", "adamw, or muon for the matrices of blocks (adamw)"},
        {"--learning-rate", 0, CLI_REAL, &c.learning_rate, "X", "(vae 1e-4, reward 1e-5, else 5e-5)"},
        {"--schedule", 0, CLI_TEXT, &c.schedule, "NAME", "constant, linear or cosine (cosine)"},
        {"--warmup", 0, CLI_INT, &c.warmup, "N", "steps over which the rate rises (100)"},
        {"--flat", 0, CLI_REAL, &c.flat_share, "X", "share of the steps before the rate falls (0)"},
        {"--final", 0, CLI_REAL, &c.final_share, "X", "share of the rate that is left at the end (0.02)"},
        {"--beta1", 0, CLI_REAL, &c.beta1, "X", "(0.9)"},
        {"--beta2", 0, CLI_REAL, &c.beta2, "X", "(0.98)"},
        {"--weight-decay", 0, CLI_REAL, &c.weight_decay, "X", "(0.01)"},
        {"--clip", 0, CLI_REAL, &c.clip, "X", "largest norm of the gradient, 0 = any (1)"},
        {"--ema", 0, CLI_REAL, &c.ema, "X", "decay of the averaged weights, 0 = none (0.998; reward 0)"},
        {"--seed", 0, CLI_INT, &c.seed, "N", "of everything random (1)"},
        {"--recompute", 0, CLI_SWITCH, &c.recompute, NULL,
         "keep only the blocks' inputs: less memory, a third more time"},
        {"--autocast", 0, CLI_SWITCH, &c.autocast, NULL, "products in bfloat16"},
        {"--checkpoint-steps", 0, CLI_INT, &c.checkpoint_steps, "N", "between checkpoints (500)"},
        {"--log-steps", 0, CLI_INT, &c.log_steps, "N", "between lines of the log (10)"},
        {"--lines", 0, CLI_TEXT, &c.lines, "HOW",
         "given, network (the model's), borders (of flat paint), or auto: given where there are any, else network"},
        {"--cache", 0, CLI_TEXT, &c.cache, "DIR", "decoded frames, raw (WORK/cache)"},
        {"--loaders", 0, CLI_INT, &c.loaders, "N", "threads that read shots (2)"},
        {"--prompt", 0, CLI_TEXT, &c.prompt, "TEXT", "of shots without one of their own"},
        {"--prompt-dropout", 0, CLI_REAL, &c.prompt_dropout, "X", "share of samples with the empty prompt (0.1)"},
        {"--reference-anywhere", 0, CLI_REAL, &c.reference_anywhere, "X",
         "share of references from the whole shot instead of the segment (0.3)"},
        {"--mirror", 0, CLI_REAL, &c.mirror, "X", "share of samples that are mirrored (0.5)"},
        {"--mirror-reference", 0, CLI_REAL, &c.mirror_reference, "X", "share whose reference is mirrored alone (0.1)"},
        {"--times", 0, CLI_TEXT, &c.times, "HOW", "time steps: uniform, or high: the more the noisier (uniform)"},
        {"--pure-noise", 0, CLI_REAL, &c.pure_noise_share, "X", "share of samples at the last time step (0.25)"},
        {"--pad-weight", 0, CLI_REAL, &c.pad_weight, "X", "of the padding frame in the loss (0.4)"},
        {"--history-frames", 0, CLI_INT, &c.history_frames, "N", "stage memory: frames before at most (650)"},
        {"--crop", 0, CLI_TEXT, &c.crop, "WxH", "stage vae: parts of the samples, multiples of 8 (whole)"},
        {"--line-share", 0, CLI_REAL, &c.line_share, "X", "stage vae: share of samples that are lines (0.35)"},
        {"--reward", 0, CLI_TEXT, &c.reward, "HOW", "stage reward: score, or direct through the last step (score)"},
        {"--reward-steps", 0, CLI_INT, &c.reward_steps, "N", "denoising steps of a sampling (30)"},
        {"--reward-group", 0, CLI_INT, &c.reward_group, "N", "samplings that are compared (4)"},
        {"--reward-taken", 0, CLI_INT, &c.reward_taken, "N", "steps of a sampling that are learnt from (4)"},
        {"--store", 0, CLI_TEXT, &c.store, "TYPE", "f32, f16 or bf16: the trained weights in --out (f16)"},
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
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0)
        status = check_usage(&c);
    if (status < 0) {
        cli_catch_interrupts();
        cli_progress_init(&c.progress);
        status = run(&c, &a.config, &e) == 0 ? CLI_DONE : cli_interrupted() ? CLI_INTERRUPTED : cli_exit_of(e.code);
        cli_progress_clear(&c.progress);
        if (status != CLI_DONE && status != CLI_INTERRUPTED)
            cli_complain(&e);
    }
    train_cmd_fini(&c);
    cli_args_free(&a, &usage);
    return status;
}
