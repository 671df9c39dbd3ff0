#include "base/json.h"

#include "base/clock.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *json_parse(const char *text, size_t size, enum err_code code, struct err *e)
{
    json_error_t why;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    /* The text is well formed; only the number is beyond what any of ours may be. */
    if (!value && code == ERR_bad_request && json_error_code(&why) == json_error_numeric_overflow)
        code = ERR_params_invalid;
    if (!value)
        err_set(e, code, "not valid JSON: %s (line %d, column %d)", why.text, why.line, why.column);
    return value;
}

char *json_text(const json_t *value, bool canonical)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9) | (canonical ? JSON_SORT_KEYS : 0);
    char *text = json_dumps(value, flags);
    if (!text)
        abort();
    return text;
}

int json_as_int(const json_t *value, int64_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return 0;
    }
    /* Up to 2^53 a double is an exact integer; beyond that the sender's number is unknown. */
    double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 9007199254740992.0)
        return -1;
    *out = (int64_t)real;
    return 0;
}

static int wrong(const char *key, const char *wanted, struct err *e)
{
    char field[96];
    snprintf(field, sizeof field, "/%s", key);
    return err_set_field(e, ERR_params_invalid, field, "%s must be %s", key, wanted);
}

static int missing(const char *key, struct err *e)
{
    char field[96];
    snprintf(field, sizeof field, "/%s", key);
    return err_set_field(e, ERR_params_invalid, field, "%s is missing", key);
}

int json_opt_str(const json_t *object, const char *key, const char **out, struct err *e)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return wrong(key, "a string", e);
    *out = json_string_value(value);
    return 0;
}

int json_opt_int(const json_t *object, const char *key, int64_t *out, struct err *e)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return 0;
    return json_as_int(value, out) == 0 ? 0 : wrong(key, "an integer", e);
}

int json_opt_bool(const json_t *object, const char *key, bool *out, struct err *e)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return wrong(key, "true or false", e);
    *out = json_is_true(value);
    return 0;
}

int json_need_str(const json_t *object, const char *key, const char **out, struct err *e)
{
    return json_object_get(object, key) ? json_opt_str(object, key, out, e) : missing(key, e);
}

int json_need_int(const json_t *object, const char *key, int64_t *out, struct err *e)
{
    return json_object_get(object, key) ? json_opt_int(object, key, out, e) : missing(key, e);
}

json_t *json_safe_string(const char *text)
{
    size_t room = 3 * strlen(text) + 4;
    json_t *value = json_string(text);
    if (value)
        return value;
    char *clean = malloc(room);
    if (!clean)
        abort();
    text_clean(clean, room, text);
    value = json_string(clean);
    free(clean);
    if (!value)
        abort();
    return value;
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value ? value : json_null()) != 0)
        abort();
}

void json_put_str(json_t *object, const char *key, const char *value_or_null)
{
    json_put(object, key, value_or_null ? json_safe_string(value_or_null) : NULL);
}

void json_put_int(json_t *object, const char *key, int64_t value)
{
    json_t *number = json_integer(value);
    if (!number)
        abort();
    json_put(object, key, number);
}

void json_put_bool(json_t *object, const char *key, bool value)
{
    json_put(object, key, json_boolean(value));
}

void json_put_real(json_t *object, const char *key, double value)
{
    json_put(object, key, isfinite(value) ? json_real(value) : NULL);
}

void json_put_time(json_t *object, const char *key, int64_t wall_ms_or_0)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms_or_0 == 0) {
        json_put(object, key, NULL);
        return;
    }
    clock_format(wall_ms_or_0, text);
    json_put_str(object, key, text);
}
