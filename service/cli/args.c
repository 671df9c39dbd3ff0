#include "cli/cli.h"

#include "base/json.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENT_MAX = 1 << 20 };

static void job_init(struct cli_job *j)
{
    memset(j, 0, sizeof *j);
    params_init(&j->params);
}

static void job_fini(struct cli_job *j)
{
    for (int i = 0; i < j->fields.count; i++)
        free((char *)j->fields.items[i]);
    json_decref(j->document);
    params_free(&j->params);
}

static bool in_fields(const struct cli_job *j, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < j->fields.count; i++)
        if (strncmp(j->fields.items[i], name, length) == 0 && j->fields.items[i][length] == '=')
            return true;
    return false;
}

bool cli_job_gives(const struct cli_job *j, const char *name)
{
    return in_fields(j, name) || (j->document && params_given(j->document, name));
}

/* ---- help ---- */

static void show_param(void *user, const char *name, const char *type, const char *fallback, const char *doc)
{
    FILE *to = user;
    fprintf(to, "  --%s %s\n        %s%s%s%s\n", name, type, doc, fallback[0] ? " (" : "", fallback,
            fallback[0] ? ")" : "");
}

static void show_help(const struct cli_usage *u, FILE *to)
{
    fprintf(to, "usage: longanim %s%s%s%s%s\n\n%s\n", u->name, u->option_count || u->job || u->config ? " [FLAG…]" : "",
            u->positional[0] ? " " : "", u->positional, "", u->text);
    if (u->option_count)
        fprintf(to, "\nFlags:\n");
    for (int i = 0; i < u->option_count; i++) {
        const struct cli_option *o = &u->options[i];
        char letter[8] = "";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        fprintf(to, "  %s%s%s%s\n        %s\n", letter, o->name, o->value ? " " : "", o->value ? o->value : "", o->doc);
    }
    if (u->job) {
        fprintf(to, "\nParameters of the job (or --params TEXT or @FILE, as JSON):\n");
        params_each(show_param, to);
    }
    if (u->config) {
        fprintf(to, "\nSettings:\n");
        config_help(u->config, to);
    }
}

/* ---- reading ---- */

static int read_document(struct cli_job *j, const char *text, struct err *e)
{
    struct buf b;
    if (j->document)
        return err_set(e, ERR_params_invalid, "--params is given twice");
    buf_init(&b, DOCUMENT_MAX);
    if (text[0] == '@' ? fs_read(text + 1, &b, e) != 0 : buf_add_str(&b, text) != 0)
        return -1;
    j->document = json_parse(b.data ? b.data : "", b.size, ERR_params_invalid, e);
    buf_free(&b);
    return j->document ? params_apply_json(&j->params, j->document, e) : -1;
}

static int read_param(struct cli_job *j, const char *name, const char *value, struct err *e)
{
    char field[128 + PARAMS_TEXT_MAX];
    if (in_fields(j, name))
        return err_set(e, ERR_params_invalid, "--%s is given twice", name);
    if (params_apply_text(&j->params, name, value, e) != 0)
        return -1;
    if (j->fields.count == CLI_LIST_MAX)
        return err_set(e, ERR_params_invalid, "too many flags; use --params @file");
    if (snprintf(field, sizeof field, "%s=%s", name, value) >= (int)sizeof field)
        return err_set(e, ERR_params_invalid, "--%s is too long", name);
    char *own = strdup(field);
    if (!own)
        abort();
    j->fields.items[j->fields.count++] = own;
    return 0;
}

static int read_int(const char *name, const char *value, int64_t *out, struct err *e)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end)
        return err_set(e, ERR_params_invalid, "%s: \"%s\" is not a number", name, value);
    *out = n;
    return 0;
}

static int read_real(const char *name, const char *value, double *out, struct err *e)
{
    char *end;
    errno = 0;
    double n = strtod(value, &end);
    if (errno || end == value || *end || !isfinite(n))
        return err_set(e, ERR_params_invalid, "%s: \"%s\" is not a number", name, value);
    *out = n;
    return 0;
}

static int take_value(const struct cli_option *o, const char *value, struct err *e)
{
    struct cli_list *list = o->to;
    switch (o->kind) {
    case CLI_SWITCH:
        *(bool *)o->to = true;
        return 0;
    case CLI_TEXT:
        *(const char **)o->to = value;
        return 0;
    case CLI_INT:
        return read_int(o->name, value, o->to, e);
    case CLI_REAL:
        return read_real(o->name, value, o->to, e);
    case CLI_LIST:
        break;
    }
    if (list->count == CLI_LIST_MAX)
        return err_set(e, ERR_params_invalid, "%s is given too often", o->name);
    list->items[list->count++] = value;
    return 0;
}

static const struct cli_option *find(const struct cli_usage *u, const char *name, size_t length)
{
    for (int i = 0; i < u->option_count; i++) {
        const struct cli_option *o = &u->options[i];
        bool is_letter = length == 2 && name[0] == '-' && o->letter && name[1] == o->letter;
        if (is_letter || (strlen(o->name) == length && memcmp(o->name, name, length) == 0))
            return o;
    }
    return NULL;
}

static int unknown(const struct cli_usage *u, const char *flag, struct err *e)
{
    const char *names[64];
    int count = 0;
    for (int i = 0; i < u->option_count && count < 63; i++)
        names[count++] = u->options[i].name;
    const char *nearest = text_nearest(flag, names, count);
    const char *param = u->job ? params_nearest(flag + 2) : NULL;
    if (param && (!nearest || text_distance(flag + 2, param) < text_distance(flag, nearest)))
        return err_set(e, ERR_params_invalid, "there is no flag %s; the nearest is --%s", flag, param);
    return err_set(e, ERR_params_invalid, "there is no flag %s%s%s", flag, nearest ? "; the nearest is " : "",
                   nearest ? nearest : "");
}

/* One flag at argv[*i]; moves *i over its value. */
static int read_flag(struct cli_args *a, const struct cli_usage *u, int argc, char **argv, int *i, struct err *e)
{
    char name[128];
    const char *flag = argv[*i], *equals = strncmp(flag, "--", 2) == 0 ? strchr(flag, '=') : NULL;
    size_t length = equals ? (size_t)(equals - flag) : strlen(flag);
    const struct cli_option *o = find(u, flag, length);
    if (length >= sizeof name)
        return err_set(e, ERR_params_invalid, "a flag is too long");
    memcpy(name, flag, length);
    name[length] = 0;
    bool params = u->job && strcmp(name, "--params") == 0;
    bool param = u->job && !o && strncmp(name, "--", 2) == 0 && params_known(name + 2);
    if (!o && !params && !param)
        return unknown(u, name, e);
    if (o && o->kind == CLI_SWITCH)
        return equals ? err_set(e, ERR_params_invalid, "%s takes no value", name) : take_value(o, NULL, e);
    const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    if (!value)
        return err_set(e, ERR_params_invalid, "%s needs a value", name);
    if (params)
        return read_document(&a->job, value, e);
    return param ? read_param(&a->job, name + 2, value, e) : take_value(o, value, e);
}

static int read_all(struct cli_args *a, const struct cli_usage *u, int argc, char **argv, struct err *e)
{
    bool only_rest = false;
    for (int i = 1; i < argc; i++) {
        if (!only_rest && strcmp(argv[i], "--") == 0)
            only_rest = true;
        else if (!only_rest && argv[i][0] == '-' && argv[i][1]) {
            if (read_flag(a, u, argc, argv, &i, e) != 0)
                return -1;
        } else
            a->rest[a->rest_count++] = argv[i];
    }
    if (a->rest_count < u->min_rest || a->rest_count > u->max_rest)
        return err_set(e, ERR_params_invalid, "%s",
                       a->rest_count < u->min_rest ? "an argument is missing" : "there are too many arguments");
    for (int i = 0; i < a->job.fields.count && a->job.document; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(a->job.fields.items[i], "="), a->job.fields.items[i]);
        if (params_given(a->job.document, name))
            return err_set(e, ERR_params_invalid, "%s is given as a flag and in --params", name);
    }
    return u->job ? params_check(&a->job.params, e) : 0;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int cli_args(struct cli_args *out, const struct cli_usage *u, int argc, char **argv)
{
    struct err e = {0};
    memset(out, 0, sizeof *out);
    job_init(&out->job);
    if (wants_help(argc, argv)) {
        show_help(u, stdout);
        return CLI_DONE;
    }
    out->rest = calloc((size_t)argc + 1, sizeof *out->rest);
    if (!out->rest)
        abort();
    if ((u->config && config_read(&out->config, u->config, &argc, argv, true, &e) != 0) ||
        read_all(out, u, argc, argv, &e) != 0) {
        fprintf(stderr, "longanim %s: %s%s%s\n(longanim %s --help)\n", u->name, e.detail, e.field[0] ? ", at " : "",
                e.field, u->name);
        return CLI_USAGE;
    }
    return -1;
}

void cli_args_free(struct cli_args *a)
{
    config_free(&a->config);
    job_fini(&a->job);
    free(a->rest);
}
