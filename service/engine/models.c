/* The list of models: from text to handles. */
#include "engine/engine_int.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/version.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int shipped(struct engine_model *out, struct err *e)
{
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    struct stat st;
    if (fs_program_dir(folder, e) != 0 || fs_join(path, folder, "../models/" LONGANIM_MODEL_SHIPPED, e) != 0)
        return -1;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_model_error,
                       "no model is configured (LONGANIM_MODELS) and none is shipped beside the "
                       "program");
    if (strlen(path) >= sizeof out->dir)
        return err_set(e, ERR_internal, "the path of the shipped model is too long");
    *out = (struct engine_model){.name = LONGANIM_MODEL_SHIPPED, .backend = "longanimation"};
    memcpy(out->dir, path, strlen(path) + 1);
    return 1;
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* Options of the null back end contain commas and look like "name=value" too: after such a row, only an item with a
 * folder or another null back end in it begins the next row. */
static bool begins_row(const char *item)
{
    size_t size = strcspn(item, ",");
    const char *equals = memchr(item, '=', size);
    if (!equals || strncmp(item, "fault_file=", 11) == 0) /* one option is a path itself */
        return false;
    size_t rest = size - (size_t)(equals - item);
    return memchr(equals, '/', rest) || (rest >= 6 && memcmp(equals, "=null:", 6) == 0);
}

static int add_row(struct engine_model *out, const char *item, size_t size, struct err *e)
{
    const char *equals = memchr(item, '=', size);
    size_t name = equals ? (size_t)(equals - item) : 0, dir = equals ? size - name - 1 : 0;
    if (name == 0 || name >= sizeof out->name || dir == 0)
        return err_set_field(e, ERR_params_invalid, "models", "\"%.*s\" is not name=folder", (int)size, item);
    for (size_t i = 0; i < name; i++)
        if (!name_char(item[i]))
            return err_set_field(e, ERR_params_invalid, "models",
                                 "the model name \"%.*s\" has characters beside letters, digits, '.', '_' and '-'",
                                 (int)name, item);
    memset(out, 0, sizeof *out);
    memcpy(out->name, item, name);
    bool null = dir >= 5 && memcmp(equals + 1, "null:", 5) == 0;
    const char *from = equals + 1 + (null ? 5 : 0);
    dir -= null ? 5 : 0;
    if (dir >= sizeof out->dir)
        return err_set_field(e, ERR_params_invalid, "models", "a path is too long");
    memcpy(out->dir, from, dir);
    memcpy(out->backend, null ? "null" : "longanimation", null ? 5 : 14);
    return 0;
}

int engine_models_parse(const char *text, struct engine_model out[ENGINE_MODELS_MAX], struct err *e)
{
    if (!text || !*text)
        return shipped(out, e);
    struct engine_model rows[ENGINE_MODELS_MAX];
    int count = 0;
    for (const char *item = text, *end = text + strlen(text); item <= end;) {
        size_t size = strcspn(item, ",");
        bool null = memmem(item, size, "=null:", 6) != NULL;
        while (null && item[size] == ',' && !begins_row(item + size + 1))
            size += 1 + strcspn(item + size + 1, ",");
        if (count == ENGINE_MODELS_MAX)
            return err_set_field(e, ERR_params_invalid, "models", "more than %d models", ENGINE_MODELS_MAX);
        if (add_row(&rows[count], item, size, e) != 0)
            return -1;
        for (int i = 0; i < count; i++)
            if (strcmp(rows[i].name, rows[count].name) == 0)
                return err_set_field(e, ERR_params_invalid, "models", "model \"%s\" is given twice", rows[i].name);
        count++;
        item += size + 1;
    }
    memcpy(out, rows, sizeof rows[0] * (size_t)count);
    return count;
}

static int open_with(struct engine *g, int i, int64_t vram_budget_bytes, struct err *e)
{
    if (g->open[i])
        return 0;
    struct mdl_options o;
    struct mdl_error why = {0};
    g->lib.options_init(&o, sizeof o);
    if (model_lib_compute(g->conf.device, g->conf.dtype, &o, e) != 0)
        return -1;
    o.threads = g->conf.threads;
    o.vram_budget_bytes = vram_budget_bytes;
    int rc = g->lib.open(&g->open[i], g->models[i].backend, g->models[i].dir, &o, &why);
    if (rc == MDL_EINVAL)
        rc = MDL_EWEIGHTS; /* nothing of the request went in here */
    return model_lib_check(rc, &why, e);
}

static int open_model(struct engine *g, int i, struct err *e)
{
    return open_with(g, i, g->conf.vram_budget_bytes, e);
}

int engine__reopen(struct engine *g, const struct engine_model *row, int64_t vram_budget_bytes, mdl_model **out,
                   struct err *e)
{
    int i = (int)(row - g->models);
    g->lib.close(g->open[i]);
    g->open[i] = NULL;
    if (open_with(g, i, vram_budget_bytes, e) != 0)
        return -1;
    *out = g->open[i];
    return 0;
}

int engine__model(struct engine *g, const char *name, mdl_model **out, const struct engine_model **out_row,
                  struct err *e)
{
    int i = 0;
    while (i < g->model_count && *name && strcmp(g->models[i].name, name) != 0)
        i++;
    if (i == g->model_count)
        return err_set_field(e, ERR_model_unknown, "model", "there is no model \"%s\" here", name);
    if (open_model(g, i, e) != 0)
        return -1;
    *out = g->open[i];
    *out_row = &g->models[i];
    return 0;
}

const char *engine_describe(struct engine *g, struct err *e)
{
    if (g->description)
        return g->description;
    json_t *all = json_object();
    struct err first = {0};
    for (int i = 0; i < g->model_count; i++) {
        struct err why = {0};
        const char *text = open_model(g, i, &why) == 0 ? g->lib.describe(g->open[i]) : NULL;
        json_t *one = text ? json_parse(text, strlen(text), ERR_model_error, &why) : NULL;
        if (one) {
            json_put(all, g->models[i].name, one);
            continue;
        }
        log_event(LOG_ERROR, "model.unusable", "model", "s", g->models[i].name, "detail", "s", why.detail, NULL);
        if (!first.code)
            first = why;
    }
    if (json_object_size(all) > 0)
        g->description = json_text(all, false);
    json_decref(all);
    if (!g->description && e)
        *e = first;
    return g->description;
}

int engine_new(struct engine **out, const struct engine_conf *c, struct err *e)
{
    struct engine *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->conf = *c;
    g->model_count = engine_models_parse(c->models, g->models, e);
    struct mdl_options o;
    if (g->model_count < 0 || model_lib_compute(c->device, c->dtype, &o, e) != 0 || model_lib_open(&g->lib, e) != 0) {
        free(g);
        return -1;
    }
    *out = g;
    return 0;
}

void engine_free(struct engine *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->model_count; i++)
        g->lib.close(g->open[i]);
    free(g->description); /* the library stays loaded: libtorch does not survive dlclose */
    free(g);
}
