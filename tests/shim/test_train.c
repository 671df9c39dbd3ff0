/* test_train.c - training through train.h on models/tiny_a: losses fall, runs go on exactly, what is refused. What an
 * exported folder holds is looked at in tests/cli/test_train.py. */
#include "support.h"
#include "tests/support/scratch.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <train.h>

#define MODEL "models/tiny_a"

enum { WIDTH = 48, HEIGHT = 32, FRAMES = 9, STEPS_MAX = 64 };

/* A square that moves over two fields of colour; every sample another place and other colours. */
struct drawing {
    uint8_t color[FRAMES * WIDTH * HEIGHT * 3], lines[FRAMES * WIDTH * HEIGHT];
    double losses[STEPS_MAX];
    double rewards[STEPS_MAX];
    int64_t first_asked; /* step of the first sample asked for */
    int steps, stop_after, saved;
    bool fixed; /* the same sample again and again */
};

static void draw(struct drawing *d, uint32_t seed)
{
    uint8_t colors[3][3];
    for (int i = 0; i < 9; i++)
        colors[i / 3][i % 3] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    int at = (int)(seed >> 20) % 12;
    memset(d->lines, 255, sizeof d->lines);
    for (int f = 0; f < FRAMES; f++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                int left = at + 2 * f, inside = x >= left && x < left + 14 && y >= 8 && y < 24;
                int edge = inside && (x == left || x == left + 13 || y == 8 || y == 23);
                size_t p = (size_t)((f * HEIGHT + y) * WIDTH + x);
                memcpy(d->color + 3 * p, colors[inside ? 0 : 1 + (y >= 16)], 3);
                if (edge || y == 16)
                    d->lines[p] = 0;
            }
}

static int on_sample(void *user, int64_t step, int32_t item, struct mdl_train_sample *out)
{
    struct drawing *d = user;
    if (d->first_asked < 0)
        d->first_asked = step;
    draw(d, d->fixed ? 7u + (uint32_t)item : (uint32_t)(step * 16 + item));
    *out = (struct mdl_train_sample){
        .color = d->color, .lines = d->lines, .reference = d->color, .reference_lines = d->lines};
    return 0;
}

static int on_step(void *user, const struct mdl_train_step *s)
{
    struct drawing *d = user;
    assert_true(s->step >= 1 && s->step <= STEPS_MAX);
    d->losses[s->step - 1] = s->loss;
    d->rewards[s->step - 1] = s->reward;
    d->saved += s->saved;
    d->steps++;
    return d->steps == d->stop_after;
}

static struct mdl_train_settings settings(int32_t stage, int64_t steps)
{
    struct mdl_train_settings s;
    mdl_train_settings_init(&s, sizeof s, stage);
    s.steps = steps;
    s.frames = FRAMES;
    s.warmup_steps = 0;
    s.schedule = MDL_SCHEDULE_CONSTANT;
    s.batch = 2;
    return s;
}

static int train(struct drawing *d, const char *work, const struct mdl_train_settings *s)
{
    struct mdl_train_hooks hooks = {.size = sizeof hooks, .on_sample = on_sample, .on_step = on_step, .user = d};
    struct mdl_error err = {0};
    struct mdl_options options;
    mdl_trainer *t = NULL;
    d->first_asked = -1;
    d->steps = 0;
    mdl_options_init(&options, sizeof options);
    options.threads = 1; /* tensors this small are slower on two */
    if (mdl_train_open(&t, MODEL, work, s, &options, &err) != MDL_OK)
        fail_msg("%s", err.text);
    int rc = mdl_train_run(t, &hooks, &err);
    if (rc != MDL_OK && rc != MDL_ECANCELED)
        fail_msg("%s", err.text);
    mdl_train_close(t);
    return rc;
}

static double mean(const double *values, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    return sum / count;
}

static void assert_falls(struct drawing *d, const struct mdl_train_settings *s, double by)
{
    assert_int_equal(train(d, NULL, s), MDL_OK);
    double before = mean(d->losses, 4), after = mean(d->losses + s->steps - 4, 4);
    if (!(after < before * by))
        fail_msg("the loss went from %g to %g", before, after);
}

static void the_vae_learns(void **state)
{
    (void)state;
    struct drawing d = {.fixed = true};
    struct mdl_train_settings s = settings(MDL_TRAIN_VAE, 24);
    s.learning_rate = 3e-3;
    assert_falls(&d, &s, 0.8);
}

static void the_networks_learn_to_answer(void **state)
{
    (void)state;
    static const struct {
        int32_t optimizer, recompute, autocast;
    } ways[] = {{MDL_OPTIMIZER_ADAMW, 0, 0}, {MDL_OPTIMIZER_MUON, 1, 0}, {MDL_OPTIMIZER_MUON, 0, 1}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct drawing d = {.fixed = true};
        struct mdl_train_settings s = settings(MDL_TRAIN_SKETCH, 24);
        s.parts = "transformer,sketch_dit";
        s.learning_rate = 3e-3;
        s.pure_noise_share = 1;
        s.optimizer = ways[i].optimizer;
        s.recompute = ways[i].recompute;
        s.autocast = ways[i].autocast;
        assert_falls(&d, &s, 0.8);
    }
}

/* Keeping only the blocks' inputs changes nothing but time and memory. */
static void recomputing_gives_the_same_losses(void **state)
{
    (void)state;
    struct drawing a = {0}, b = {0};
    struct mdl_train_settings s = settings(MDL_TRAIN_SKETCH, 3);
    s.learning_rate = 1e-3;
    train(&a, NULL, &s);
    s.recompute = 1;
    train(&b, NULL, &s);
    assert_memory_equal(a.losses, b.losses, 3 * sizeof *a.losses);
}

static void a_stopped_run_goes_on_exactly(void **state)
{
    (void)state;
    static const struct {
        int32_t stage, optimizer;
        const char *parts;
    } runs[] = {{MDL_TRAIN_VAE, MDL_OPTIMIZER_ADAMW, "vae"},
                {MDL_TRAIN_SKETCH, MDL_OPTIMIZER_MUON, "transformer.blocks,sketch_dit"}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        char work[256];
        struct drawing whole = {0}, parts = {0};
        struct mdl_train_settings s = settings(runs[i].stage, 6);
        s.parts = runs[i].parts;
        s.optimizer = runs[i].optimizer;
        s.accumulate = 2;
        s.batch = 1;
        s.learning_rate = 1e-3;
        s.schedule = MDL_SCHEDULE_COSINE;
        assert_int_equal(train(&whole, NULL, &s), MDL_OK);
        assert_int_equal(make_scratch(work, sizeof work), 0);
        parts.stop_after = 3;
        assert_int_equal(train(&parts, work, &s), MDL_ECANCELED);
        parts.stop_after = 0;
        assert_int_equal(train(&parts, work, &s), MDL_OK);
        assert_int_equal(parts.first_asked, 3);
        assert_memory_equal(whole.losses, parts.losses, 6 * sizeof *whole.losses);
        assert_int_equal(train(&parts, work, &s), MDL_OK); /* nothing left to do */
        assert_int_equal(parts.steps, 0);
    }
}

static void both_ways_of_reward_move_the_weights(void **state)
{
    (void)state;
    for (int32_t kind = MDL_REWARD_SCORE; kind <= MDL_REWARD_DIRECT; kind++) {
        struct drawing d = {.fixed = true};
        struct mdl_train_settings s = settings(MDL_TRAIN_REWARD, 10);
        s.reward_kind = kind;
        s.parts = "transformer,sketch_dit";
        s.reward_steps = 3;
        s.reward_group = 3;
        s.reward_taken = 2;
        s.batch = 1;
        s.learning_rate = 3e-3;
        assert_int_equal(train(&d, NULL, &s), MDL_OK);
        for (int i = 0; i < 10; i++)
            assert_true(isfinite(d.losses[i]) && d.rewards[i] < 0);
        if (kind == MDL_REWARD_DIRECT)
            assert_true(mean(d.rewards + 7, 3) > mean(d.rewards, 3));
    }
}

static void open_refuses(const struct mdl_train_settings *s, const char *work, const char *because)
{
    struct mdl_error err = {0};
    mdl_trainer *t = NULL;
    assert_int_equal(mdl_train_open(&t, MODEL, work, s, NULL, &err), MDL_EINVAL);
    assert_null(t);
    if (!strstr(err.text, because))
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
}

static void what_cannot_be_trained_is_refused(void **state)
{
    (void)state;
    struct mdl_train_settings s = settings(MDL_TRAIN_SKETCH, 1);
    s.parts = "sketch_dit,lineart";
    open_refuses(&s, NULL, "lineart");
    s.parts = "vae";
    open_refuses(&s, NULL, "no use for vae");
    s = settings(MDL_TRAIN_SKETCH, 1);
    s.frames = 10;
    open_refuses(&s, NULL, "frames");
    s = settings(MDL_TRAIN_SKETCH, 1);
    s.width = 160;
    s.height = 96;
    open_refuses(&s, NULL, "rotary");
    s = settings(MDL_TRAIN_MEMORY, 1);
    open_refuses(&s, NULL, "video encoder");
    s = settings(MDL_TRAIN_VAE, 1);
    s.crop_width = 12;
    s.crop_height = 8;
    open_refuses(&s, NULL, "crop");
    s = settings(MDL_TRAIN_SKETCH, 0);
    open_refuses(&s, NULL, "steps");
    s = settings(MDL_TRAIN_SKETCH, 1);
    s.size--;
    open_refuses(&s, NULL, "size");
}

static void a_checkpoint_of_other_settings_is_not_gone_on_with(void **state)
{
    (void)state;
    char work[256];
    struct drawing d = {0};
    struct mdl_train_settings s = settings(MDL_TRAIN_VAE, 1);
    assert_int_equal(make_scratch(work, sizeof work), 0);
    assert_int_equal(train(&d, work, &s), MDL_OK);
    s.learning_rate *= 2;
    open_refuses(&s, work, "other settings");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vae_learns),
        cmocka_unit_test(the_networks_learn_to_answer),
        cmocka_unit_test(recomputing_gives_the_same_losses),
        cmocka_unit_test(a_stopped_run_goes_on_exactly),
        cmocka_unit_test(both_ways_of_reward_move_the_weights),
        cmocka_unit_test(what_cannot_be_trained_is_refused),
        cmocka_unit_test(a_checkpoint_of_other_settings_is_not_gone_on_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
