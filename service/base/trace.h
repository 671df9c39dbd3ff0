/* trace.h - spans to a collector: OTLP over HTTP with JSON, in batches, by a thread of its own.
 *
 * Off unless an endpoint is given; then trace_on is true and spans are copied into a ring. A full ring drops them (the
 * log says how many): whoever emits never waits. What a collector refuses or does not take in time is tried three
 * times. Any thread, between trace_start and trace_stop.
 * Source: OpenTelemetry protocol 1.x, section OTLP/HTTP; W3C Trace Context for the ids. */
#ifndef LONGANIM_BASE_TRACE_H
#define LONGANIM_BASE_TRACE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum trace_kind { TRACE_INTERNAL = 1, TRACE_SERVER = 2, TRACE_CONSUMER = 5 }; /* the protocol's numbers */
enum { TRACE_ATTRIBUTES_MAX = 6 };
#define TRACE_STATE_SIZE 513 /* as much as the standard asks to hand on */

struct trace_span {
    char trace_id[33], span_id[17], parent_id[17]; /* lower-case hex; parent "" = none */
    char state[TRACE_STATE_SIZE];                  /* the caller's tracestate; "" = none */
    char name[96];
    enum trace_kind kind;
    int64_t start_us, end_us; /* wall */
    bool failed;
    struct trace_attribute {
        const char *key; /* borrowed for good */
        char text[80];   /* "" = the number */
        int64_t number;
    } attributes[TRACE_ATTRIBUTES_MAX];
    int attribute_count;
};

/* endpoint: "http://collector:4318" ("" = off); headers: "name=value,…" or NULL; service becomes service.name; borrowed
 * are none of them. Starts a thread, so call it when signals are blocked already. params_invalid. */
int trace_start(const char *endpoint, const char *headers, const char *service, struct err *e);
/* Sends what is left, for two seconds at most. */
void trace_stop(void);
bool trace_on(void);

int64_t trace_now_us(void);
void trace_id_new(char out[33]);
void trace_span_id_new(char out[17]);

/* The parts of a traceparent header; false when it is not one. `sampled`: spans are wanted. */
bool trace_parse(const char *traceparent, char trace_id[33], char span_id[17], bool *sampled);

void trace_text(struct trace_span *s, const char *key, const char *value);
void trace_int(struct trace_span *s, const char *key, int64_t value);
void trace_emit(const struct trace_span *s);

#endif
