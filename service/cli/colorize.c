#include "cli/cli.h"
#include "cli/commands.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engine.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct colorize {
    const char *video, *out, *model, *receipt, *preview, *palette, *timesheet, *planes;
    struct cli_list references;
    bool misused; /* what is wrong is the settings, not the input */
    struct cli_progress progress;
    char work[FS_PATH_MAX], part[FS_PATH_MAX];
    char models[2 * FS_PATH_MAX];
};

/* ---- arguments ---- */

static const struct {
    const char *end;
    int format;
} endings[] = {{".mp4", FORMAT_MP4}, {".mov", FORMAT_MOV}, {".webm", FORMAT_WEBM}, {".zip", FORMAT_PNG_ZIP}};

static int choose_format(const struct colorize *c, struct cli_job *job, struct err *e)
{
    size_t length = strlen(c->out);
    bool given = cli_job_gives(job, "output.format");
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i].end);
        if (length <= end || strcasecmp(c->out + length - end, endings[i].end) != 0)
            continue;
        if (given && job->params.output_format != endings[i].format)
            return err_set(e, ERR_params_invalid, "the name %s and --output.format say different formats", c->out);
        job->params.output_format = endings[i].format;
        return 0;
    }
    return given ? 0 : err_set(e, ERR_params_invalid, "the name %s says no format; use --output.format", c->out);
}

/* The last component of a folder's path, as far as it makes a name. */
static void name_model(char *out, size_t size, const char *path)
{
    size_t end = strlen(path), n = 0;
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    for (size_t i = start; i < end && n + 1 < size; i++)
        if (isalnum((unsigned char)path[i]) || strchr("._-", path[i]))
            out[n++] = path[i];
    out[n] = 0;
    if (n == 0)
        snprintf(out, size, "model");
}

/* A name from --models, or a folder, or "null:OPTIONS". */
static int choose_model(struct colorize *c, struct cli_args *a, struct err *e)
{
    const char *models = a->config.models;
    bool null = c->model && strncmp(c->model, "null:", 5) == 0;
    struct stat st;
    if (!c->model || (!null && !strchr(c->model, '/') && stat(c->model, &st) != 0)) {
        if (c->model && text_copy(a->job.params.model, sizeof a->job.params.model, c->model) != 0)
            return err_set(e, ERR_params_invalid, "there is no model %s", c->model);
        return text_copy(c->models, sizeof c->models, models);
    }
    if (!null && (stat(c->model, &st) != 0 || !S_ISDIR(st.st_mode)))
        return err_set(e, ERR_params_invalid, "%s is not a model folder", c->model);
    if (strchr(c->model, ',') && !null)
        return err_set(e, ERR_params_invalid, "a model's path may not contain a comma");
    name_model(a->job.params.model, sizeof a->job.params.model, null ? "null" : c->model);
    snprintf(c->models, sizeof c->models, "%s=%s", a->job.params.model, c->model);
    return 0;
}

static int prepare(struct colorize *c, struct cli_args *a, struct err *e)
{
    char name[64], random[17];
    if (!c->video || !c->out || c->references.count == 0)
        return err_set(e, ERR_params_invalid, "--video, --reference and --out are needed");
    if (c->references.count > 4)
        return err_set(e, ERR_params_invalid, "there are more than four references");
    if (a->job.params.output_to[0])
        return err_set(e, ERR_params_invalid, "--output.to is for servers; here the result goes to --out");
    if (choose_format(c, &a->job, e) != 0 || choose_model(c, a, e) != 0)
        return -1;
    if (c->planes)
        a->job.params.output_planes = true;
    if (!a->job.params.has_seed) {
        a->job.params.has_seed = true;
        a->job.params.seed = id_random_seed();
    }
    id_random_hex(random, 8);
    snprintf(name, sizeof name, "longanim-%s", random);
    if (snprintf(c->part, sizeof c->part, "%s.%s.part", c->out, random) >= (int)sizeof c->part)
        return err_set(e, ERR_params_invalid, "the path of the result is too long");
    return fs_join(c->work, a->config.tmpdir, name, e) != 0 || fs_mkdirs(c->work, e) != 0 ? -1 : 0;
}

/* ---- the run ---- */

static int on_progress(void *user, const struct engine_progress *p)
{
    struct colorize *c = user;
    struct cli_state s = {.state = "running",
                          .stage = p->stage,
                          .fraction = p->fraction_ppm / 1e6,
                          .segments_done = p->segments_done,
                          .segments_total = p->segments_total,
                          .step = p->step,
                          .steps = p->steps,
                          .eta_low_s = (double)p->eta_low_ms / 1000,
                          .eta_high_s = (double)p->eta_high_ms / 1000};
    cli_progress_show(&c->progress, &s);
    return cli_interrupted();
}

static int run(struct colorize *c, struct cli_args *a, struct engine_result *out, struct err *e)
{
    struct engine *g = NULL;
    struct engine_conf conf = {.models = c->models,
                               .device = a->config.device,
                               .dtype = a->config.dtype,
                               .vram_budget_bytes = a->config.vram_budget,
                               .threads = (int32_t)a->config.threads};
    struct engine_job job = {.video_path = c->video,
                             .reference_count = c->references.count,
                             .palette_path = c->palette,
                             .timesheet_path = c->timesheet,
                             .params = &a->job.params,
                             .work_dir = c->work,
                             .result_path = c->part,
                             .user = c,
                             .on_progress = on_progress};
    for (int i = 0; i < c->references.count; i++)
        job.reference_paths[i] = c->references.items[i];
    engine_limits(&conf.limits, &a->config);
    int failed = engine_new(&g, &conf, e);
    c->misused = failed && e->code == ERR_params_invalid;
    if (!failed) {
        failed = engine_run(g, &job, out, e);
        c->misused = failed && e->code == ERR_model_unknown;
    }
    engine_free(g);
    return failed ? -1 : 0;
}

static int deliver_artifacts(const char *folder, const struct engine_result *r, struct err *e)
{
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    if (fs_mkdirs(folder, e) != 0)
        return -1;
    for (int i = 0; i < ENGINE_ARTIFACTS; i++)
        if (r->artifacts & 1 << i &&
            (fs_join(from, r->artifact_dir, engine_artifacts[i].name, e) != 0 ||
             fs_join(to, folder, engine_artifacts[i].name, e) != 0 || fs_copy(from, to, e) != 0))
            return -1;
    return 0;
}

static int deliver(const struct colorize *c, const struct engine_result *r, struct err *e)
{
    if (rename(c->part, c->out) != 0)
        return err_set(e, ERR_internal, "%s cannot be written", c->out);
    if (c->planes && deliver_artifacts(c->planes, r, e) != 0)
        return -1;
    if (c->receipt && fs_copy(r->receipt_path, c->receipt, e) != 0)
        return -1;
    return c->preview && fs_copy(r->preview_path, c->preview, e) != 0 ? -1 : 0;
}

static void tell(const struct colorize *c, const struct engine_result *r, int64_t seed)
{
    if (c->progress.bar) {
        fprintf(stderr, "%s: %lld frames, %dx%d, seed %lld\n", c->out, (long long)r->frames, r->width, r->height,
                (long long)seed);
        return;
    }
    json_t *o = json_object();
    json_put_str(o, "event", "done");
    json_put_str(o, "path", c->out);
    json_put_str(o, "sha256", r->sha256);
    json_put_int(o, "bytes", r->bytes);
    json_put_int(o, "frames", r->frames);
    json_put_int(o, "width", r->width);
    json_put_int(o, "height", r->height);
    json_put_int(o, "seed", seed);
    cli_print_json(o);
}

static int colorize(struct colorize *c, struct cli_args *a)
{
    struct engine_result result;
    struct err e = {0};
    if (prepare(c, a, &e) != 0) {
        cli_complain(&e);
        return CLI_USAGE;
    }
    cli_catch_interrupts();
    cli_progress_init(&c->progress);
    int status = cli_end(&c->progress, run(c, a, &result, &e) != 0 || deliver(c, &result, &e) != 0, &e);
    if (status == CLI_DONE)
        tell(c, &result, a->job.params.seed);
    unlink(c->part);
    fs_remove_tree(c->work, NULL);
    return status == CLI_REFUSED && c->misused ? CLI_USAGE : status;
}

int cli_colorize(int argc, char **argv)
{
    struct colorize c = {0};
    struct cli_args a;
    const struct cli_option options[] = {
        {"--video", 0, CLI_TEXT, &c.video, "FILE",
         "the line art: mp4, mov, mkv, webm, avi, or a zip of PNG or JPEG frames"},
        {"--reference", 0, CLI_LIST, &c.references, "FILE", "a coloured picture: PNG, JPEG or WebP; up to four times"},
        {"--out", 'o', CLI_TEXT, &c.out, "FILE", "the result; its ending chooses the format: .mp4 .mov .webm .zip"},
        {"--model", 0, CLI_TEXT, &c.model, "DIR|NAME", "a model folder, or a name out of --models"},
        {"--receipt", 0, CLI_TEXT, &c.receipt, "FILE", "also write what was made of what, as JSON"},
        {"--palette", 0, CLI_TEXT, &c.palette, "FILE",
         "paint with these colours: JSON list of {name, rgb}, .gpl or .ase"},
        {"--timesheet", 0, CLI_TEXT, &c.timesheet, "FILE", "an XDTS exposure sheet: each drawing is coloured once"},
        {"--planes", 0, CLI_TEXT, &c.planes, "FOLDER",
         "also write lines, paint, region numbers, confidence, palette.json and a contact sheet"},
        {"--preview", 0, CLI_TEXT, &c.preview, "FILE", "also write a contact sheet, as JPEG"},
    };
    const struct cli_usage usage = {
        .name = "colorize",
        .positional = "",
        .text = "Colours one shot on this machine, without a server. A progress bar is drawn on a terminal; elsewhere "
                "each\n"
                "step is a JSON line on standard output.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .job = true,
        .config = CONFIG_TOOL,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0)
        status = colorize(&c, &a);
    cli_args_free(&a);
    return status;
}
