/* create_json.c - POST /jobs with a JSON body that names finished uploads. */
#include "create_int.h"
#include "uploads.h"
#include "videos.h"

#include "base/json.h"
#include "base/text.h"

#include <string.h>

static int refuse_unknown(const json_t *object, const char *const *known, int count, const char *at, struct err *e)
{
    const char *key;
    json_t *value;
    char field[96];

    json_object_foreach((json_t *)(intptr_t)object, key, value)
    {
        const char *nearest = text_nearest(key, known, count);
        if (strcmp(key, nearest) == 0)
            continue;
        snprintf(field, sizeof field, "%.20s/%.60s", at, key);
        return err_set_field(e, ERR_params_invalid, field, "no such member; the nearest is %s", nearest);
    }
    return 0;
}

/* {"upload_id": "u0_…"} */
static int take_upload(const json_t *value, const char *at, const char **out, struct err *e)
{
    static const char *const known[] = {"upload_id"};
    const json_t *id = json_object_get(value, "upload_id");

    if (!json_is_object(value) || !json_is_string(id))
        return err_set_field(e, value ? ERR_params_invalid : ERR_part_missing, at,
                             "an object with upload_id is needed");
    if (refuse_unknown(value, known, 1, at, e))
        return -1;
    *out = json_string_value(id);
    return 0;
}

/* A member that may be missing. */
static int take_optional(struct creation *c, struct worker *w, const json_t *object, const char *name,
                         struct spooled *out, struct err *e)
{
    const json_t *value = json_object_get(object, name);
    const char *id = NULL;

    if (!value)
        return 0;
    return take_upload(value, name, &id, e) || uploads_fetch(c->app, w, c->who.tenant, id, name, out, e) ? -1 : 0;
}

int create_take_named(struct creation *c, struct worker *w, struct err *e)
{
    if (c->video_upload[0] && c->video.path[0])
        return err_set_field(e, ERR_part_duplicate, "video", "sent and named as an upload, too");
    if (c->video_upload[0] && uploads_fetch(c->app, w, c->who.tenant, c->video_upload, "video", &c->video, e))
        return -1;
    if (c->reference_upload[0] == 0)
        return 0;
    if (c->reference_count == MANIFEST_REFERENCES_MAX)
        return err_set_field(e, ERR_part_duplicate, "reference", "there may be at most %d references",
                             MANIFEST_REFERENCES_MAX);
    if (uploads_fetch(c->app, w, c->who.tenant, c->reference_upload, "reference", &c->references[c->reference_count],
                      e))
        return -1;
    c->reference_count++;
    return 0;
}

int create_take_json(struct creation *c, struct worker *w, struct err *e)
{
    static const char *const known[] = {"video", "reference", "params", "palette", "timesheet"};
    json_t *object = json_parse(c->text.data ? c->text.data : "", c->text.size, ERR_bad_request, e), *references,
           *params;
    const char *id = NULL;
    char at[32];
    int rc = -1;

    if (!object)
        return -1;
    if (c->videos)
        object = videos_reshape(object);
    if (!json_is_object(object)) {
        err_set(e, ERR_params_invalid, "the body must be a JSON object");
        goto out;
    }
    references = json_object_get(object, "reference");
    params = json_object_get(object, "params");
    if (refuse_unknown(object, known, 5, "", e) || take_upload(json_object_get(object, "video"), "video", &id, e) ||
        uploads_fetch(c->app, w, c->who.tenant, id, "video", &c->video, e))
        goto out;
    if (!references || json_array_size(references) == 0) {
        err_set_field(e, references ? ERR_params_invalid : ERR_part_missing, "reference",
                      "an array of 1 to %d is needed", MANIFEST_REFERENCES_MAX);
        goto out;
    }
    if (json_array_size(references) > MANIFEST_REFERENCES_MAX) {
        err_set_field(e, ERR_part_duplicate, "reference", "there may be at most %d references",
                      MANIFEST_REFERENCES_MAX);
        goto out;
    }
    for (size_t i = 0; i < json_array_size(references); i++) {
        snprintf(at, sizeof at, "reference/%zu", i);
        if (take_upload(json_array_get(references, i), at, &id, e) ||
            uploads_fetch(c->app, w, c->who.tenant, id, at, &c->references[c->reference_count], e))
            goto out;
        c->reference_count++;
    }
    if (take_optional(c, w, object, "palette", &c->palette, e) ||
        take_optional(c, w, object, "timesheet", &c->timesheet, e))
        goto out;
    if (params && !json_is_object(params)) {
        err_set_field(e, ERR_params_invalid, "params", "params must be a JSON object");
        goto out;
    }
    c->params = json_incref(params);
    rc = 0;
out:
    json_decref(object);
    return rc;
}
