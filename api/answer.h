/* answer.h - what goes back for a request, before libmicrohttpd sees it.
 *
 * Counted references: one answer may be sent to many clients (cached jobs). Once it has been handed out it is not
 * changed any more. Any thread. */
#ifndef LONGANIM_API_ANSWER_H
#define LONGANIM_API_ANSWER_H

#include "base/err.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_HEADERS_MAX 12

struct source;

struct answer {
    atomic_int refs;
    int status;
    struct {
        const char *name; /* static */
        char *value;      /* owned */
    } headers[ANSWER_HEADERS_MAX];
    int header_count;
    /* The content is one of these: bytes; part of a file; a stream. */
    char *data; /* owned */
    size_t size;
    int fd; /* owned; -1 = none */
    int64_t offset, length;
    struct source *source;    /* owned reference; length -1 = not known before its end */
    _Atomic(void *) prepared; /* the server's own form of it, made once; freed by prepared_free */
    void (*prepared_free)(void *prepared);
};

/* Never NULL: abort without memory, so that no handler has a half-made answer. */
struct answer *answer_new(int status);
struct answer *answer_text(int status, const char *type, const char *text);
struct answer *answer_take(int status, const char *type, char *text, size_t size); /* takes malloc'ed text */
struct answer *answer_json(int status, json_t *value);                             /* takes the reference */

/* `name` must be static; the value is formatted and must not come from outside unchecked. */
void answer_header(struct answer *a, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same in place of the one that is there. */
void answer_set(struct answer *a, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct answer *answer_ref(struct answer *a);
void answer_unref(struct answer *a); /* NULL is fine */

const char *answer_reason(int status);

#endif
