/* queue_int.h - what the files of this folder share: the connection, scripts and their arguments, replies. */
#ifndef LONGANIM_QUEUE_QUEUE_INT_H
#define LONGANIM_QUEUE_QUEUE_INT_H

#include "queue/queue.h"

#include <hiredis/hiredis.h>
#include <stddef.h>

#define QUEUE_PREFIX "{q}:"

/* Name, and the text in lua/<name>.lua. */
#define QUEUE_SCRIPTS(X)                                                                                               \
    X(announce)                                                                                                        \
    X(beat)                                                                                                            \
    X(cancel)                                                                                                          \
    X(canceled)                                                                                                        \
    X(claim)                                                                                                           \
    X(complete)                                                                                                        \
    X(delete)                                                                                                          \
    X(depths)                                                                                                          \
    X(enqueue)                                                                                                         \
    X(fail)                                                                                                            \
    X(get)                                                                                                             \
    X(hook_claim)                                                                                                      \
    X(hook_delete)                                                                                                     \
    X(hook_done)                                                                                                       \
    X(hook_put)                                                                                                        \
    X(hook_send)                                                                                                       \
    X(idem_release)                                                                                                    \
    X(idem_reserve)                                                                                                    \
    X(list)                                                                                                            \
    X(lock)                                                                                                            \
    X(models)                                                                                                          \
    X(outdated)                                                                                                        \
    X(promote)                                                                                                         \
    X(reap_deadlines)                                                                                                  \
    X(reap_leases)                                                                                                     \
    X(rates)                                                                                                           \
    X(recount)                                                                                                         \
    X(release)                                                                                                         \
    X(restore)                                                                                                         \
    X(retry)                                                                                                           \
    X(segment)                                                                                                         \
    X(settled)                                                                                                         \
    X(shares)                                                                                                          \
    X(unlock)                                                                                                          \
    X(usage)

enum queue_script {
#define QUEUE_SCRIPT_ENUM(name) SCRIPT_##name,
    QUEUE_SCRIPTS(QUEUE_SCRIPT_ENUM)
#undef QUEUE_SCRIPT_ENUM
        SCRIPT_COUNT
};

struct queue {
    char *unix_path, *host, *user, *password; /* owned; NULL = none */
    int port, db;
    struct queue_conf conf;
    redisContext *context; /* NULL = not connected */
    bool policy_seen;      /* maxmemory-policy was right on this connection */
    bool broke;            /* the connection was lost since the reaper last looked */
    bool repeated;         /* the last call was sent twice because the first reply was lost */
    char sha[SCRIPT_COUNT][41];
    unsigned turn; /* rotates the order of pools */
};

/* Words of a command, binary safe. Aborts when memory is out. */
struct queue_args {
    char **words;
    size_t *sizes;
    int count, capacity;
};
void queue__args_fini(struct queue_args *a);
void queue__add(struct queue_args *a, const void *data, size_t size);
void queue__str(struct queue_args *a, const char *text); /* NULL counts as "" */
void queue__int(struct queue_args *a, int64_t value);
/* Every edge of the event as "from>to,from>to". */
void queue__edges(struct queue_args *a, enum job_event event);

/* Runs a script with these arguments (consumed: freed in every case). The reply is the caller's (freeReplyObject); NULL
 * on error. Error replies are errors. */
redisReply *queue__run(struct queue *q, enum queue_script script, struct queue_args *a, struct err *e);
/* The same for a script whose answer is one of these words (NULL-terminated): its index, or -1. */
int queue__run_word(struct queue *q, enum queue_script script, struct queue_args *a, const char *const *words,
                    struct err *e);
/* Any command; block_ms = how long it may wait by itself. */
redisReply *queue__command(struct queue *q, struct queue_args *a, int64_t block_ms, struct err *e);

/* All of a list. */
redisReply *queue__list(struct queue *q, const char *name, struct err *e);

/* Element i of an array as text ("" when it is not one), or as a number (0). */
const char *queue__text_at(const redisReply *r, size_t i);
int64_t queue__int_at(const redisReply *r, size_t i);

/* Fills a job from a flat list of fields and values. */
void queue__read_job(const char *id, const redisReply *fields, struct job *out);
/* "key|sha256|bytes|…" */
void queue__segment_text(const struct queue_segment *s, char *out, size_t size);

#endif
