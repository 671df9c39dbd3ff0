/* Events: the stream of all jobs, which programs follow, and the short list of each job, which clients catch up with.
 */
#include "queue/queue_int.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETAINED_MAX = 64 }; /* as in lua/common.lua */

/* One entry of XREAD: [id, [name, value, …]]. */
static bool read_entry(const redisReply *entry, struct queue_event *out)
{
    struct queue_event event = {0};
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2)
        return false;
    const redisReply *fields = entry->element[1];
    text_clean(event.id, sizeof event.id, queue__text_at(entry, 0));
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const char *name = queue__text_at(fields, i), *value = queue__text_at(fields, i + 1);
        if (strcmp(name, "job") == 0)
            text_clean(event.job_id, sizeof event.job_id, value);
        else if (strcmp(name, "type") == 0)
            text_clean(event.type, sizeof event.type, value);
        else if (strcmp(name, "version") == 0)
            event.version = strtoll(value, NULL, 10);
    }
    *out = event;
    return true;
}

int queue_events(struct queue *q, const char *after, int64_t wait_ms, struct queue_event *out, int max, struct err *e)
{
    struct queue_args a = {0};
    int used = 0;
    queue__str(&a, "XREAD");
    queue__str(&a, "COUNT");
    queue__int(&a, max);
    if (wait_ms > 0) {
        queue__str(&a, "BLOCK");
        queue__int(&a, wait_ms);
    }
    queue__str(&a, "STREAMS");
    queue__str(&a, QUEUE_PREFIX "ev");
    queue__str(&a, after);
    redisReply *r = queue__command(q, &a, wait_ms, e);
    if (!r)
        return -1;
    /* [[stream, entries]], or nil when nothing came in time */
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 1 && r->element[0]->elements == 2) {
        const redisReply *entries = r->element[0]->element[1];
        for (size_t i = 0; i < entries->elements && used < max; i++)
            used += read_entry(entries->element[i], &out[used]);
    }
    freeReplyObject(r);
    return used;
}

/* "id|type|version" */
static bool read_line(const char *job_id, const char *line, struct queue_event *out)
{
    struct queue_event event = {0};
    const char *bar = strchr(line, '|'), *last = strrchr(line, '|');
    if (!bar || bar == last)
        return false;
    snprintf(event.id, sizeof event.id, "%.*s", (int)(bar - line), line);
    snprintf(event.type, sizeof event.type, "%.*s", (int)(last - bar - 1), bar + 1);
    event.version = strtoll(last + 1, NULL, 10);
    text_clean(event.job_id, sizeof event.job_id, job_id);
    *out = event;
    return true;
}

int queue_job_events(struct queue *q, const char *job_id, const char *after, struct queue_event *out, int max,
                     bool *reset, struct err *e)
{
    struct queue_event all[RETAINED_MAX];
    char name[64];
    int found = 0, first = 0, used = 0;
    snprintf(name, sizeof name, QUEUE_PREFIX "evj:%.*s", ID_SIZE - 1, job_id);
    redisReply *r = queue__list(q, name, e);
    if (!r)
        return -1;
    for (size_t i = 0; i < r->elements && found < RETAINED_MAX; i++)
        found += read_line(job_id, queue__text_at(r, i), &all[found]);
    freeReplyObject(r);
    bool unknown = after[0] != '\0';
    for (int i = 0; i < found && unknown; i++) {
        if (strcmp(all[i].id, after) != 0)
            continue;
        first = i + 1;
        unknown = false;
    }
    for (int i = first; i < found && used < max; i++)
        out[used++] = all[i];
    *reset = unknown;
    return used;
}
