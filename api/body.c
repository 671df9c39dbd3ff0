#include "body.h"

#include "fields.h"

#include "base/json.h"
#include "base/text.h"

#include <string.h>

int body_object(struct req *r, bool optional, const char *const *known, json_t **out, struct err *e)
{
    char type[64];
    json_t *body, *value;
    const char *key;
    int count = 0;

    if (optional && r->body.size == 0) {
        *out = json_object();
        return 0;
    }
    fields_media_type(req_header(r, REQ_content_type), type, sizeof type);
    if (strcmp(type, "application/json") != 0)
        return err_set_field(e, ERR_unsupported_media_type, "Content-Type", "send application/json");
    body = json_parse(r->body.data ? r->body.data : "", r->body.size, ERR_bad_request, e);
    if (!body)
        return -1;
    if (!json_is_object(body)) {
        json_decref(body);
        return err_set(e, ERR_params_invalid, "the body must be a JSON object");
    }
    while (known[count])
        count++;
    json_object_foreach(body, key, value)
    {
        const char *nearest = text_nearest(key, known, count);
        if (strcmp(key, nearest) == 0)
            continue;
        err_set_field(e, ERR_params_invalid, key, "no such member; the nearest is %s", nearest);
        json_decref(body);
        return -1;
    }
    *out = body;
    return 0;
}
