/* Values from JSON and from text into the fields that the rows name. */
#include "job/params_int.h"

#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAGS_MAX = 16, TAG_KEY_MAX = 64, TAG_VALUE_MAX = 256 };

/* "output.format" -> "/output/format" */
int params__refuse(const char *name, struct err *e, const char *why)
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
    return params__refuse(name, e, why);
}

static int refuse_range(const struct params_row *r, struct err *e)
{
    char why[96];
    snprintf(why, sizeof why, "must be %s from %.9g to %.9g", r->kind == PARAM_REAL ? "a number" : "an integer", r->min,
             r->max);
    return params__refuse(r->name, e, why);
}

/* ---- setting, once the type is right ---- */

static int set_int(struct job_params *p, const struct params_row *r, int64_t value, struct err *e)
{
    if ((double)value < r->min || (double)value > r->max)
        return refuse_range(r, e);
    if (r->kind == PARAM_SIDE && value % 16 != 0)
        return params__refuse(r->name, e, "must be a multiple of 16");
    *params__int_at(p, r) = (int32_t)value;
    return 0;
}

static int set_real(struct job_params *p, const struct params_row *r, double value, struct err *e)
{
    if (!(value >= r->min && value <= r->max))
        return refuse_range(r, e);
    *params__real_at(p, r) = value;
    return 0;
}

static int set_seed(struct job_params *p, const struct params_row *r, int64_t value, struct err *e)
{
    if (value < 0)
        return params__refuse(r->name, e, "must be an integer from 0 to 9223372036854775807");
    p->seed = value;
    p->has_seed = true;
    return 0;
}

static int set_text(struct job_params *p, const struct params_row *r, const char *value, size_t size, struct err *e)
{
    char why[64];
    snprintf(why, sizeof why, "must be UTF-8 of at most %.0f bytes", r->max);
    if ((double)size > r->max || !text_utf8_valid(value, size) || memchr(value, '\0', size))
        return params__refuse(r->name, e, why);
    memcpy(params__text_at(p, r), value, size);
    params__text_at(p, r)[size] = '\0';
    return 0;
}

static int set_choice(struct job_params *p, const struct params_row *r, const char *value, struct err *e)
{
    char why[160];
    size_t length = strlen(value);
    int index = r->first_choice;
    for (const char *choice = r->choices; *choice; index++) {
        size_t size = strcspn(choice, "|");
        if (size == length && strncmp(choice, value, size) == 0) {
            *params__int_at(p, r) = index;
            return 0;
        }
        choice += size + (choice[size] == '|');
    }
    snprintf(why, sizeof why, "must be one of %s", r->choices);
    return params__refuse(r->name, e, why);
}

static int digits(const char **text, int64_t *out)
{
    int count = 0;
    *out = 0;
    for (; **text >= '0' && **text <= '9' && count < 8; (*text)++, count++)
        *out = *out * 10 + (**text - '0');
    return count > 0 ? 0 : -1;
}

static int set_fps(struct job_params *p, const struct params_row *r, const char *value, struct err *e)
{
    static const char why[] = "must be a rate from 1 to 240 such as \"24\" or \"24000/1001\"";
    int64_t num, den = 1;
    const char *t = value;
    if (digits(&t, &num) != 0 || (*t == '/' && (t++, digits(&t, &den)) != 0) || *t != '\0')
        return params__refuse(r->name, e, why);
    if (den < 1 || den > 1000000 || num < den || num > 240 * den)
        return params__refuse(r->name, e, why);
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
    char name[PARAMS_NAME_MAX + 8];
    size_t size = strlen(key);
    snprintf(name, sizeof name, "tags.%.*s", PARAMS_NAME_MAX, key);
    if (size < 1 || size > TAG_KEY_MAX || !text_utf8_valid(key, size))
        return params__refuse(name, e, "must be UTF-8 of 1 to 64 bytes");
    if (strlen(value) > TAG_VALUE_MAX || !text_utf8_valid(value, strlen(value)))
        return params__refuse(name, e, "must be UTF-8 of at most 256 bytes");
    if (!json_object_get(p->tags, key) && json_object_size(p->tags) >= TAGS_MAX)
        return params__refuse("tags", e, "must not be more than 16");
    json_put_str(p->tags, key, value);
    return 0;
}

/* ---- from JSON ---- */

int params__apply_value(struct job_params *p, const struct params_row *r, const json_t *value, struct err *e);

static int apply_tags(struct job_params *p, const json_t *value, struct err *e)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return params__refuse("tags", e, "must be an object of strings");
    json_object_clear(p->tags);
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        if (!json_is_string(text))
            return params__refuse("tags", e, "must be an object of strings");
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
        return params__refuse("size", e, "must be \"auto\" or an object of width and height");
    json_object_foreach((json_t *)(uintptr_t)value, key, side)
    {
        char name[PARAMS_NAME_MAX];
        snprintf(name, sizeof name, "size.%.60s", key);
        const struct params_row *r = params__row(name);
        if (!r)
            return refuse_unknown(name, e);
        if (params__apply_value(p, r, side, e) != 0)
            return -1;
    }
    return 0;
}

int params__apply_value(struct job_params *p, const struct params_row *r, const json_t *value, struct err *e)
{
    int64_t number;
    switch (r->kind) {
    case PARAM_INT:
    case PARAM_SIDE:
        return json_as_int(value, &number) == 0 ? set_int(p, r, number, e) : refuse_range(r, e);
    case PARAM_SEED:
        return set_seed(p, r, json_as_int(value, &number) == 0 ? number : -1, e);
    case PARAM_REAL:
        return json_is_number(value) ? set_real(p, r, json_number_value(value), e) : refuse_range(r, e);
    case PARAM_BOOL:
        if (!json_is_boolean(value))
            return params__refuse(r->name, e, "must be true or false");
        *params__bool_at(p, r) = json_is_true(value);
        return 0;
    case PARAM_TEXT:
        if (!json_is_string(value))
            return params__refuse(r->name, e, "must be a string");
        return set_text(p, r, json_string_value(value), json_string_length(value), e);
    case PARAM_ENUM:
        return set_choice(p, r, json_is_string(value) ? json_string_value(value) : "", e);
    case PARAM_FPS:
        return set_fps(p, r, json_is_string(value) ? json_string_value(value) : "", e);
    case PARAM_SIZE:
        return apply_size(p, value, e);
    case PARAM_TAGS:
        return apply_tags(p, value, e);
    }
    return 0;
}

/* Is `name` the part before the dot of some row? */
static bool is_group(const char *name)
{
    size_t size = strlen(name);
    for (int i = 0; i < params__row_count; i++)
        if (strncmp(params__rows[i].name, name, size) == 0 && params__rows[i].name[size] == '.')
            return true;
    return false;
}

static int apply_object(struct job_params *p, const char *prefix, const json_t *object, struct err *e);

static int apply_group(struct job_params *p, const char *name, const json_t *object, struct err *e)
{
    char prefix[2 * PARAMS_NAME_MAX + 1];
    snprintf(prefix, sizeof prefix, "%s.", name);
    return apply_object(p, prefix, object, e);
}

static int apply_object(struct job_params *p, const char *prefix, const json_t *object, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char name[2 * PARAMS_NAME_MAX];
        snprintf(name, sizeof name, "%.70s%.*s", prefix, PARAMS_NAME_MAX - 1, key);
        const struct params_row *r = strchr(key, '.') ? NULL : params__row(name);
        int result;
        if (r)
            result = params__apply_value(p, r, value, e);
        else if (prefix[0] == '\0' && is_group(name) && json_is_object(value))
            result = apply_group(p, name, value, e);
        else if (prefix[0] == '\0' && is_group(name))
            result = params__refuse(name, e, "must be an object");
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
        return params__refuse("size", e, why);
    if (set_int(p, params__row("size.width"), width, e) != 0)
        return -1;
    return set_int(p, params__row("size.height"), height, e);
}

int params_apply_text(struct job_params *p, const char *name, const char *value, struct err *e)
{
    const struct params_row *r = params__row(name);
    int64_t number = -1;
    double real;
    if (strncmp(name, "tags.", 5) == 0 && name[5])
        return set_tag(p, name + 5, value, e);
    if (!r)
        return refuse_unknown(name, e);
    switch (r->kind) {
    case PARAM_INT:
    case PARAM_SIDE:
        return integer_text(value, &number) == 0 ? set_int(p, r, number, e) : refuse_range(r, e);
    case PARAM_SEED:
        return set_seed(p, r, integer_text(value, &number) == 0 ? number : -1, e);
    case PARAM_REAL:
        return real_text(value, &real) == 0 ? set_real(p, r, real, e) : refuse_range(r, e);
    case PARAM_BOOL:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return params__refuse(name, e, "must be true or false");
        *params__bool_at(p, r) = value[0] == 't';
        return 0;
    case PARAM_TEXT:
        return set_text(p, r, value, strlen(value), e);
    case PARAM_ENUM:
        return set_choice(p, r, value, e);
    case PARAM_FPS:
        return set_fps(p, r, value, e);
    case PARAM_SIZE:
        return apply_size_text(p, value, e);
    case PARAM_TAGS:
        return params__refuse(name, e, "must be given as tags.NAME");
    }
    return 0;
}
