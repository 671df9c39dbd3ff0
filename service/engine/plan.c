/* Stage 2: parameters for the model, and the hash that says whether segments made before may be kept. */
#include "engine/engine_int.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

static const int profiles[] = {[PROFILE_COMPLETE] = MDL_PROFILE_COMPLETE, [PROFILE_REFERENCE] = MDL_PROFILE_REFERENCE};
static const int strategies[] = {
    [STRATEGY_GLOBAL] = MDL_STRATEGY_GLOBAL, [STRATEGY_AUTOREGRESSIVE] = MDL_STRATEGY_AUTOREGRESSIVE};
static const int injections[] = {[INJECT_DEFAULT] = MDL_INJECT_DEFAULT,
                                 [INJECT_SKIP_LAYER] = MDL_INJECT_SKIP_LAYER,
                                 [INJECT_FULL] = MDL_INJECT_FULL,
                                 [INJECT_FORMER_HALF] = MDL_INJECT_FORMER_HALF,
                                 [INJECT_LATTER_HALF] = MDL_INJECT_LATTER_HALF};
static const int speeds[] = {[SPEED_EXACT] = MDL_SPEED_EXACT, [SPEED_FAST] = MDL_SPEED_FAST};

static void fill(struct engine__run *r)
{
    const struct job_params *p = r->job->params;
    struct mdl_params *m = &r->mdl;
    r->g->lib.params_init(m, sizeof *m);
    m->input_width = r->info.width;
    m->input_height = r->info.height;
    m->frames = r->frames;
    m->width = p->width;
    m->height = p->height;
    m->steps = p->steps;
    m->guidance_scale = (float)p->guidance_scale;
    m->control_scale = (float)p->control_scale;
    m->seed = (uint64_t)p->seed;
    m->prompt = p->prompt;
    m->negative_prompt = p->negative_prompt;
    m->profile = profiles[p->profile];
    m->input_kind = r->input_kind;
    m->reference_strategy = strategies[p->reference_strategy];
    m->injection = injections[p->injection];
    m->speed = speeds[p->speed];
    m->memory_global = p->memory_global;
    m->memory_local = p->memory_local;
    m->memory_global_frames = p->memory_global_frames;
    m->memory_local_frames = p->memory_local_frames;
    m->fusion = p->fusion_enabled;
    m->fusion_first_step = p->fusion_first_step;
    for (int i = 0; i < r->job->reference_count; i++)
        r->images[i] = (struct mdl_image){r->references[i].rgb, r->references[i].width, r->references[i].height};
    m->references = r->images;
    m->reference_count = r->job->reference_count;
}

/* Output format, tags and priority change no segment; everything else might. */
static int hash_plan(struct engine__run *r, struct err *e)
{
    const char *description = r->g->lib.describe(r->model);
    json_t *model = json_parse(description, strlen(description), ERR_model_error, e);
    if (!model)
        return -1;
    json_t *params = params_json(r->job->params), *all = json_object(), *inputs = json_array();
    static const char *const free_of[] = {"tags", "priority", "output", "background", "trace_lines", "gap"};
    for (size_t i = 0; i < sizeof free_of / sizeof free_of[0]; i++)
        json_object_del(params, free_of[i]);
    json_array_append_new(inputs, json_safe_string(r->video_sha256));
    for (int i = 0; i < r->job->reference_count; i++)
        json_array_append_new(inputs, json_safe_string(r->reference_sha256[i]));
    if (r->exposure.keep) {
        char kept[HASH_HEX_SIZE];
        hash_bytes(r->exposure.keep, (size_t)r->exposure.frames * sizeof *r->exposure.keep, kept);
        json_array_append_new(inputs, json_safe_string(kept));
    }
    json_put_int(all, "format", 1);
    json_put(all, "params", params);
    json_put(all, "model", model);
    json_put_str(all, "backend", r->model_row->backend);
    if (strcmp(r->model_row->backend, "null") == 0)
        json_put_str(all, "options", r->model_row->dir); /* a folder may move, options are the model itself */
    json_put_str(all, "build", r->g->lib.version());
    json_put_str(all, "media", media_versions());
    json_put(all, "inputs", inputs);
    json_put_int(all, "input_kind", r->input_kind);
    char *text = json_text(all, true);
    hash_bytes(text, strlen(text), r->plan.hash);
    free(text);
    json_decref(all);
    return 0;
}

static int ask_plan(struct engine__run *r, struct mdl_plan *out, struct err *e)
{
    struct mdl_error why = {0};
    *out = (struct mdl_plan){.size = sizeof *out};
    return model_lib_check(r->g->lib.plan_run(r->model, &r->mdl, out, &why), &why, e);
}

static int64_t need(const struct mdl_plan *plan)
{
    return plan->device_bytes > 0 ? plan->device_bytes : plan->host_bytes; /* a CPU has no memory of its own */
}

/* After an out-of-memory: half of what was planned, or as little as the largest phase needs where that is more. A
 * budget below that would only be refused. */
static int lower(struct engine__run *r, struct mdl_plan *plan, struct err *e)
{
    int64_t half = need(plan) / 2;
    int index = (int)(r->model_row - r->g->models);
    if (half < 1 || r->g->lowered[index])
        return 0;
    if (engine__reopen(r->g, r->model_row, half, &r->model, e) != 0 || ask_plan(r, plan, e) != 0)
        return -1;
    if (need(plan) > half &&
        (engine__reopen(r->g, r->model_row, need(plan), &r->model, e) != 0 || ask_plan(r, plan, e) != 0))
        return -1;
    r->g->lowered[index] = true;
    return 0;
}

int engine__plan(struct engine__run *r, struct err *e)
{
    if (engine__progress(r, "load", SURVEY_PPM, 0, 0, 0, e) != 0)
        return -1;
    if (engine__model(r->g, r->job->params->model, &r->model, &r->model_row, e) != 0)
        return -1;
    if (engine__hold(r, e) != 0)
        return -1;
    fill(r);
    struct mdl_plan plan;
    if (ask_plan(r, &plan, e) != 0)
        return -1;
    if (r->g->conf.low_memory && lower(r, &plan, e) != 0)
        return -1;
    bool reference = r->job->params->profile == PROFILE_REFERENCE;
    r->skip_first = reference ? 1 : 0; /* the released program drops frame 0 */
    if (plan.segments < 1 || plan.segments > 100000 || plan.width < 1 || plan.height < 1 || plan.output_frames < 1 ||
        plan.output_frames + r->skip_first > r->frames || (!reference && plan.output_frames != r->frames))
        return err_set(e, ERR_internal, "the model planned %d segments and %lld frames for an input of %lld",
                       plan.segments, (long long)plan.output_frames, (long long)r->frames);
    r->plan.segments = plan.segments;
    r->plan.steps = plan.steps;
    r->plan.width = plan.width;
    r->plan.height = plan.height;
    r->plan.frames = plan.output_frames;
    r->segments = calloc((size_t)plan.segments, sizeof *r->segments);
    if (!r->segments)
        return err_set(e, ERR_internal, "out of memory");
    return hash_plan(r, e);
}
