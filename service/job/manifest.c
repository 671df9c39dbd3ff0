#include "job/manifest.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1 };
static const char format_name[] = "longanimation-job";

void manifest_init(struct manifest *m)
{
    *m = (struct manifest){.priority = 5, .max_attempts = 3};
    params_init(&m->params);
}

void manifest_free(struct manifest *m)
{
    params_free(&m->params);
    *m = (struct manifest){0};
}

static json_t *fps_json(const struct manifest_file *f)
{
    char text[32];
    if (f->fps_num <= 0 || f->fps_den <= 0)
        return NULL;
    snprintf(text, sizeof text, "%d/%d", (int)f->fps_num, (int)f->fps_den);
    return json_string(text);
}

/* What people may see of a file; with `own` also what only we need. */
static json_t *file_json(const struct manifest_file *f, bool own)
{
    json_t *object = json_object();
    if (own)
        json_put_str(object, "key", f->key);
    json_put_str(object, "sha256", f->sha256);
    json_put_int(object, "bytes", f->bytes);
    json_put_str(object, "name", f->name);
    json_put_str(object, "container", f->container);
    json_put_int(object, "width", f->width);
    json_put_int(object, "height", f->height);
    json_put_int(object, "frames", f->frames);
    json_put(object, "fps", fps_json(f));
    if (own) {
        json_put_bool(object, "variable_rate", f->variable_rate);
        json_put_bool(object, "has_alpha", f->has_alpha);
        json_put_bool(object, "has_audio", f->has_audio);
    }
    return object;
}

/* Files that are no pictures. */
static json_t *plain_json(const struct manifest_file *f, bool own)
{
    json_t *object = json_object();
    if (own)
        json_put_str(object, "key", f->key);
    json_put_str(object, "sha256", f->sha256);
    json_put_int(object, "bytes", f->bytes);
    json_put_str(object, "name", f->name);
    return object;
}

static void put_plain(const struct manifest *m, bool own, json_t *to)
{
    if (m->palette.sha256[0])
        json_put(to, "palette", plain_json(&m->palette, own));
    if (m->timesheet.sha256[0])
        json_put(to, "timesheet", plain_json(&m->timesheet, own));
}

static json_t *references_json(const struct manifest *m, bool own)
{
    json_t *array = json_array();
    for (int i = 0; i < m->reference_count; i++)
        if (json_array_append_new(array, file_json(&m->references[i], own)) != 0)
            abort();
    return array;
}

json_t *manifest_input_json(const struct manifest *m)
{
    json_t *object = json_object();
    json_put(object, "video", file_json(&m->video, false));
    json_put(object, "references", references_json(m, false));
    put_plain(m, false, object);
    return object;
}

json_t *manifest_json(const struct manifest *m)
{
    json_t *object = json_object();
    json_put_str(object, "format", format_name);
    json_put_int(object, "version", FORMAT_VERSION);
    json_put_str(object, "id", m->id);
    json_put_str(object, "tenant", m->tenant);
    json_put_str(object, "pool", m->pool);
    json_put_int(object, "created_ms", m->created_ms);
    json_put_int(object, "priority", m->priority);
    json_put_int(object, "max_attempts", m->max_attempts);
    json_put_int(object, "deadline_ms", m->deadline_ms);
    json_put_int(object, "start_deadline_ms", m->start_deadline_ms);
    json_put(object, "params", params_json(&m->params));
    json_put(object, "video", file_json(&m->video, true));
    json_put(object, "references", references_json(m, true));
    put_plain(m, true, object);
    json_put_str(object, "idempotency_key", m->idempotency_key);
    json_put_str(object, "fingerprint", m->fingerprint);
    json_put_str(object, "trace_parent", m->trace_parent);
    if (m->trace_state[0])
        json_put_str(object, "trace_state", m->trace_state);
    return object;
}

/* ---- reading ---- */

static int need_text(const json_t *object, const char *key, char *out, size_t size, struct err *e)
{
    const char *text;
    if (json_need_str(object, key, &text, e) != 0)
        return -1;
    return text_copy(out, size, text) == 0 ? 0 : err_set_field(e, ERR_internal, key, "%s is too long", key);
}

static int need_int32(const json_t *object, const char *key, int32_t *out, struct err *e)
{
    int64_t value;
    if (json_need_int(object, key, &value, e) != 0)
        return -1;
    if (value < INT32_MIN || value > INT32_MAX)
        return err_set_field(e, ERR_internal, key, "%s is out of range", key);
    *out = (int32_t)value;
    return 0;
}

static int parse_fps(const json_t *object, struct manifest_file *f, struct err *e)
{
    const char *text = NULL;
    int num, den, used = 0;
    if (json_is_null(json_object_get(object, "fps")))
        return 0;
    if (json_need_str(object, "fps", &text, e) != 0)
        return -1;
    if (strlen(text) > 24 || sscanf(text, "%9d/%9d%n", &num, &den, &used) != 2 || text[used] != '\0' || den <= 0)
        return err_set_field(e, ERR_internal, "fps", "fps is not a rate");
    f->fps_num = num;
    f->fps_den = den;
    return 0;
}

static int parse_file(const json_t *object, struct manifest_file *f, struct err *e)
{
    if (need_text(object, "key", f->key, sizeof f->key, e) != 0 ||
        need_text(object, "sha256", f->sha256, sizeof f->sha256, e) != 0 ||
        json_need_int(object, "bytes", &f->bytes, e) != 0 ||
        need_text(object, "name", f->name, sizeof f->name, e) != 0 ||
        need_text(object, "container", f->container, sizeof f->container, e) != 0 ||
        need_int32(object, "width", &f->width, e) != 0 || need_int32(object, "height", &f->height, e) != 0 ||
        json_need_int(object, "frames", &f->frames, e) != 0 || parse_fps(object, f, e) != 0)
        return -1;
    if (json_opt_bool(object, "variable_rate", &f->variable_rate, e) != 0 ||
        json_opt_bool(object, "has_alpha", &f->has_alpha, e) != 0)
        return -1;
    return json_opt_bool(object, "has_audio", &f->has_audio, e);
}

static int parse_plain(const json_t *object, const char *name, struct manifest_file *f, struct err *e)
{
    const json_t *given = json_object_get(object, name);
    if (!given)
        return 0;
    if (need_text(given, "key", f->key, sizeof f->key, e) != 0 ||
        need_text(given, "sha256", f->sha256, sizeof f->sha256, e) != 0 ||
        json_need_int(given, "bytes", &f->bytes, e) != 0)
        return -1;
    return need_text(given, "name", f->name, sizeof f->name, e);
}

static int parse_references(const json_t *object, struct manifest *m, struct err *e)
{
    const json_t *array = json_object_get(object, "references");
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > MANIFEST_REFERENCES_MAX)
        return err_set_field(e, ERR_internal, "references", "references are not an array of at most four");
    for (size_t i = 0; i < count; i++)
        if (parse_file(json_array_get(array, i), &m->references[i], e) != 0)
            return -1;
    m->reference_count = (int)count;
    return 0;
}

static int parse_fields(struct manifest *m, const json_t *object, struct err *e)
{
    const char *format;
    int64_t version;
    if (json_need_str(object, "format", &format, e) != 0 || json_need_int(object, "version", &version, e) != 0)
        return -1;
    if (strcmp(format, format_name) != 0 || version != FORMAT_VERSION)
        return err_set(e, ERR_internal, "not a manifest of version %d", FORMAT_VERSION);
    if (need_text(object, "id", m->id, sizeof m->id, e) != 0 ||
        need_text(object, "tenant", m->tenant, sizeof m->tenant, e) != 0 ||
        need_text(object, "pool", m->pool, sizeof m->pool, e) != 0 ||
        json_need_int(object, "created_ms", &m->created_ms, e) != 0 ||
        need_int32(object, "priority", &m->priority, e) != 0 ||
        need_int32(object, "max_attempts", &m->max_attempts, e) != 0 ||
        json_need_int(object, "deadline_ms", &m->deadline_ms, e) != 0 ||
        json_need_int(object, "start_deadline_ms", &m->start_deadline_ms, e) != 0)
        return -1;
    if (!id_is_job(m->id))
        return err_set_field(e, ERR_internal, "id", "the id is not one of ours");
    if (need_text(object, "idempotency_key", m->idempotency_key, sizeof m->idempotency_key, e) != 0 ||
        need_text(object, "fingerprint", m->fingerprint, sizeof m->fingerprint, e) != 0 ||
        need_text(object, "trace_parent", m->trace_parent, sizeof m->trace_parent, e) != 0 ||
        (json_object_get(object, "trace_state") &&
         need_text(object, "trace_state", m->trace_state, sizeof m->trace_state, e) != 0))
        return -1;
    if (params_apply_json(&m->params, json_object_get(object, "params"), e) != 0 ||
        parse_file(json_object_get(object, "video"), &m->video, e) != 0 ||
        parse_plain(object, "palette", &m->palette, e) != 0 || parse_plain(object, "timesheet", &m->timesheet, e) != 0)
        return -1;
    return parse_references(object, m, e);
}

int manifest_parse(struct manifest *out, const json_t *object, struct err *e)
{
    struct manifest m;
    manifest_init(&m);
    if (parse_fields(&m, object, e) == 0) {
        *out = m;
        return 0;
    }
    manifest_free(&m);
    if (e)
        e->code = ERR_internal;
    return -1;
}

void manifest_fingerprint(struct manifest *m)
{
    json_t *object = json_object(), *files = json_array();
    json_put(object, "params", params_json(&m->params));
    for (int i = -1; i < m->reference_count; i++)
        if (json_array_append_new(files, json_string(i < 0 ? m->video.sha256 : m->references[i].sha256)) != 0)
            abort();
    json_put(object, "files", files);
    if (m->palette.sha256[0])
        json_put_str(object, "palette", m->palette.sha256);
    if (m->timesheet.sha256[0])
        json_put_str(object, "timesheet", m->timesheet.sha256);
    char *text = json_text(object, true);
    hash_bytes(text, strlen(text), m->fingerprint);
    free(text);
    json_decref(object);
}

/* ---- keys ---- */

void manifest_prefix(const struct manifest *m, char out[MANIFEST_KEY_MAX])
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(m->created_ms, time);
    snprintf(out, MANIFEST_KEY_MAX, "v1/%s/%.4s%.2s%.2s/%s/", m->tenant, time, time + 5, time + 8, m->id);
}

int manifest_sibling(const char *manifest_key, const char *name, char out[MANIFEST_KEY_MAX])
{
    const char *slash = strrchr(manifest_key, '/');
    int size =
        snprintf(out, MANIFEST_KEY_MAX, "%.*s%s", slash ? (int)(slash + 1 - manifest_key) : 0, manifest_key, name);
    return size >= 0 && size < MANIFEST_KEY_MAX ? 0 : -1;
}

int manifest_split_key(const char *key, char out_id[ID_SIZE], size_t *out_prefix_length, const char **out_name)
{
    const char *at = key;
    char id[ID_SIZE];
    for (int part = 0; part < 3; part++) {
        at = strchr(at, '/');
        if (!at)
            return -1;
        at++;
    }
    size_t length = strcspn(at, "/");
    if (strncmp(key, "v1/", 3) != 0 || length >= ID_SIZE || at[length] != '/')
        return -1;
    memcpy(id, at, length);
    id[length] = '\0';
    if (!id_is_job(id))
        return -1;
    memcpy(out_id, id, sizeof id);
    *out_name = at + length + 1;
    *out_prefix_length = (size_t)(*out_name - key);
    return 0;
}
