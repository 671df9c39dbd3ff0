/* One table of parameters; a row's kind says how its value is read from JSON, read from text and written back.
 * "Unset" is a value of the field that no request can give: it means the model's own. */
#include "job/params_int.h"

#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MAX = 4096 };

#define AT(field) offsetof(struct job_params, field)
const struct params_row params__rows[] = {
    {"fps", PARAM_FPS, AT(fps_num), 0, 0, NAN, NULL, 0, "24",
     "frames per second, only for zip inputs: \"24\" or \"24000/1001\""},
    {"model", PARAM_TEXT, AT(model), 0, 63, NAN, NULL, 0, "",
     "one of GET /capabilities; the server's first when absent"},
    {"prompt", PARAM_TEXT, AT(prompt), 0, PARAMS_TEXT_MAX, NAN, NULL, 0, "", "what the shot shows"},
    {"negative_prompt", PARAM_TEXT, AT(negative_prompt), 0, PARAMS_TEXT_MAX, NAN, NULL, 0, "",
     "what it should not show"},
    {"seed", PARAM_SEED, AT(seed), 0, 0, NAN, NULL, 0, "", "0 to 2^63-1; drawn when absent"},
    {"steps", PARAM_INT, AT(steps), 1, 200, 0, NULL, 0, "", "denoising steps"},
    {"guidance_scale", PARAM_REAL, AT(guidance_scale), 1, 30, -1, NULL, 0, "",
     "1 = no guidance, one forward instead of two"},
    {"profile", PARAM_ENUM, AT(profile), 0, 0, NAN, "complete|reference", 0, "complete",
     "complete, or the released inference to the bit"},
    {"input", PARAM_ENUM, AT(input), 0, 0, NAN, "auto|lineart|color", 0, "auto",
     "whether frames are lines already or need them extracted"},
    {"reference_strategy", PARAM_ENUM, AT(reference_strategy), 0, 0, NAN, "global|autoregressive", 0, "global",
     "the reference for every segment, or the last frame of the segment before"},
    {"injection", PARAM_ENUM, AT(injection), 0, 0, NAN, "skip_layer|full|former_half|latter_half", INJECT_SKIP_LAYER,
     "", "where sketch features are injected"},
    {"control_scale", PARAM_REAL, AT(control_scale), 0, 2, -1, NULL, 0, "", "weight of the sketch features"},
    {"memory.global", PARAM_BOOL, AT(memory_global), 0, 0, NAN, NULL, 0, "true",
     "colours are remembered over the whole video"},
    {"memory.local", PARAM_BOOL, AT(memory_local), 0, 0, NAN, NULL, 0, "true",
     "colours are remembered from the last frames"},
    {"memory.global_frames", PARAM_INT, AT(memory_global_frames), 1, 10000, 0, NULL, 0, "",
     "frames that the global memory sees"},
    {"memory.local_frames", PARAM_INT, AT(memory_local_frames), 1, 10000, 0, NULL, 0, "",
     "frames that the local memory sees"},
    {"fusion.enabled", PARAM_BOOL, AT(fusion_enabled), 0, 0, NAN, NULL, 0, "true",
     "Color Consistency Fusion between segments"},
    {"fusion.first_step", PARAM_INT, AT(fusion_first_step), 0, 200, -1, NULL, 0, "",
     "first step with fusion; at or beyond steps means none"},
    {"size", PARAM_SIZE, AT(width), 0, 0, NAN, NULL, 0, "auto", "\"auto\" or width and height, multiples of 16"},
    {"size.width", PARAM_SIDE, AT(width), 16, SIDE_MAX, 0, NULL, 0, "", "width of the result"},
    {"size.height", PARAM_SIDE, AT(height), 16, SIDE_MAX, 0, NULL, 0, "", "height of the result"},
    {"output.format", PARAM_ENUM, AT(output_format), 0, 0, NAN, "mp4|mov|webm|png.zip", 0, "mp4",
     "container of the result"},
    {"output.snap", PARAM_ENUM, AT(output_snap), 0, 0, NAN, "auto|none|region", 0, "auto",
     "snap colours to flat regions of the line art"},
    {"output.planes", PARAM_BOOL, AT(output_planes), 0, 0, NAN, NULL, 0, "false",
     "also deliver line, paint, region and confidence planes and a contact sheet; needs snap"},
    {"output.to", PARAM_TEXT, AT(output_to), 0, PARAMS_PLACE_MAX, NAN, NULL, 0, "",
     "send the result there, too, as <id of the job>.<format>: s3://bucket/prefix, of those that the server allows"},
    {"background", PARAM_ENUM, AT(background), 0, 0, NAN, "keep|transparent", 0, "keep",
     "transparent: results with alpha (mov, webm, png.zip) leave the background out; needs snap"},
    {"trace_lines", PARAM_TEXT, AT(trace_lines), 0, 23, NAN, NULL, 0, "",
     "colour-trace lines that vanish into the paint: red, green, blue, with commas between; needs snap"},
    {"gap", PARAM_INT, AT(gap), 0, PARAMS_GAP_MAX, -1, NULL, 0, "",
     "close gaps in the lines up to so many pixels; by the size of the frames when absent (8 at 1080 rows); needs "
     "snap"},
    {"speed", PARAM_ENUM, AT(speed), 0, 0, NAN, "exact|fast", 0, "exact",
     "exact: every step is computed in full; fast: steps that change little reuse the one before"},
    {"priority", PARAM_INT, AT(priority), 0, 9, NAN, NULL, 0, "5", "9 first"},
    {"tags", PARAM_TAGS, AT(tags), 0, 0, NAN, NULL, 0, "", "up to 16 names with texts, to find jobs by"},
};
enum { ROWS = sizeof params__rows / sizeof *params__rows };
const int params__row_count = ROWS;

void params_init(struct job_params *p)
{
    *p = (struct job_params){.fps_num = 24,
                             .fps_den = 1,
                             .guidance_scale = -1,
                             .control_scale = -1,
                             .memory_global = true,
                             .memory_local = true,
                             .fusion_enabled = true,
                             .fusion_first_step = -1,
                             .gap = -1,
                             .priority = 5,
                             .tags = json_object()};
    if (!p->tags)
        abort();
}

void params_free(struct job_params *p)
{
    json_decref(p->tags);
    p->tags = NULL;
}

const struct params_row *params__row(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(params__rows[i].name, name) == 0)
            return &params__rows[i];
    return NULL;
}

bool params_known(const char *name)
{
    return params__row(name) != NULL || (strncmp(name, "tags.", 5) == 0 && name[5] != '\0');
}

const char *params_nearest(const char *name)
{
    const char *names[ROWS];
    for (int i = 0; i < ROWS; i++)
        names[i] = params__rows[i].name;
    return text_nearest(name, names, ROWS);
}

void params_each(void (*fn)(void *user, const char *name, const char *type, const char *fallback, const char *doc),
                 void *user)
{
    static const char *const types[] = {
        [PARAM_INT] = "integer", [PARAM_SEED] = "integer", [PARAM_REAL] = "number", [PARAM_BOOL] = "boolean",
        [PARAM_TEXT] = "string", [PARAM_FPS] = "string",   [PARAM_SIZE] = "string", [PARAM_SIDE] = "integer"};
    for (int i = 0; i < ROWS; i++)
        if (params__rows[i].kind != PARAM_TAGS)
            fn(user, params__rows[i].name,
               params__rows[i].choices ? params__rows[i].choices : types[params__rows[i].kind],
               params__rows[i].fallback, params__rows[i].doc);
}
