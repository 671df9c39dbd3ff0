/* Webhooks: endpoints of a tenant, the outbox that the scripts fill when a job ends, the log of deliveries. */
#include "queue/queue_int.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int queue_hook_put(struct queue *q, const char *tenant, const char *hook_id, const char *text, struct err *e)
{
    static const char *const words[] = {"OK", "FULL", NULL};
    struct queue_args a = {0};
    if (strlen(text) >= QUEUE_HOOK_TEXT_MAX)
        return err_set(e, ERR_params_invalid, "the webhook is too long");
    queue__str(&a, tenant);
    queue__str(&a, hook_id);
    queue__str(&a, text);
    queue__int(&a, QUEUE_HOOKS_MAX);
    int word = queue__run_word(q, SCRIPT_hook_put, &a, words, e);
    if (word == 1)
        return err_set(e, ERR_params_invalid, "there are %d webhooks already", QUEUE_HOOKS_MAX);
    return word < 0 ? -1 : 0;
}

int queue_hook_delete(struct queue *q, const char *tenant, const char *hook_id, struct err *e)
{
    struct queue_args a = {0};
    queue__str(&a, tenant);
    queue__str(&a, hook_id);
    redisReply *r = queue__run(q, SCRIPT_hook_delete, &a, e);
    if (!r)
        return -1;
    bool gone = r->integer > 0 || q->repeated;
    freeReplyObject(r);
    return gone ? 0 : err_set(e, ERR_webhook_not_found, "there is no webhook %.40s", hook_id);
}

int queue_hooks(struct queue *q, const char *tenant, void (*fn)(void *user, const char *hook_id, const char *text),
                void *user, struct err *e)
{
    struct queue_args a = {0};
    char name[128];
    snprintf(name, sizeof name, QUEUE_PREFIX "hooks:%.63s", tenant);
    queue__str(&a, "HGETALL");
    queue__str(&a, name);
    redisReply *r = queue__command(q, &a, 0, e);
    if (!r)
        return -1;
    for (size_t i = 0; i + 1 < r->elements; i += 2)
        fn(user, queue__text_at(r, i), queue__text_at(r, i + 1));
    freeReplyObject(r);
    return 0;
}

/* "<hook>|<job>|<version>" into its parts. */
static int split(struct queue_delivery *d)
{
    const char *first = strchr(d->id, '|'), *second = first ? strchr(first + 1, '|') : NULL;
    if (!second || (size_t)(first - d->id) >= sizeof d->hook_id || (size_t)(second - first - 1) >= sizeof d->job_id)
        return -1;
    snprintf(d->hook_id, sizeof d->hook_id, "%.*s", (int)(first - d->id), d->id);
    snprintf(d->job_id, sizeof d->job_id, "%.*s", (int)(second - first - 1), first + 1);
    return 0;
}

int queue_hook_claim(struct queue *q, int64_t hold_ms, struct queue_delivery *out, struct err *e)
{
    struct queue_args a = {0};
    queue__int(&a, hold_ms);
    redisReply *r = queue__run(q, SCRIPT_hook_claim, &a, e);
    if (!r)
        return -1;
    int result = r->elements == 4;
    if (result == 1) {
        *out = (struct queue_delivery){.tries = (int32_t)queue__int_at(r, 2)};
        if (text_copy(out->id, sizeof out->id, queue__text_at(r, 0)) != 0 ||
            text_copy(out->tenant, sizeof out->tenant, queue__text_at(r, 1)) != 0 ||
            text_copy(out->text, sizeof out->text, queue__text_at(r, 3)) != 0 || split(out) != 0)
            result = err_set(e, ERR_internal, "a delivery does not read well");
    }
    freeReplyObject(r);
    return result;
}

int queue_hook_done(struct queue *q, const struct queue_delivery *d, int64_t retry_ms, const char *log_text,
                    struct err *e)
{
    static const char *const words[] = {"OK", NULL};
    struct queue_args a = {0};
    queue__str(&a, d->id);
    queue__str(&a, d->tenant);
    queue__str(&a, d->hook_id);
    queue__int(&a, retry_ms);
    queue__str(&a, log_text);
    queue__int(&a, d->tries + 1);
    return queue__run_word(q, SCRIPT_hook_done, &a, words, e) < 0 ? -1 : 0;
}

int queue_hook_log(struct queue *q, const char *tenant, const char *hook_id, void (*fn)(void *user, const char *text),
                   void *user, struct err *e)
{
    char name[192];
    snprintf(name, sizeof name, QUEUE_PREFIX "hooklog:%.63s:%.40s", tenant, hook_id);
    redisReply *r = queue__list(q, name, e);
    if (!r)
        return -1;
    for (size_t i = 0; i < r->elements; i++)
        fn(user, queue__text_at(r, i));
    freeReplyObject(r);
    return 0;
}

int queue_hook_send(struct queue *q, const char *tenant, const char *hook_id, const char *job_id, struct err *e)
{
    static const char *const words[] = {"OK", "NO_HOOK", "NO_JOB", NULL};
    struct queue_args a = {0};
    queue__str(&a, tenant);
    queue__str(&a, hook_id);
    queue__str(&a, job_id);
    int word = queue__run_word(q, SCRIPT_hook_send, &a, words, e);
    if (word == 1)
        return err_set(e, ERR_webhook_not_found, "there is no webhook %.40s", hook_id);
    if (word == 2)
        return err_set(e, ERR_job_not_found, "there is no job %.40s", job_id);
    return word < 0 ? -1 : 0;
}
