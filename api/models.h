/* models.h - which models there are: those of the settings and those that workers announce. Pool threads. */
#ifndef LONGANIM_API_MODELS_H
#define LONGANIM_API_MODELS_H

#include "pool.h"

#include <jansson.h>

struct app;

#define MODELS_NAME_MAX 63

/* The description of every known model by name, the default first; null where no worker has told yet. New reference.
 * dependency_redis. */
int models_all(struct app *app, struct worker *w, json_t **out, struct err *e);

/* The model called `name` ("" = the default): its name, its description (new reference; NULL = not told yet).
 * model_unknown with the nearest known one. */
int models_find(struct app *app, struct worker *w, const char *name, char out_name[MODELS_NAME_MAX + 1],
                json_t **out_description, struct err *e);

#endif
