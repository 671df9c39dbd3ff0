/* wire.h - what supervisor and engine child say to each other: one JSON object a line over a socket pair.
 *
 *   to the child   {"op":"run", job}   {"op":"keep","segments":[segment…]}   {"op":"cancel"}
 *   to the parent  {"ev":"ready","models":{…}}   {"ev":"plan", plan}   {"ev":"progress", progress}
 *                  {"ev":"segment", segment}   {"ev":"preview","path":…}   {"ev":"done", result}
 *                  {"ev":"error","code":…,"field":…,"detail":…}
 * "plan" is answered by "keep"; "run" is always answered by one "done" or "error", after which the child waits for
 * the next one. A closed socket ends the child.
 * Threads: a struct wire belongs to one thread. Broken messages are errors of ours: internal. */
#ifndef LONGANIM_WORKER_WIRE_H
#define LONGANIM_WORKER_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "engine/engine.h"

#include <jansson.h>

struct wire {
    int fd; /* owned; -1 = closed */
    struct buf in;
};
void wire_init(struct wire *w, int fd);
void wire_close(struct wire *w);

/* Sends one message, taking the reference; blocks while the peer is slow. worker_lost when the peer is gone. */
int wire_send(struct wire *w, json_t *message, struct err *e);

/* The next message: 1 = *out is a new reference, 0 = none complete yet (timeout_ms passed), -1 = the peer is gone or
 * talks nonsense. timeout_ms < 0 waits for ever. */
int wire_receive(struct wire *w, int64_t timeout_ms, json_t **out, struct err *e);

json_t *wire_op(const char *op);    /* {"op":op} */
json_t *wire_event(const char *ev); /* {"ev":ev} */

/* Structs to fields of a message and back; parsers fill `out` only on success. */
void wire_put_segment(json_t *to, const struct engine_segment *s);
int wire_get_segment(const json_t *from, struct engine_segment *out, struct err *e);
void wire_put_plan(json_t *to, const struct engine_plan *p);
int wire_get_plan(const json_t *from, struct engine_plan *out, struct err *e);
void wire_put_progress(json_t *to, const struct engine_progress *p);
int wire_get_progress(const json_t *from, struct engine_progress *out, struct err *e); /* stage borrowed from `from` */
void wire_put_result(json_t *to, const struct engine_result *r);
int wire_get_result(const json_t *from, struct engine_result *out, struct err *e);
void wire_put_err(json_t *to, const struct err *e);
void wire_get_err(const json_t *from, struct err *out);

#endif
