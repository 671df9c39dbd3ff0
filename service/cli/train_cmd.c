/* longanim train: a model's networks on shots of one's own. What is read, when, and what is written down of it; the
 * training itself is behind train.h. */
#include "cli/commands.h"
#include "cli/train_options.h"

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
    struct train_options o;
    struct mdl_train_settings settings;
    struct model_lib lib;
    mdl_trainer *trainer;
    json_t *about;
    struct train_shots shots;
    struct loader *loader;
    struct journal *journal;
    struct cli_progress progress;
    struct err loader_error, journal_error;
    double losses, rewards; /* since the last line */
    int64_t losses_count, started_step;
};

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
    if (model_lib_compute(config->device, config->dtype, &o, e) != 0 ||
        train_options_settings(&c->o, &c->lib, &c->settings, e) != 0)
        return -1;
    const char *work = c->o.dry_run ? NULL : c->o.work;
    if (model_lib_check(c->lib.train_open(&c->trainer, c->o.model, work, &c->settings, &o, &why), &why, e) != 0)
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
    cli_progress_count(&c->progress, "reading shots", done, total);
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
    enum train_lines lines;
    if (train_options_lines(&c->o, &lines, e) != 0 || (!c->o.cache && fs_join(cache, c->o.work, "cache", e)))
        return -1;
    struct train_shots_conf conf = {
        .data = c->o.data,
        .cache = c->o.cache ? c->o.cache : cache,
        .width = (int32_t)about_int(c, "width"),
        .height = (int32_t)about_int(c, "height"),
        .min_frames = train_pick_min_frames((enum train_stage)c->settings.stage, about_int(c, "frames")),
        .threads = (int)c->o.loaders,
        .lines = lines,
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
                                        .history_max = c->o.history_frames,
                                        .reference_anywhere = c->o.reference_anywhere,
                                        .mirror = c->o.mirror,
                                        .mirror_alone = c->o.mirror_reference},
                               .items = c->settings.batch * c->settings.accumulate,
                               .first_step = c->started_step,
                               .last_step = c->settings.steps,
                               .threads = (int)c->o.loaders,
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
        json_put_real(line, "reward", c->rewards / (double)c->losses_count);
    json_put_real(line, "learning_rate", s->learning_rate);
    json_put_real(line, "gradient_norm", s->gradient_norm);
    json_put_real(line, "seconds", s->seconds);
    json_put_real(line, "data_seconds", s->data_seconds);
    json_put_int(line, "peak_mb", usage.ru_maxrss / 1024);
    if (!s->taken)
        json_put_bool(line, "left_out", true);
    if (s->saved)
        json_put_bool(line, "checkpoint", true);
    c->losses = c->rewards = 0;
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
        c->rewards += s->reward;
        c->losses_count++;
    }
    show_step(c, s);
    bool due = s->step % c->o.log_steps == 0 || s->saved || s->step == s->steps;
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
    if (journal_open(&c->journal, c->o.work, e) != 0 || write_start(c, e) != 0)
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
    int32_t store;
    if (!c->o.out)
        return 0;
    if (train_options_store(&c->o, &store, e) != 0)
        return -1;
    return model_lib_check(c->lib.train_export(c->trainer, c->o.out, store, &why), &why, e);
}

static int run(struct train_cmd *c, const struct config *config, struct err *e)
{
    if (open_trainer(c, config, e) != 0)
        return -1;
    if (c->o.dry_run) {
        char *text = json_dumps(c->about, JSON_INDENT(2));
        puts(text);
        free(text);
        return 0;
    }
    if (open_shots(c, config, e) != 0 || open_loader(c, e) != 0 || train(c, e) != 0)
        return -1;
    return export_model(c, e);
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
    struct train_cmd c = {0};
    struct cli_args a;
    struct err e = {0};
    int status = train_options_read(&c.o, &a, argc, argv);
    if (status < 0) {
        cli_catch_interrupts();
        cli_progress_init(&c.progress);
        status = cli_end(&c.progress, run(&c, &a.config, &e) != 0, &e);
    }
    train_cmd_fini(&c);
    cli_args_free(&a);
    return status;
}
