/* end.json: a struct job without what the manifest says, and the committed segments. */
#include "ledger/ledger_int.h"

#include "base/json.h"
#include "base/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1, SEGMENTS_MAX = 100000 };
static const char format_name[] = "longanimation-end";

/* Members that are written and read the same way. */
enum kind { INT32, INT64, TEXT };
struct member {
    const char *name;
    enum kind kind;
    size_t offset, size;
};
#define MEMBER(type, kind, field)                                                                                      \
    {                                                                                                                  \
#field, kind, offsetof(type, field), sizeof((type *)0)->field                                                  \
    }

static const struct member job_members[] = {
    MEMBER(struct job, TEXT, id),
    MEMBER(struct job, INT64, version),
    MEMBER(struct job, INT64, epoch),
    MEMBER(struct job, INT32, attempt),
    MEMBER(struct job, INT32, worker_losses),
    MEMBER(struct job, INT64, queued_ms),
    MEMBER(struct job, INT64, started_ms),
    MEMBER(struct job, INT64, finished_ms),
    MEMBER(struct job, INT64, expires_ms),
    MEMBER(struct job, TEXT, error_code),
    MEMBER(struct job, TEXT, error_detail),
};
static const struct member progress_members[] = {
    MEMBER(struct job_progress, INT32, fraction_ppm),  MEMBER(struct job_progress, TEXT, stage),
    MEMBER(struct job_progress, INT32, segments_done), MEMBER(struct job_progress, INT32, segments_total),
    MEMBER(struct job_progress, INT32, step),          MEMBER(struct job_progress, INT32, steps),
    MEMBER(struct job_progress, INT64, frames_done),
};
static const struct member result_members[] = {
    MEMBER(struct job, TEXT, result_key),     MEMBER(struct job, TEXT, result_sha256),
    MEMBER(struct job, TEXT, result_type),    MEMBER(struct job, INT64, result_bytes),
    MEMBER(struct job, INT32, result_width),  MEMBER(struct job, INT32, result_height),
    MEMBER(struct job, INT64, result_frames),
};
static const struct member segment_members[] = {
    MEMBER(struct queue_segment, INT32, n),           MEMBER(struct queue_segment, TEXT, key),
    MEMBER(struct queue_segment, TEXT, sha256),       MEMBER(struct queue_segment, INT64, bytes),
    MEMBER(struct queue_segment, TEXT, state_key),    MEMBER(struct queue_segment, TEXT, state_sha256),
    MEMBER(struct queue_segment, INT64, state_bytes), MEMBER(struct queue_segment, INT64, first_frame),
    MEMBER(struct queue_segment, INT32, frames),      MEMBER(struct queue_segment, INT64, epoch),
};
#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static json_t *write_members(const struct member *members, int count, const void *from, json_t *object)
{
    for (int i = 0; i < count; i++) {
        const void *at = (const char *)from + members[i].offset;
        if (members[i].kind == TEXT)
            json_put_str(object, members[i].name, at);
        else
            json_put_int(object, members[i].name,
                         members[i].kind == INT32 ? *(const int32_t *)at : *(const int64_t *)at);
    }
    return object;
}

static int read_members(const struct member *members, int count, void *to, const json_t *object, struct err *e)
{
    for (int i = 0; i < count; i++) {
        void *at = (char *)to + members[i].offset;
        const char *text;
        int64_t number;
        if (members[i].kind == TEXT) {
            if (json_need_str(object, members[i].name, &text, e) != 0)
                return -1;
            if (text_copy(at, members[i].size, text) != 0)
                return err_set_field(e, ERR_internal, members[i].name, "%s is too long", members[i].name);
        } else if (json_need_int(object, members[i].name, &number, e) != 0) {
            return -1;
        } else if (members[i].kind == INT32) {
            *(int32_t *)at = (int32_t)number;
        } else {
            *(int64_t *)at = number;
        }
    }
    return 0;
}

json_t *ledger__record_json(const struct ledger_record *r)
{
    json_t *object = json_object(), *segments = json_array();
    json_put_str(object, "format", format_name);
    json_put_int(object, "format_version", FORMAT_VERSION);
    json_put_str(object, "state", job_state_name(r->job.state));
    json_put_bool(object, "cancel_requested", r->job.cancel_requested);
    write_members(job_members, COUNT(job_members), &r->job, object);
    json_put(object, "progress",
             write_members(progress_members, COUNT(progress_members), &r->job.progress, json_object()));
    if (r->job.state == JOB_SUCCEEDED)
        json_put(object, "result", write_members(result_members, COUNT(result_members), &r->job, json_object()));
    for (int i = 0; i < r->segment_count; i++)
        if (json_array_append_new(
                segments, write_members(segment_members, COUNT(segment_members), &r->segments[i], json_object())) != 0)
            abort();
    json_put(object, "segments", segments);
    return object;
}

static int parse_segments(struct ledger_record *r, const json_t *array, struct err *e)
{
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > SEGMENTS_MAX)
        return err_set(e, ERR_internal, "segments are not an array of a sound size");
    r->segments = calloc(count + 1, sizeof *r->segments);
    if (!r->segments)
        abort();
    for (size_t i = 0; i < count; i++)
        if (read_members(segment_members, COUNT(segment_members), &r->segments[i], json_array_get(array, i), e) != 0)
            return -1;
    r->segment_count = (int)count;
    return 0;
}

static int parse_fields(struct ledger_record *r, const json_t *object, struct err *e)
{
    const char *format, *state;
    int64_t version;
    if (json_need_str(object, "format", &format, e) != 0 || json_need_int(object, "format_version", &version, e) != 0 ||
        json_need_str(object, "state", &state, e) != 0)
        return -1;
    int known = job_state_by_name(state);
    if (strcmp(format, format_name) != 0 || version != FORMAT_VERSION || known < 0 ||
        !job_state_terminal((enum job_state)known) || known == JOB_PURGED)
        return err_set(e, ERR_internal, "not a record of an end, version %d", FORMAT_VERSION);
    r->job.state = (enum job_state)known;
    if (json_opt_bool(object, "cancel_requested", &r->job.cancel_requested, e) != 0 ||
        read_members(job_members, COUNT(job_members), &r->job, object, e) != 0 ||
        read_members(progress_members, COUNT(progress_members), &r->job.progress, json_object_get(object, "progress"),
                     e) != 0)
        return -1;
    if (r->job.state == JOB_SUCCEEDED &&
        read_members(result_members, COUNT(result_members), &r->job, json_object_get(object, "result"), e) != 0)
        return -1;
    return parse_segments(r, json_object_get(object, "segments"), e);
}

int ledger__record_parse(struct ledger_record *out, const json_t *object, struct err *e)
{
    struct ledger_record r = {0};
    job_init(&r.job);
    if (parse_fields(&r, object, e) == 0) {
        *out = r;
        return 0;
    }
    ledger__record_free(&r);
    if (e)
        e->code = ERR_internal;
    return -1;
}

void ledger__record_free(struct ledger_record *r)
{
    job_free(&r->job);
    free(r->segments);
    *r = (struct ledger_record){0};
}
