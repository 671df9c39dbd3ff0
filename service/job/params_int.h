/* params_int.h - the table of parameters and what its users share: params_rows.c holds the rows, params_read.c sets
 * values from JSON and from text, params.c does the rest. */
#ifndef LONGANIM_JOB_PARAMS_INT_H
#define LONGANIM_JOB_PARAMS_INT_H

#include "job/params.h"

#include <stddef.h>
#include <stdint.h>

enum { PARAMS_NAME_MAX = 80 };

enum params_kind {
    PARAM_INT,
    PARAM_SEED,
    PARAM_REAL,
    PARAM_BOOL,
    PARAM_TEXT,
    PARAM_ENUM,
    PARAM_FPS,
    PARAM_SIZE,
    PARAM_SIDE,
    PARAM_TAGS
};

struct params_row {
    const char *name; /* dotted */
    enum params_kind kind;
    size_t offset;
    double min, max;     /* texts: largest size in bytes */
    double unset;        /* PARAM_INT and PARAM_REAL: the field's value for "the model's"; NAN = none */
    const char *choices; /* enumerations: "a|b|c" in the order of the values */
    int first_choice;    /* value of the first one; values below it are "the model's" */
    const char *fallback, *doc;
};

extern const struct params_row params__rows[];
extern const int params__row_count;
const struct params_row *params__row(const char *name); /* NULL = no such parameter */

/* The field that a row is about. */
static inline int32_t *params__int_at(const struct job_params *p, const struct params_row *r)
{
    return (int32_t *)(void *)((char *)(uintptr_t)p + r->offset);
}

static inline double *params__real_at(const struct job_params *p, const struct params_row *r)
{
    return (double *)(void *)((char *)(uintptr_t)p + r->offset);
}

static inline bool *params__bool_at(const struct job_params *p, const struct params_row *r)
{
    return (bool *)((char *)(uintptr_t)p + r->offset);
}

static inline char *params__text_at(const struct job_params *p, const struct params_row *r)
{
    return (char *)(uintptr_t)p + r->offset;
}

/* params_invalid with the name as JSON pointer; -1. */
int params__refuse(const char *name, struct err *e, const char *why);
int params__apply_value(struct job_params *p, const struct params_row *r, const json_t *value, struct err *e);

#endif
