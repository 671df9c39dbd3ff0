/* What only all parameters together can tell, the model's values for what was not given, and the way back to JSON. */
#include "job/params_int.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

int params_check(const struct job_params *p, struct err *e)
{
    if ((p->width == 0) != (p->height == 0))
        return params__refuse("size", e, "needs both width and height");
    /* What only region snap can do. */
    if (p->output_planes && p->output_snap == SNAP_NONE)
        return params__refuse("output.planes", e, "needs output.snap");
    if (p->background == BACKGROUND_TRANSPARENT && p->output_snap == SNAP_NONE)
        return params__refuse("background", e, "transparent needs output.snap");
    if (p->trace_lines[0] && p->output_snap == SNAP_NONE)
        return params__refuse("trace_lines", e, "needs output.snap");
    if (p->gap >= 0 && p->output_snap == SNAP_NONE)
        return params__refuse("gap", e, "needs output.snap");
    for (const char *at = p->trace_lines; *at; at += strspn(at, ",")) {
        size_t n = strcspn(at, ",");
        if ((n != 3 || memcmp(at, "red", 3) != 0) && (n != 4 || memcmp(at, "blue", 4) != 0) &&
            (n != 5 || memcmp(at, "green", 5) != 0))
            return params__refuse("trace_lines", e, "takes red, green and blue, with commas between");
        at += n;
    }
    return 0;
}

bool params_given(const json_t *object, const char *name)
{
    char head[PARAMS_NAME_MAX];
    size_t size = strcspn(name, ".");
    if (size >= sizeof head)
        return false;
    memcpy(head, name, size);
    head[size] = '\0';
    const json_t *value = json_object_get(object, head);
    return value && (name[size] == '\0' || !json_is_object(value) || json_object_get(value, name + size + 1));
}

/* ---- the model's values ---- */

void params_fill(struct job_params *p, const json_t *model)
{
    static const char *const names[][2] = {{"model", "name"},
                                           {"steps", "steps"},
                                           {"guidance_scale", "guidance_scale"},
                                           {"control_scale", "control_scale"},
                                           {"injection", "injection"},
                                           {"memory.global_frames", "memory_global_frames"},
                                           {"memory.local_frames", "memory_local_frames"},
                                           {"fusion.first_step", "fusion_first_step"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct params_row *r = params__row(names[i][0]);
        const json_t *value = json_object_get(model, names[i][1]);
        bool unset = r->kind == PARAM_TEXT   ? params__text_at(p, r)[0] == '\0'
                     : r->kind == PARAM_REAL ? *params__real_at(p, r) <= r->unset
                     : r->kind == PARAM_ENUM ? *params__int_at(p, r) < r->first_choice
                                             : *params__int_at(p, r) <= (int32_t)r->unset;
        /* A value that a request could not give leaves the parameter as "the model's". */
        if (value && unset)
            (void)params__apply_value(p, r, value, NULL);
    }
}

/* ---- to JSON ---- */

static json_t *choice_json(const struct params_row *r, int value)
{
    const char *choice = r->choices;
    for (int i = r->first_choice; i < value; i++)
        choice += strcspn(choice, "|") + 1;
    return json_stringn(choice, strcspn(choice, "|"));
}

static json_t *size_json(const struct job_params *p)
{
    if (p->width == 0)
        return json_string("auto");
    return json_pack("{s:i, s:i}", "width", (int)p->width, "height", (int)p->height);
}

/* NULL = the model's, left out. */
static json_t *value_json(const struct job_params *p, const struct params_row *r)
{
    char fps[32];
    switch (r->kind) {
    case PARAM_INT:
        return *params__int_at(p, r) == r->unset ? NULL : json_integer(*params__int_at(p, r));
    case PARAM_SEED:
        return p->has_seed ? json_integer(p->seed) : NULL;
    case PARAM_REAL:
        return *params__real_at(p, r) <= r->unset ? NULL : json_real(*params__real_at(p, r));
    case PARAM_BOOL:
        return json_boolean(*params__bool_at(p, r));
    case PARAM_TEXT:
        if (params__text_at(p, r) == p->model ||
            params__text_at(p, r) == p->output_to) /* nothing is not a choice of theirs */
            return params__text_at(p, r)[0] ? json_string(params__text_at(p, r)) : NULL;
        return json_string(params__text_at(p, r));
    case PARAM_ENUM:
        return *params__int_at(p, r) < r->first_choice ? NULL : choice_json(r, *params__int_at(p, r));
    case PARAM_FPS:
        snprintf(fps, sizeof fps, p->fps_den == 1 ? "%d" : "%d/%d", (int)p->fps_num, (int)p->fps_den);
        return json_string(fps);
    case PARAM_SIZE:
        return size_json(p);
    case PARAM_SIDE:
        return NULL; /* within size */
    case PARAM_TAGS:
        return json_object_size(p->tags) > 0 ? json_deep_copy(p->tags) : NULL;
    }
    return NULL;
}

json_t *params_json(const struct job_params *p)
{
    json_t *object = json_object();
    for (int i = 0; i < params__row_count; i++) {
        json_t *value = value_json(p, &params__rows[i]);
        const char *dot = strchr(params__rows[i].name, '.');
        if (!value)
            continue;
        if (!dot) {
            json_put(object, params__rows[i].name, value);
            continue;
        }
        char group[PARAMS_NAME_MAX];
        snprintf(group, sizeof group, "%.*s", (int)(dot - params__rows[i].name), params__rows[i].name);
        if (!json_object_get(object, group))
            json_put(object, group, json_object());
        json_put(json_object_get(object, group), dot + 1, value);
    }
    return object;
}
