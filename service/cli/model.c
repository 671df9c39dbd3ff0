/* The commands that talk to the model library alone: `model check` and `parity`. */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/json.h"
#include "engine/model_lib.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_library(const struct config *c, struct model_lib *lib, struct mdl_options *o, struct err *e)
{
    if (model_lib_open(lib, e) != 0)
        return -1;
    lib->options_init(o, sizeof *o);
    o->threads = (int32_t)c->threads;
    o->vram_budget_bytes = c->vram_budget;
    return model_lib_compute(c->device, c->dtype, o, e);
}

/* ---- model check ---- */

/* The shot whose memory is asked for; what is not given is the model's own. */
struct shot {
    const char *size;
    int64_t frames;
    bool fast;
};

static int read_shot(const struct shot *s, struct mdl_params *out, struct err *e)
{
    char end;
    if (s->size && (sscanf(s->size, "%5" SCNd32 "x%5" SCNd32 "%c", &out->width, &out->height, &end) != 2 ||
                    out->width < 16 || out->height < 16 || out->width % 16 || out->height % 16))
        return err_set(e, ERR_params_invalid, "--size is \"%.40s\", not WIDTHxHEIGHT in multiples of 16", s->size);
    if (s->frames < 0 || s->frames > 1 << 24)
        return err_set(e, ERR_params_invalid, "--frames is not 1 to %d", 1 << 24);
    out->input_width = out->width;
    out->input_height = out->height;
    out->frames = s->frames;
    out->speed = s->fast ? MDL_SPEED_FAST : MDL_SPEED_EXACT;
    return 0;
}

static int check(const struct config *c, const char *dir, const struct shot *s)
{
    struct model_lib lib = {0};
    struct mdl_options o;
    struct mdl_params p;
    struct mdl_error why = {0};
    struct err e = {0};
    const char *report = NULL;
    int32_t problems = 0;
    if (open_library(c, &lib, &o, &e) != 0 || (lib.params_init(&p, sizeof p), read_shot(s, &p, &e)) != 0 ||
        model_lib_check(lib.check(dir, &p, &o, &report, &problems, &why), &why, &e) != 0) {
        cli_complain(&e);
        return e.code == ERR_params_invalid ? CLI_USAGE : CLI_FAILED;
    }
    json_t *object = json_parse(report, strlen(report), ERR_model_error, &e);
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    printf("%s\n", text ? text : report);
    free(text);
    json_decref(object);
    if (problems > 0)
        fprintf(stderr, "longanim: %s: %d problem%s\n", dir, problems, problems == 1 ? "" : "s");
    return problems > 0 ? CLI_FAILED : CLI_DONE;
}

int cli_model(int argc, char **argv)
{
    struct cli_args a;
    struct shot shot = {0};
    const struct cli_option options[] = {
        {"--size", 0, CLI_TEXT, &shot.size, "WxH", "network size of the shot whose memory is told (the model's)"},
        {"--frames", 0, CLI_INT, &shot.frames, "N", "its frames (one segment)"},
        {"--fast", 0, CLI_SWITCH, &shot.fast, NULL, "with speed \"fast\", which needs a little more"},
    };
    const struct cli_usage usage = {
        .name = "model",
        .positional = "check DIR",
        .text = "Says what a model folder is, what it needs in memory per phase, and what is wrong with it: every "
                "tensor is\n"
                "checked by name, shape and type, without reading the numbers. Exit status 1 when something is wrong.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_TOOL,
        .min_rest = 2,
        .max_rest = 2,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0 && strcmp(a.rest[0], "check") != 0) {
        fprintf(stderr, "longanim model: there is no \"%s\", only \"check\"\n", a.rest[0]);
        status = CLI_USAGE;
    }
    if (status < 0)
        status = check(&a.config, a.rest[1], &shot);
    cli_args_free(&a);
    return status;
}

/* ---- parity ---- */

static int on_line(void *user, const char *line)
{
    (void)user;
    puts(line);
    fflush(stdout);
    return cli_interrupted();
}

static int parity(const struct cli_args *a)
{
    struct model_lib lib = {0};
    struct mdl_options o;
    struct mdl_error why = {0};
    struct err e = {0};
    int32_t passed = 0, failed = 0, skipped = 0;
    cli_catch_interrupts();
    if (open_library(&a->config, &lib, &o, &e) != 0 ||
        model_lib_check(lib.parity((const char *const *)a->rest, a->rest_count, &o, on_line, NULL, &passed, &failed,
                                   &skipped, &why),
                        &why, &e) != 0) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        cli_complain(&e);
        return e.code == ERR_params_invalid ? CLI_USAGE : CLI_FAILED;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0 ? CLI_FAILED : CLI_DONE;
}

int cli_parity(int argc, char **argv)
{
    struct cli_args a;
    const struct cli_usage usage = {
        .name = "parity",
        .positional = "PATH…",
        .text = "Checks this build and this device against golden numbers: golden JSON files, model folders with "
                "expected/,\n"
                "or folders of these. A line per check, then the counts; exit status 1 on a failure.",
        .config = CONFIG_TOOL,
        .min_rest = 1,
        .max_rest = 4096,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0)
        status = parity(&a);
    cli_args_free(&a);
    return status;
}
