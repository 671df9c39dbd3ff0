/* One table of parameters; a row's kind says how its value is read from JSON, read from text and written back.
 * "Unset" is a value of the field that no request can give: it means the model's own. */
#include "job/params.h"

#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAGS_MAX = 16, TAG_KEY_MAX = 64, TAG_VALUE_MAX = 256, NAME_MAX_BYTES = 80, SIDE_MAX = 4096 };

enum kind {
    KIND_INT,
    KIND_SEED,
    KIND_REAL,
    KIND_BOOL,
    KIND_TEXT,
    KIND_ENUM,
    KIND_FPS,
    KIND_SIZE,
    KIND_SIDE,
    KIND_TAGS
};

struct row {
    const char *name; /* dotted */
    enum kind kind;
    size_t offset;
    double min, max;     /* texts: largest size in bytes */
    double unset;        /* KIND_INT and KIND_REAL: the field's value for "the model's"; NAN = none */
    const char *choices; /* enumerations: "a|b|c" in the order of the values */
    int first_choice;    /* value of the first one; values below it are "the model's" */
    const char *fallback, *doc;
};

#define AT(field) offsetof(struct job_params, field)
static const struct row rows[] = {
    {"fps", KIND_FPS, AT(fps_num), 0, 0, NAN, NULL, 0, "24",
     "frames per second, only for zip inputs: \"24\" or \"24000/1001\""},
    {"model", KIND_TEXT, AT(model), 0, 63, NAN, NULL, 0, "",
     "one of GET /capabilities; the server's first when absent"},
    {"prompt", KIND_TEXT, AT(prompt), 0, PARAMS_TEXT_MAX, NAN, NULL, 0, "", "what the shot shows"},
    {"negative_prompt", KIND_TEXT, AT(negative_prompt), 0, PARAMS_TEXT_MAX, NAN, NULL, 0, "",
     "what it should not show"},
    {"seed", KIND_SEED, AT(seed), 0, 0, NAN, NULL, 0, "", "0 to 2^63-1; drawn when absent"},
    {"steps", KIND_INT, AT(steps), 1, 200, 0, NULL, 0, "", "denoising steps"},
    {"guidance_scale", KIND_REAL, AT(guidance_scale), 1, 30, -1, NULL, 0, "",
     "1 = no guidance, one forward instead of two"},
    {"profile", KIND_ENUM, AT(profile), 0, 0, NAN, "complete|reference", 0, "complete",
     "complete, or the released inference to the bit"},
    {"input", KIND_ENUM, AT(input), 0, 0, NAN, "auto|lineart|color", 0, "auto",
     "whether frames are lines already or need them extracted"},
    {"reference_strategy", KIND_ENUM, AT(reference_strategy), 0, 0, NAN, "global|autoregressive", 0, "global",
     "the reference for every segment, or the last frame of the segment before"},
    {"injection", KIND_ENUM, AT(injection), 0, 0, NAN, "skip_layer|full|former_half|latter_half", INJECT_SKIP_LAYER, "",
     "where sketch features are injected"},
    {"control_scale", KIND_REAL, AT(control_scale), 0, 2, -1, NULL, 0, "", "weight of the sketch features"},
    {"memory.global", KIND_BOOL, AT(memory_global), 0, 0, NAN, NULL, 0, "true",
     "colours are remembered over the whole video"},
    {"memory.local", KIND_BOOL, AT(memory_local), 0, 0, NAN, NULL, 0, "true",
     "colours are remembered from the last frames"},
    {"memory.global_frames", KIND_INT, AT(memory_global_frames), 1, 10000, 0, NULL, 0, "",
     "frames that the global memory sees"},
    {"memory.local_frames", KIND_INT, AT(memory_local_frames), 1, 10000, 0, NULL, 0, "",
     "frames that the local memory sees"},
    {"fusion.enabled", KIND_BOOL, AT(fusion_enabled), 0, 0, NAN, NULL, 0, "true",
     "Color Consistency Fusion between segments"},
    {"fusion.first_step", KIND_INT, AT(fusion_first_step), 0, 200, -1, NULL, 0, "",
     "first step with fusion; at or beyond steps means none"},
    {"size", KIND_SIZE, AT(width), 0, 0, NAN, NULL, 0, "auto", "\"auto\" or width and height, multiples of 16"},
    {"size.width", KIND_SIDE, AT(width), 16, SIDE_MAX, 0, NULL, 0, "", "width of the result"},
    {"size.height", KIND_SIDE, AT(height), 16, SIDE_MAX, 0, NULL, 0, "", "height of the result"},
    {"output.format", KIND_ENUM, AT(output_format), 0, 0, NAN, "mp4|mov|webm|png.zip", 0, "mp4",
     "container of the result"},
    {"output.snap", KIND_ENUM, AT(output_snap), 0, 0, NAN, "auto|none|region", 0, "auto",
     "snap colours to flat regions of the line art"},
    {"output.planes", KIND_BOOL, AT(output_planes), 0, 0, NAN, NULL, 0, "false",
     "also deliver line, paint, region and confidence planes and a contact sheet; needs snap"},
    {"output.to", KIND_TEXT, AT(output_to), 0, PARAMS_PLACE_MAX, NAN, NULL, 0, "",
     "send the result there, too, as <id of the job>.<format>: s3://bucket/prefix, of those that the server allows"},
    {"background", KIND_ENUM, AT(background), 0, 0, NAN, "keep|transparent", 0, "keep",
     "transparent: results with alpha (mov, webm, png.zip) leave the background out; needs snap"},
    {"trace_lines", KIND_TEXT, AT(trace_lines), 0, 23, NAN, NULL, 0, "",
     "colour-trace lines that vanish into the paint: red, green, blue, with commas between; needs snap"},
    {"gap", KIND_INT, AT(gap), 0, PARAMS_GAP_MAX, -1, NULL, 0, "",
     "close gaps in the lines up to so many pixels; by the size of the frames when absent (8 at 1080 rows); needs "
     "snap"},
    {"speed", KIND_ENUM, AT(speed), 0, 0, NAN, "exact|fast", 0, "exact",
     "exact: every step is computed in full; fast: steps that change little reuse the one before"},
    {"priority", KIND_INT, AT(priority), 0, 9, NAN, NULL, 0, "5", "9 first"},
    {"tags", KIND_TAGS, AT(tags), 0, 0, NAN, NULL, 0, "", "up to 16 names with texts, to find jobs by"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static int32_t *int_at(const struct job_params *p, const struct row *r)
{
    return (int32_t *)(void *)((char *)(uintptr_t)p + r->offset);
}

static double *real_at(const struct job_params *p, const struct row *r)
{
    return (double *)(void *)((char *)(uintptr_t)p + r->offset);
}

static bool *bool_at(const struct job_params *p, const struct row *r)
{
    return (bool *)((char *)(uintptr_t)p + r->offset);
}

static char *text_at(const struct job_params *p, const struct row *r)
{
    return (char *)(uintptr_t)p + r->offset;
}

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

static const struct row *row_by_name(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

bool params_known(const char *name)
{
    return row_by_name(name) != NULL || (strncmp(name, "tags.", 5) == 0 && name[5] != '\0');
}

const char *params_nearest(const char *name)
{
    const char *names[ROWS];
    for (int i = 0; i < ROWS; i++)
        names[i] = rows[i].name;
    return text_nearest(name, names, ROWS);
}

/* "output.format" -> "/output/format" */
static int refuse(const char *name, struct err *e, const char *why)
{
    char field[96];
    snprintf(field, sizeof field, "/%s", name);
    char *dot = strchr(field, '.');
    if (dot)
        *dot = '/';
    return err_set_field(e, ERR_params_invalid, field, "%.80s %s", name, why);
}

static int refuse_unknown(const char *name, struct err *e)
{
    char why[160];
    snprintf(why, sizeof why, "is not a parameter; did you mean %s?", params_nearest(name));
    return refuse(name, e, why);
}

static int refuse_range(const struct row *r, struct err *e)
{
    char why[96];
    snprintf(why, sizeof why, "must be %s from %.9g to %.9g", r->kind == KIND_REAL ? "a number" : "an integer", r->min,
             r->max);
    return refuse(r->name, e, why);
}

/* ---- setting, once the type is right ---- */

static int set_int(struct job_params *p, const struct row *r, int64_t value, struct err *e)
{
    if ((double)value < r->min || (double)value > r->max)
        return refuse_range(r, e);
    if (r->kind == KIND_SIDE && value % 16 != 0)
        return refuse(r->name, e, "must be a multiple of 16");
    *int_at(p, r) = (int32_t)value;
    return 0;
}

static int set_real(struct job_params *p, const struct row *r, double value, struct err *e)
{
    if (!(value >= r->min && value <= r->max))
        return refuse_range(r, e);
    *real_at(p, r) = value;
    return 0;
}

static int set_seed(struct job_params *p, const struct row *r, int64_t value, struct err *e)
{
    if (value < 0)
        return refuse(r->name, e, "must be an integer from 0 to 9223372036854775807");
    p->seed = value;
    p->has_seed = true;
    return 0;
}

static int set_text(struct job_params *p, const struct row *r, const char *value, size_t size, struct err *e)
{
    char why[64];
    snprintf(why, sizeof why, "must be UTF-8 of at most %.0f bytes", r->max);
    if ((double)size > r->max || !text_utf8_valid(value, size) || memchr(value, '\0', size))
        return refuse(r->name, e, why);
    memcpy(text_at(p, r), value, size);
    text_at(p, r)[size] = '\0';
    return 0;
}

static int set_choice(struct job_params *p, const struct row *r, const char *value, struct err *e)
{
    char why[160];
    size_t length = strlen(value);
    int index = r->first_choice;
    for (const char *choice = r->choices; *choice; index++) {
        size_t size = strcspn(choice, "|");
        if (size == length && strncmp(choice, value, size) == 0) {
            *int_at(p, r) = index;
            return 0;
        }
        choice += size + (choice[size] == '|');
    }
    snprintf(why, sizeof why, "must be one of %s", r->choices);
    return refuse(r->name, e, why);
}

static int digits(const char **text, int64_t *out)
{
    int count = 0;
    *out = 0;
    for (; **text >= '0' && **text <= '9' && count < 8; (*text)++, count++)
        *out = *out * 10 + (**text - '0');
    return count > 0 ? 0 : -1;
}

static int set_fps(struct job_params *p, const struct row *r, const char *value, struct err *e)
{
    static const char why[] = "must be a rate from 1 to 240 such as \"24\" or \"24000/1001\"";
    int64_t num, den = 1;
    const char *t = value;
    if (digits(&t, &num) != 0 || (*t == '/' && (t++, digits(&t, &den)) != 0) || *t != '\0')
        return refuse(r->name, e, why);
    if (den < 1 || den > 1000000 || num < den || num > 240 * den)
        return refuse(r->name, e, why);
    int64_t a = num, b = den;
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    p->fps_num = (int32_t)(num / a);
    p->fps_den = (int32_t)(den / a);
    return 0;
}

static int set_tag(struct job_params *p, const char *key, const char *value, struct err *e)
{
    char name[NAME_MAX_BYTES + 8];
    size_t size = strlen(key);
    snprintf(name, sizeof name, "tags.%.*s", NAME_MAX_BYTES, key);
    if (size < 1 || size > TAG_KEY_MAX || !text_utf8_valid(key, size))
        return refuse(name, e, "must be UTF-8 of 1 to 64 bytes");
    if (strlen(value) > TAG_VALUE_MAX || !text_utf8_valid(value, strlen(value)))
        return refuse(name, e, "must be UTF-8 of at most 256 bytes");
    if (!json_object_get(p->tags, key) && json_object_size(p->tags) >= TAGS_MAX)
        return refuse("tags", e, "must not be more than 16");
    json_put_str(p->tags, key, value);
    return 0;
}

/* ---- from JSON ---- */

static int apply_value(struct job_params *p, const struct row *r, const json_t *value, struct err *e);

static int apply_tags(struct job_params *p, const json_t *value, struct err *e)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return refuse("tags", e, "must be an object of strings");
    json_object_clear(p->tags);
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        if (!json_is_string(text))
            return refuse("tags", e, "must be an object of strings");
        if (set_tag(p, key, json_string_value(text), e) != 0)
            return -1;
    }
    return 0;
}

static int apply_size(struct job_params *p, const json_t *value, struct err *e)
{
    const char *key;
    json_t *side;
    if (json_is_string(value) && strcmp(json_string_value(value), "auto") == 0) {
        p->width = p->height = 0;
        return 0;
    }
    if (!json_is_object(value) || !json_object_get(value, "width") || !json_object_get(value, "height"))
        return refuse("size", e, "must be \"auto\" or an object of width and height");
    json_object_foreach((json_t *)(uintptr_t)value, key, side)
    {
        char name[NAME_MAX_BYTES];
        snprintf(name, sizeof name, "size.%.60s", key);
        const struct row *r = row_by_name(name);
        if (!r)
            return refuse_unknown(name, e);
        if (apply_value(p, r, side, e) != 0)
            return -1;
    }
    return 0;
}

static int apply_value(struct job_params *p, const struct row *r, const json_t *value, struct err *e)
{
    int64_t number;
    switch (r->kind) {
    case KIND_INT:
    case KIND_SIDE:
        return json_as_int(value, &number) == 0 ? set_int(p, r, number, e) : refuse_range(r, e);
    case KIND_SEED:
        return set_seed(p, r, json_as_int(value, &number) == 0 ? number : -1, e);
    case KIND_REAL:
        return json_is_number(value) ? set_real(p, r, json_number_value(value), e) : refuse_range(r, e);
    case KIND_BOOL:
        if (!json_is_boolean(value))
            return refuse(r->name, e, "must be true or false");
        *bool_at(p, r) = json_is_true(value);
        return 0;
    case KIND_TEXT:
        if (!json_is_string(value))
            return refuse(r->name, e, "must be a string");
        return set_text(p, r, json_string_value(value), json_string_length(value), e);
    case KIND_ENUM:
        return set_choice(p, r, json_is_string(value) ? json_string_value(value) : "", e);
    case KIND_FPS:
        return set_fps(p, r, json_is_string(value) ? json_string_value(value) : "", e);
    case KIND_SIZE:
        return apply_size(p, value, e);
    case KIND_TAGS:
        return apply_tags(p, value, e);
    }
    return 0;
}

/* Is `name` the part before the dot of some row? */
static bool is_group(const char *name)
{
    size_t size = strlen(name);
    for (int i = 0; i < ROWS; i++)
        if (strncmp(rows[i].name, name, size) == 0 && rows[i].name[size] == '.')
            return true;
    return false;
}

static int apply_object(struct job_params *p, const char *prefix, const json_t *object, struct err *e);

static int apply_group(struct job_params *p, const char *name, const json_t *object, struct err *e)
{
    char prefix[2 * NAME_MAX_BYTES + 1];
    snprintf(prefix, sizeof prefix, "%s.", name);
    return apply_object(p, prefix, object, e);
}

static int apply_object(struct job_params *p, const char *prefix, const json_t *object, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char name[2 * NAME_MAX_BYTES];
        snprintf(name, sizeof name, "%.70s%.*s", prefix, NAME_MAX_BYTES - 1, key);
        const struct row *r = strchr(key, '.') ? NULL : row_by_name(name);
        int result;
        if (r)
            result = apply_value(p, r, value, e);
        else if (prefix[0] == '\0' && is_group(name) && json_is_object(value))
            result = apply_group(p, name, value, e);
        else if (prefix[0] == '\0' && is_group(name))
            result = refuse(name, e, "must be an object");
        else
            result = refuse_unknown(name, e);
        if (result != 0)
            return -1;
    }
    return 0;
}

int params_apply_json(struct job_params *p, const json_t *object, struct err *e)
{
    if (!json_is_object(object))
        return err_set_field(e, ERR_params_invalid, "", "params must be an object");
    return apply_object(p, "", object, e);
}

/* ---- from text ---- */

/* Decimal digits, optionally "-" before and ".000" behind. */
static int integer_text(const char *text, int64_t *out)
{
    const char *t = text + (*text == '-');
    int64_t value = 0;
    if (*t < '0' || *t > '9')
        return -1;
    for (; *t >= '0' && *t <= '9'; t++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *t - '0', &value))
            return -1;
    if (*t == '.' && t[1] == '0')
        t += 1 + strspn(t + 1, "0");
    if (*t != '\0')
        return -1;
    *out = *text == '-' ? -value : value;
    return 0;
}

static int real_text(const char *text, double *out)
{
    char *end;
    if (text[0] == '\0' || strlen(text) > 40 || strspn(text, "0123456789+-.eE") != strlen(text))
        return -1;
    *out = strtod(text, &end);
    return *end == '\0' ? 0 : -1;
}

static int apply_size_text(struct job_params *p, const char *value, struct err *e)
{
    static const char why[] = "must be \"auto\" or WIDTHxHEIGHT";
    int64_t width, height;
    const char *t = value;
    if (strcmp(value, "auto") == 0) {
        p->width = p->height = 0;
        return 0;
    }
    if (digits(&t, &width) != 0 || *t++ != 'x' || digits(&t, &height) != 0 || *t != '\0')
        return refuse("size", e, why);
    if (set_int(p, row_by_name("size.width"), width, e) != 0)
        return -1;
    return set_int(p, row_by_name("size.height"), height, e);
}

int params_apply_text(struct job_params *p, const char *name, const char *value, struct err *e)
{
    const struct row *r = row_by_name(name);
    int64_t number = -1;
    double real;
    if (strncmp(name, "tags.", 5) == 0 && name[5])
        return set_tag(p, name + 5, value, e);
    if (!r)
        return refuse_unknown(name, e);
    switch (r->kind) {
    case KIND_INT:
    case KIND_SIDE:
        return integer_text(value, &number) == 0 ? set_int(p, r, number, e) : refuse_range(r, e);
    case KIND_SEED:
        return set_seed(p, r, integer_text(value, &number) == 0 ? number : -1, e);
    case KIND_REAL:
        return real_text(value, &real) == 0 ? set_real(p, r, real, e) : refuse_range(r, e);
    case KIND_BOOL:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return refuse(name, e, "must be true or false");
        *bool_at(p, r) = value[0] == 't';
        return 0;
    case KIND_TEXT:
        return set_text(p, r, value, strlen(value), e);
    case KIND_ENUM:
        return set_choice(p, r, value, e);
    case KIND_FPS:
        return set_fps(p, r, value, e);
    case KIND_SIZE:
        return apply_size_text(p, value, e);
    case KIND_TAGS:
        return refuse(name, e, "must be given as tags.NAME");
    }
    return 0;
}

int params_check(const struct job_params *p, struct err *e)
{
    if ((p->width == 0) != (p->height == 0))
        return refuse("size", e, "needs both width and height");
    /* What only region snap can do. */
    if (p->output_planes && p->output_snap == SNAP_NONE)
        return refuse("output.planes", e, "needs output.snap");
    if (p->background == BACKGROUND_TRANSPARENT && p->output_snap == SNAP_NONE)
        return refuse("background", e, "transparent needs output.snap");
    if (p->trace_lines[0] && p->output_snap == SNAP_NONE)
        return refuse("trace_lines", e, "needs output.snap");
    if (p->gap >= 0 && p->output_snap == SNAP_NONE)
        return refuse("gap", e, "needs output.snap");
    for (const char *at = p->trace_lines; *at; at += strspn(at, ",")) {
        size_t n = strcspn(at, ",");
        if ((n != 3 || memcmp(at, "red", 3) != 0) && (n != 4 || memcmp(at, "blue", 4) != 0) &&
            (n != 5 || memcmp(at, "green", 5) != 0))
            return refuse("trace_lines", e, "takes red, green and blue, with commas between");
        at += n;
    }
    return 0;
}

bool params_given(const json_t *object, const char *name)
{
    char head[NAME_MAX_BYTES];
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
        const struct row *r = row_by_name(names[i][0]);
        const json_t *value = json_object_get(model, names[i][1]);
        bool unset = r->kind == KIND_TEXT   ? text_at(p, r)[0] == '\0'
                     : r->kind == KIND_REAL ? *real_at(p, r) <= r->unset
                     : r->kind == KIND_ENUM ? *int_at(p, r) < r->first_choice
                                            : *int_at(p, r) <= (int32_t)r->unset;
        /* A value that a request could not give leaves the parameter as "the model's". */
        if (value && unset)
            (void)apply_value(p, r, value, NULL);
    }
}

/* ---- to JSON ---- */

static json_t *choice_json(const struct row *r, int value)
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
static json_t *value_json(const struct job_params *p, const struct row *r)
{
    char fps[32];
    switch (r->kind) {
    case KIND_INT:
        return *int_at(p, r) == r->unset ? NULL : json_integer(*int_at(p, r));
    case KIND_SEED:
        return p->has_seed ? json_integer(p->seed) : NULL;
    case KIND_REAL:
        return *real_at(p, r) <= r->unset ? NULL : json_real(*real_at(p, r));
    case KIND_BOOL:
        return json_boolean(*bool_at(p, r));
    case KIND_TEXT:
        if (text_at(p, r) == p->model || text_at(p, r) == p->output_to) /* nothing is not a choice of theirs */
            return text_at(p, r)[0] ? json_string(text_at(p, r)) : NULL;
        return json_string(text_at(p, r));
    case KIND_ENUM:
        return *int_at(p, r) < r->first_choice ? NULL : choice_json(r, *int_at(p, r));
    case KIND_FPS:
        snprintf(fps, sizeof fps, p->fps_den == 1 ? "%d" : "%d/%d", (int)p->fps_num, (int)p->fps_den);
        return json_string(fps);
    case KIND_SIZE:
        return size_json(p);
    case KIND_SIDE:
        return NULL; /* within size */
    case KIND_TAGS:
        return json_object_size(p->tags) > 0 ? json_deep_copy(p->tags) : NULL;
    }
    return NULL;
}

json_t *params_json(const struct job_params *p)
{
    json_t *object = json_object();
    for (int i = 0; i < ROWS; i++) {
        json_t *value = value_json(p, &rows[i]);
        const char *dot = strchr(rows[i].name, '.');
        if (!value)
            continue;
        if (!dot) {
            json_put(object, rows[i].name, value);
            continue;
        }
        char group[NAME_MAX_BYTES];
        snprintf(group, sizeof group, "%.*s", (int)(dot - rows[i].name), rows[i].name);
        if (!json_object_get(object, group))
            json_put(object, group, json_object());
        json_put(json_object_get(object, group), dot + 1, value);
    }
    return object;
}

void params_each(void (*fn)(void *user, const char *name, const char *type, const char *fallback, const char *doc),
                 void *user)
{
    static const char *const types[] = {
        [KIND_INT] = "integer", [KIND_SEED] = "integer", [KIND_REAL] = "number", [KIND_BOOL] = "boolean",
        [KIND_TEXT] = "string", [KIND_FPS] = "string",   [KIND_SIZE] = "string", [KIND_SIDE] = "integer"};
    for (int i = 0; i < ROWS; i++)
        if (rows[i].kind != KIND_TAGS)
            fn(user, rows[i].name, rows[i].choices ? rows[i].choices : types[rows[i].kind], rows[i].fallback,
               rows[i].doc);
}
