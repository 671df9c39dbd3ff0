#include "models.h"

#include "app.h"

#include "base/json.h"
#include "base/text.h"
#include "base/version.h"

#include <string.h>

enum { NAMES_MAX = 64 };

/* The names in "name=dir[,name=dir…]", in order. The options of a null model look like further rows ("a=null:x=1,y=2"),
 * so behind one only an item with a folder or another null model begins a row. */
static void add_configured(json_t *models, const char *setting)
{
    bool after_null = false;

    for (const char *at = setting; at && *at; at += strcspn(at, ","), at += *at == ',') {
        size_t size = strcspn(at, "=,"), item = strcspn(at, ",");
        bool null = strncmp(at + size, "=null:", 6) == 0;
        char name[MODELS_NAME_MAX + 1];
        if (size == 0 || size >= sizeof name || at[size] != '=' ||
            (after_null && !null && (!memchr(at + size, '/', item - size) || strncmp(at, "fault_file=", 11) == 0)))
            continue;
        memcpy(name, at, size);
        name[size] = 0;
        json_put(models, name, json_null());
        after_null = null;
    }
}

int models_all(struct app *app, struct worker *w, json_t **out, struct err *e)
{
    json_t *announced = NULL, *models, *description;
    const char *name;

    if (queue_models(w->queue, &announced, e))
        return -1;
    models = json_object();
    add_configured(models, app->config->models);
    json_object_foreach(announced, name, description)
    {
        json_put(models, name, json_incref(description));
    }
    if (json_object_size(models) == 0)
        json_put(models, LONGANIM_MODEL_SHIPPED, json_null());
    json_decref(announced);
    *out = models;
    return 0;
}

int models_find(struct app *app, struct worker *w, const char *name, char out_name[MODELS_NAME_MAX + 1],
                json_t **out_description, struct err *e)
{
    const char *names[NAMES_MAX], *key;
    json_t *models = NULL, *value, *found = NULL;
    int count = 0;

    if (models_all(app, w, &models, e))
        return -1;
    json_object_foreach(models, key, value)
    {
        if (count < NAMES_MAX)
            names[count++] = key;
        if (!found && (name[0] == 0 || strcmp(name, key) == 0)) {
            found = value;
            text_copy(out_name, MODELS_NAME_MAX + 1, key);
        }
    }
    if (!found)
        err_set_field(e, ERR_model_unknown, "/model", "there is no model of this name; the nearest is %s",
                      text_nearest(name, names, count));
    else
        *out_description = json_is_object(found) ? json_incref(found) : NULL;
    json_decref(models);
    return found ? 0 : -1;
}
