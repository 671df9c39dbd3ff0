#include "worker/wire.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MAX = 8 << 20 };

void wire_init(struct wire *w, int fd)
{
    w->fd = fd;
    buf_init(&w->in, MESSAGE_MAX);
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    buf_free(&w->in);
}

int wire_send(struct wire *w, json_t *message, struct err *e)
{
    char *text = json_text(message, false);
    json_decref(message);
    size_t size = strlen(text);
    text[size] = '\n'; /* in place of the NUL: one write, one line */
    int failed = fs_write_all(w->fd, text, size + 1);
    free(text);
    return failed ? err_set(e, ERR_worker_lost, "the engine does not listen: %s", strerror(errno)) : 0;
}

static int take_line(struct wire *w, json_t **out, struct err *e)
{
    char *end = w->in.data ? memchr(w->in.data, '\n', w->in.size) : NULL;
    if (!end)
        return 0;
    size_t line = (size_t)(end - w->in.data);
    *out = json_parse(w->in.data, line, ERR_internal, e);
    memmove(w->in.data, end + 1, w->in.size - line - 1);
    w->in.size -= line + 1;
    return *out ? 1 : -1;
}

int wire_receive(struct wire *w, int64_t timeout_ms, json_t **out, struct err *e)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    for (;;) {
        int got = take_line(w, out, e);
        if (got != 0)
            return got;
        int64_t left = until_ms - clock_mono_ms();
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        int ready = poll(&p, 1, timeout_ms < 0 ? -1 : left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left);
        if (ready == 0)
            return 0;
        if (ready < 0 && errno == EINTR)
            continue;
        char chunk[65536];
        ssize_t size = ready < 0 ? -1 : read(w->fd, chunk, sizeof chunk);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return err_set(e, ERR_worker_lost, "the engine has gone");
        if (buf_add(&w->in, chunk, (size_t)size) != 0)
            return err_set(e, ERR_internal, "a message is too long");
    }
}

json_t *wire_op(const char *op)
{
    json_t *o = json_object();
    json_put_str(o, "op", op);
    return o;
}

json_t *wire_event(const char *ev)
{
    json_t *o = json_object();
    json_put_str(o, "ev", ev);
    return o;
}

/* ---- structs: the tables are the only list of fields ---- */

enum field_type { TEXT, INT32, INT64 };
struct field {
    const char *name;
    enum field_type type;
    size_t offset, size;
};
#define F_TEXT(s, f)                                                                                                   \
    {                                                                                                                  \
#f, TEXT, offsetof(struct s, f), sizeof(((struct s *)0)->f)                                                    \
    }
#define F_INT32(s, f)                                                                                                  \
    {                                                                                                                  \
#f, INT32, offsetof(struct s, f), 4                                                                            \
    }
#define F_INT64(s, f)                                                                                                  \
    {                                                                                                                  \
#f, INT64, offsetof(struct s, f), 8                                                                            \
    }
#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

static const struct field segment_fields[] = {
    F_INT32(engine_segment, n),           F_INT32(engine_segment, segments),  F_INT64(engine_segment, first_frame),
    F_INT32(engine_segment, frames),      F_TEXT(engine_segment, path),       F_TEXT(engine_segment, sha256),
    F_INT64(engine_segment, bytes),       F_TEXT(engine_segment, state_path), F_TEXT(engine_segment, state_sha256),
    F_INT64(engine_segment, state_bytes),
};
static const struct field plan_fields[] = {
    F_TEXT(engine_plan, hash),   F_INT32(engine_plan, segments), F_INT32(engine_plan, steps),
    F_INT32(engine_plan, width), F_INT32(engine_plan, height),   F_INT64(engine_plan, frames),
};
static const struct field progress_fields[] = {
    F_INT32(engine_progress, fraction_ppm),   F_INT32(engine_progress, segments_done),
    F_INT32(engine_progress, segments_total), F_INT32(engine_progress, step),
    F_INT32(engine_progress, steps),          F_INT64(engine_progress, frames_done),
    F_INT64(engine_progress, eta_low_ms),     F_INT64(engine_progress, eta_high_ms),
};
static const struct field result_fields[] = {
    F_TEXT(engine_result, path),       F_TEXT(engine_result, sha256),       F_TEXT(engine_result, content_type),
    F_INT64(engine_result, bytes),     F_INT64(engine_result, frames),      F_INT32(engine_result, width),
    F_INT32(engine_result, height),    F_TEXT(engine_result, preview_path), F_TEXT(engine_result, receipt_path),
    F_INT32(engine_result, artifacts), F_TEXT(engine_result, artifact_dir),
};

static void put_fields(json_t *to, const void *from, const struct field *fields, int count)
{
    for (int i = 0; i < count; i++) {
        const char *at = (const char *)from + fields[i].offset;
        int32_t narrow;
        int64_t wide;
        if (fields[i].type == TEXT) {
            json_put_str(to, fields[i].name, at);
        } else if (fields[i].type == INT32) {
            memcpy(&narrow, at, sizeof narrow);
            json_put_int(to, fields[i].name, narrow);
        } else {
            memcpy(&wide, at, sizeof wide);
            json_put_int(to, fields[i].name, wide);
        }
    }
}

static int get_field(const json_t *from, char *at, const struct field *f, struct err *e)
{
    const char *text;
    int64_t wide;
    if (f->type == TEXT) {
        if (json_need_str(from, f->name, &text, e) != 0)
            return -1;
        return text_copy(at, f->size, text) == 0 ? 0 : err_set(e, ERR_internal, "%s is too long", f->name);
    }
    if (json_need_int(from, f->name, &wide, e) != 0)
        return -1;
    if (f->type == INT64) {
        memcpy(at, &wide, sizeof wide);
        return 0;
    }
    int32_t narrow = (int32_t)wide;
    if (narrow != wide)
        return err_set(e, ERR_internal, "%s is out of range", f->name);
    memcpy(at, &narrow, sizeof narrow);
    return 0;
}

static int get_fields(const json_t *from, void *to, const struct field *fields, int count, struct err *e)
{
    struct err why = {0};
    for (int i = 0; i < count; i++)
        if (get_field(from, (char *)to + fields[i].offset, &fields[i], &why) != 0)
            return err_set(e, ERR_internal, "a message of the engine is broken: %s", why.detail);
    return 0;
}

/* The four structs; reading goes through a copy, so that *out is set whole or not at all. */
#define WIRE_PUT(type)                                                                                                 \
    void wire_put_##type(json_t *to, const struct engine_##type *from)                                                 \
    {                                                                                                                  \
        put_fields(to, from, type##_fields, COUNT(type##_fields));                                                     \
    }
#define WIRE_GET(type)                                                                                                 \
    int wire_get_##type(const json_t *from, struct engine_##type *out, struct err *e)                                  \
    {                                                                                                                  \
        struct engine_##type read = {0};                                                                               \
        if (get_fields(from, &read, type##_fields, COUNT(type##_fields), e) != 0)                                      \
            return -1;                                                                                                 \
        *out = read;                                                                                                   \
        return 0;                                                                                                      \
    }
WIRE_PUT(segment)
WIRE_GET(segment)
WIRE_PUT(plan)
WIRE_GET(plan)
WIRE_PUT(result)
WIRE_GET(result)

void wire_put_progress(json_t *to, const struct engine_progress *from)
{
    json_put_str(to, "stage", from->stage);
    put_fields(to, from, progress_fields, COUNT(progress_fields));
}

int wire_get_progress(const json_t *from, struct engine_progress *out, struct err *e)
{
    struct engine_progress read = {0};
    if (get_fields(from, &read, progress_fields, COUNT(progress_fields), e) != 0 ||
        json_need_str(from, "stage", &read.stage, e) != 0)
        return -1;
    *out = read;
    return 0;
}

void wire_put_err(json_t *to, const struct err *e)
{
    json_put_str(to, "code", err_info(e->code)->name);
    json_put_str(to, "field", e->field);
    json_put_str(to, "detail", e->detail);
}

void wire_get_err(const json_t *from, struct err *out)
{
    const char *code = "internal", *field = "", *detail = "the engine failed without a word";
    if (json_opt_str(from, "code", &code, NULL) != 0 || json_opt_str(from, "field", &field, NULL) != 0 ||
        json_opt_str(from, "detail", &detail, NULL) != 0)
        detail = "the engine's error is broken";
    enum err_code known = err_by_name(code);
    err_set_field(out, known ? known : ERR_internal, field, "%s", detail);
}
