#include "base/config.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_STR, KIND_WORD, KIND_INT, KIND_PIXELS };

struct row {
    enum kind kind;
    size_t offset;
    const char *env, *flag, *fallback;
    int64_t fallback_int, min, max;
    int who;
    const char *doc;
    const char *choices; /* of KIND_WORD: "a|b|c" */
};

static const struct row rows[] = {
#define CONFIG_STR(field, env, flag, fallback, who, doc)                                                               \
    {KIND_STR, offsetof(struct config, field), env, flag, fallback, 0, 0, 0, who, doc, NULL},
#define CONFIG_WORD(field, env, flag, fallback, choices, who, doc)                                                     \
    {KIND_WORD, offsetof(struct config, field), env, flag, fallback, 0, 0, 0, who, doc, choices},
#define CONFIG_INT(field, env, flag, fallback, min, max, who, doc)                                                     \
    {KIND_INT, offsetof(struct config, field), env, flag, "", fallback, min, max, who, doc, NULL},
#define CONFIG_PIXELS(field, env, flag, fallback, min, max, who, doc)                                                  \
    {KIND_PIXELS, offsetof(struct config, field), env, flag, "", fallback, min, max, who, doc, NULL},
#include "base/config_table.h"
};
enum { ROWS = sizeof rows / sizeof *rows, FILE_MAX_BYTES = 256 * 1024 };

static const struct {
    int who;
    const char *name;
} programs[] = {{CONFIG_API, "api"},     {CONFIG_WORKER, "worker"}, {CONFIG_SERVE, "serve"},  {CONFIG_TOOL, "tool"},
                {CONFIG_PROBE, "probe"}, {CONFIG_AUDIT, "audit"},   {CONFIG_REMOTE, "remote"}};

static bool is_text(const struct row *r)
{
    return r->kind == KIND_STR || r->kind == KIND_WORD;
}

static char **str_of(const struct config *c, const struct row *r)
{
    return (char **)((char *)(uintptr_t)c + r->offset);
}

static int64_t *int_of(const struct config *c, const struct row *r)
{
    return (int64_t *)(void *)((char *)(uintptr_t)c + r->offset);
}

static char *copy(const char *text)
{
    char *own = strdup(text);
    if (!own)
        abort();
    return own;
}

static int parse_int(const char *text, const char **end, int64_t *out)
{
    char *stop;
    errno = 0;
    long long value = strtoll(text, &stop, 10);
    if (stop == text || errno != 0 || *text == '+' || *text == ' ')
        return -1;
    *end = stop;
    *out = value;
    return 0;
}

/* "4096x4096" or an integer. */
static int parse_number(const struct row *r, const char *text, int64_t *out)
{
    const char *end;
    int64_t value, height;
    if (parse_int(text, &end, &value) != 0)
        return -1;
    if (r->kind == KIND_PIXELS && *end == 'x') {
        if (parse_int(end + 1, &end, &height) != 0 || value < 1 || height < 1 || value > r->max || height > r->max)
            return -1;
        value *= height;
    }
    if (*end != '\0')
        return -1;
    *out = value;
    return 0;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *at = choices; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == length && strncmp(at, value, length) == 0)
            return true;
    return false;
}

/* "a|b|c" as "a, b or c". */
static void choices_text(const char *choices, char out[80])
{
    size_t used = 0;
    for (const char *at = choices; *at && used < 60;) {
        size_t length = strcspn(at, "|");
        const char *next = at + length + (at[length] == '|');
        const char *join = at == choices ? "" : *next ? ", " : " or ";
        used += (size_t)snprintf(out + used, 80 - used, "%s%.*s", join, (int)length, at);
        at = next;
    }
}

static int set_text(struct config *c, const struct row *r, const char *value, const char *source, struct err *e)
{
    char choices[80];
    if (!text_utf8_valid(value, strlen(value)))
        return err_set_field(e, ERR_params_invalid, r->env, "%s (%s) is not UTF-8", r->env, source);
    if (r->kind == KIND_WORD && value[0] == '\0')
        value = r->fallback;
    if (r->kind == KIND_WORD && !is_choice(r->choices, value)) {
        choices_text(r->choices, choices);
        return err_set_field(e, ERR_params_invalid, r->env, "%s (%s) must be %s, not %.60s", r->env, source, choices,
                             value);
    }
    free(*str_of(c, r));
    *str_of(c, r) = copy(value);
    return 0;
}

static int set(struct config *c, const struct row *r, const char *value, const char *source, struct err *e)
{
    int64_t number;
    const char *name = r->env;
    if (is_text(r))
        return set_text(c, r, value, source, e);
    if (value[0] == '\0') {
        *int_of(c, r) = r->fallback_int;
        return 0;
    }
    if (parse_number(r, value, &number) != 0)
        return err_set_field(e, ERR_params_invalid, name, "%s (%s) is not %s: %.60s", name, source,
                             r->kind == KIND_PIXELS ? "WIDTHxHEIGHT or an integer" : "an integer", value);
    if (number < r->min || number > r->max)
        return err_set_field(e, ERR_params_invalid, name, "%s (%s) must be %lld to %lld, not %lld", name, source,
                             (long long)r->min, (long long)r->max, (long long)number);
    *int_of(c, r) = number;
    return 0;
}

static const struct row *row_by(const char *name, size_t length, bool by_flag)
{
    for (int i = 0; i < ROWS; i++) {
        const char *own = by_flag ? rows[i].flag : rows[i].env;
        if (own[0] && strlen(own) == length && strncmp(own, name, length) == 0)
            return &rows[i];
    }
    return NULL;
}

static const char *nearest(const char *wanted, bool by_flag, int who)
{
    const char *names[ROWS];
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        const char *own = by_flag ? rows[i].flag : rows[i].env;
        if (own[0] && (rows[i].who & who))
            names[count++] = own;
    }
    return text_nearest(wanted, names, count);
}

static int read_line(struct config *c, char *line, const char *path, int number, struct err *e)
{
    line += strspn(line, " \t");
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r", line[length - 1]))
        line[--length] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return 0;
    char *equals = strchr(line, '=');
    size_t name_length = equals ? (size_t)(equals - line) : length;
    const struct row *r = equals ? row_by(line, name_length, false) : NULL;
    if (!r) {
        line[name_length] = '\0';
        return err_set_field(e, ERR_params_invalid, line, "%s, line %d: no setting %.60s; did you mean %s?", path,
                             number, line, nearest(line, false, ~0));
    }
    return set(c, r, equals + 1, path, e);
}

static int read_config_file(struct config *c, const char *path, struct err *e)
{
    struct buf text;
    int result = -1, number = 1;
    buf_init(&text, FILE_MAX_BYTES);
    if (fs_read(path, &text, e) != 0) {
        if (e)
            e->code = ERR_params_invalid;
        goto out;
    }
    for (char *line = text.data, *next; line && *line; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (read_line(c, line, path, number, e) != 0)
            goto out;
    }
    result = 0;
out:
    buf_free(&text);
    return result;
}

/* A flag at argv[i] together with its value; *used = arguments taken. out_row = NULL when it is none of ours. */
static int match_flag(char **argv, int argc, int i, int who, const struct row **out_row, const char **out_value,
                      int *used, struct err *e)
{
    const char *argument = argv[i];
    size_t length = strcspn(argument, "=");
    const struct row *r = row_by(argument, length, true);
    *out_row = NULL;
    if (!r || !(r->who & who))
        return 0;
    *used = 1;
    if (argument[length] == '=') {
        *out_value = argument + length + 1;
    } else if (i + 1 < argc) {
        *out_value = argv[i + 1];
        *used = 2;
    } else {
        return err_set_field(e, ERR_params_invalid, r->flag, "%s needs a value", r->flag);
    }
    *out_row = r;
    return 0;
}

static int read_flags(struct config *c, int who, int *argc, char **argv, bool allow_rest, struct err *e)
{
    int kept = 1, used = 1, i = 1;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i += used) {
        const struct row *r;
        const char *value = "";
        used = 1;
        if (match_flag(argv, *argc, i, who, &r, &value, &used, e) != 0)
            return -1;
        if (r) {
            if (set(c, r, value, r->flag, e) != 0)
                return -1;
        } else if (allow_rest) {
            argv[kept++] = argv[i];
        } else if (argv[i][0] == '-') {
            return err_set_field(e, ERR_params_invalid, argv[i], "unknown option %.60s; did you mean %s?", argv[i],
                                 nearest(argv[i], true, who));
        } else {
            return err_set_field(e, ERR_params_invalid, argv[i], "unexpected argument %.60s", argv[i]);
        }
    }
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    argv[kept] = NULL;
    *argc = kept;
    return 0;
}

/* The file has to be read before the flags, so its own flag is looked up first. */
static const char *config_file_name(int who, int argc, char **argv)
{
    const char *name = getenv("LONGANIM_CONFIG");
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const struct row *r;
        const char *value = NULL;
        int used = 1;
        if (match_flag(argv, argc, i, who, &r, &value, &used, NULL) == 0 && r && strcmp(r->flag, "--config") == 0)
            name = value;
        i += used - 1;
    }
    return name;
}

int config_read(struct config *out, int who, int *argc, char **argv, bool allow_rest, struct err *e)
{
    struct config c = {0};
    const char *file = config_file_name(who, *argc, argv);
    for (int i = 0; i < ROWS; i++) {
        if (is_text(&rows[i]))
            *str_of(&c, &rows[i]) = copy(rows[i].fallback);
        else
            *int_of(&c, &rows[i]) = rows[i].fallback_int;
    }
    if (file && file[0] && read_config_file(&c, file, e) != 0)
        goto fail;
    for (int i = 0; i < ROWS; i++) {
        const char *value = getenv(rows[i].env);
        if (value && value[0] && set(&c, &rows[i], value, "environment", e) != 0)
            goto fail;
    }
    if (read_flags(&c, who, argc, argv, allow_rest, e) != 0)
        goto fail;
    *out = c;
    return 0;
fail:
    config_free(&c);
    return -1;
}

void config_free(struct config *c)
{
    for (int i = 0; i < ROWS; i++)
        if (is_text(&rows[i]))
            free(*str_of(c, &rows[i]));
    *c = (struct config){0};
}

/* What a number or a word may be; "" for free text. */
static void range_text(const struct row *r, char out[80])
{
    out[0] = '\0';
    if (r->kind == KIND_WORD)
        choices_text(r->choices, out);
    else if (r->kind != KIND_STR && r->max == INT64_MAX)
        snprintf(out, 80, "≥ %lld", (long long)r->min);
    else if (r->kind != KIND_STR)
        snprintf(out, 80, "%lld to %lld", (long long)r->min, (long long)r->max);
}

static void fallback_text(const struct row *r, char *out, size_t size)
{
    if (is_text(r))
        snprintf(out, size, "%s", r->fallback[0] ? r->fallback : "not set");
    else
        snprintf(out, size, "%lld", (long long)r->fallback_int);
}

void config_help(int who, FILE *file)
{
    char fallback[80], choices[80];
    for (int i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        if (!(r->who & who))
            continue;
        fallback_text(r, fallback, sizeof fallback);
        choices[0] = '\0';
        if (r->kind == KIND_WORD)
            choices_text(r->choices, choices);
        fprintf(file, "  %-16s %-28s %s%s%s (%s)\n", r->flag, r->env, choices, choices[0] ? ": " : "", r->doc,
                fallback);
    }
}

void config_doc(FILE *file)
{
    char fallback[80], range[80];
    fprintf(file,
            "# Settings\n\n"
            "Made from `service/base/config_table.h` by `make docs`; do not edit.\n\n"
            "Later wins: default, file (`LONGANIM_CONFIG` or `--config`: lines `NAME=value` with the names of the\n"
            "environment), environment, flag (`--flag value` or `--flag=value`). An empty value means \"not set\".\n"
            "S3 keys come from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.\n\n"
            "| environment | flag | default | range | read by | meaning |\n|---|---|---|---|---|---|\n");
    for (int i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        const char *separator = "";
        fallback_text(r, fallback, sizeof fallback);
        range_text(r, range);
        fprintf(file, "| %s | %s | %s | %s | ", r->env, r->flag, fallback, range);
        for (size_t p = 0; p < sizeof programs / sizeof *programs; p++) {
            if (!(r->who & programs[p].who))
                continue;
            fprintf(file, "%s%s", separator, programs[p].name);
            separator = ", ";
        }
        fprintf(file, " | %s |\n", r->doc);
    }
}

/* The password in "redis://user:secret@host" is replaced; other texts as they are. malloc'ed. */
static char *redact(const char *value)
{
    const char *scheme = strstr(value, "://");
    size_t authority = scheme ? strcspn(scheme + 3, "/") : 0;
    const char *at = scheme ? memrchr(scheme + 3, '@', authority) : NULL; /* a password may hold one, too */
    struct buf b;
    if (!at)
        return copy(value);
    buf_init(&b, strlen(value) + 8);
    buf_add(&b, value, (size_t)(scheme + 3 - value));
    buf_printf(&b, "***%s", at);
    return buf_take(&b, NULL);
}

char *config_text(const struct config *c, int who)
{
    json_t *object = json_object();
    for (int i = 0; i < ROWS; i++) {
        if (!(rows[i].who & who))
            continue;
        if (is_text(&rows[i])) {
            char *value = redact(*str_of(c, &rows[i]));
            json_put_str(object, rows[i].env, value);
            free(value);
        } else {
            json_put_int(object, rows[i].env, *int_of(c, &rows[i]));
        }
    }
    char *text = json_text(object, false);
    json_decref(object);
    return text;
}

void config_log(const struct config *c, int who)
{
    char *text = config_text(c, who);
    log_event(LOG_DEBUG, "settings", "values", "s", text, NULL);
    free(text);
}

const char *config_secret(const char *env_name)
{
    const char *value = getenv(env_name);
    return value && value[0] ? value : NULL;
}

bool config_library_default(const char *name, const char *value)
{
    return !getenv(name) && setenv(name, value, 1) == 0;
}
