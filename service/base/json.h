/* json.h - reading fields out of jansson values, with errors that name the field.
 *
 * jansson is not to be trusted with threads that switch locale, duplicate keys or reals; this is the one place
 * that knows. Reading functions: 0 and *out set, or -1 and params_invalid with field = JSON pointer (who reads a
 * document of our own translates that to internal). A missing optional field leaves *out as it was and returns 0.
 * An integer may be written 7.0. */
#ifndef LONGANIM_BASE_JSON_H
#define LONGANIM_BASE_JSON_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Parses one JSON text of at most `size` bytes: duplicate keys, NUL, and trailing bytes refused.
 * On failure returns NULL and sets e to `code` (bad_request becomes params_invalid for a number out of range). The
 * caller owns the reference. */
json_t *json_parse(const char *text, size_t size, enum err_code code, struct err *e);

/* Compact text, keys in insertion order (sorted when `canonical`); malloc'ed, never NULL (aborts without memory). */
char *json_text(const json_t *value, bool canonical);

/* The integer that this value is; -1 when it is none. */
int json_as_int(const json_t *value, int64_t *out);

int json_need_str(const json_t *object, const char *key, const char **out, struct err *e);
int json_need_int(const json_t *object, const char *key, int64_t *out, struct err *e);
int json_opt_str(const json_t *object, const char *key, const char **out, struct err *e);
int json_opt_int(const json_t *object, const char *key, int64_t *out, struct err *e);
int json_opt_bool(const json_t *object, const char *key, bool *out, struct err *e);

/* A string value for any bytes: broken UTF-8 and NUL become U+FFFD. Never NULL. */
json_t *json_safe_string(const char *text);

/* Sets object[key], taking the reference; aborts when memory is out (no partial documents). NULL value = null. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_str(json_t *object, const char *key, const char *value_or_null);
void json_put_int(json_t *object, const char *key, int64_t value);
void json_put_bool(json_t *object, const char *key, bool value);
void json_put_real(json_t *object, const char *key, double value);
void json_put_time(json_t *object, const char *key, int64_t wall_ms_or_0); /* 0 = null */

#endif
