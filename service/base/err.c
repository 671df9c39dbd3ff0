#include "base/err.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_info table[ERR_COUNT] = {[ERR_none] = {"none", 200, ERR_CLASS_CLIENT, "No error"},
#define ERR_ROW(code, status, class, title) [ERR_##code] = {#code, status, ERR_CLASS_##class, title},
                                                 ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

const struct err_info *err_info(enum err_code code)
{
    return &table[(unsigned)code < ERR_COUNT ? code : ERR_internal];
}

enum err_code err_by_name(const char *name)
{
    for (int code = 1; code < ERR_COUNT; code++)
        if (strcmp(table[code].name, name) == 0)
            return (enum err_code)code;
    return ERR_none;
}

bool err_retryable(enum err_code code)
{
    switch (err_info(code)->class) {
    case ERR_CLASS_RETRY:
    case ERR_CLASS_TRANSIENT:
    case ERR_CLASS_STORAGE:
    case ERR_CLASS_OOM:
        return true;
    case ERR_CLASS_CLIENT:
    case ERR_CLASS_MEDIA:
    case ERR_CLASS_FATAL:
        break;
    }
    return false;
}

static int fill(struct err *e, enum err_code code, const char *field, const char *format, va_list arguments)
{
    char raw[sizeof e->detail];
    if (!e)
        return -1;
    int written = vsnprintf(raw, sizeof raw, format, arguments);
    e->code = code;
    text_clean(e->field, sizeof e->field, field);
    text_clean(e->detail, sizeof e->detail, written < 0 ? err_info(code)->title : raw);
    return -1;
}

int err_set(struct err *e, enum err_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(e, code, "", format, arguments);
    va_end(arguments);
    return -1;
}

int err_set_field(struct err *e, enum err_code code, const char *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(e, code, field, format, arguments);
    va_end(arguments);
    return -1;
}
