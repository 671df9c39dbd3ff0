/* log.h - one JSON line per event on stderr.
 *
 * log_event(LOG_INFO, "job.claimed", "job", "s", id, "attempt", "i", (int64_t)1, NULL) writes
 * {"ts":"2026-01-01T00:00:00.000Z","level":"info","event":"job.claimed","job":"j0_…","attempt":1}.
 * Fields are triples: name, type, value. Types: "s" const char * (NULL = null), "i" int64_t, "f" double,
 * "b" int (a truth value). Strings are escaped, so no value can forge a line; the line is written with one write(2).
 * Never pass secrets, signed URLs, request bodies or prompts. Any thread. */
#ifndef LONGANIM_BASE_LOG_H
#define LONGANIM_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct err;

/* Lines below `level` are dropped. `program` ("api", "worker", …) becomes a field of every line; borrowed. */
void log_init(const char *program, enum log_level level);

/* The level of that name ("debug", "info", "warn", "error"), or -1. */
int log_level_by_name(const char *name);

void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

struct buf;
/* The same, and the line goes into `copy`, too, whatever its level, as long as there is room (NULL = nowhere). */
void log_event_to(struct buf *copy, enum log_level level, const char *event, ...) __attribute__((sentinel));

/* The event with fields "code" and "detail" of `e`, and "job" when not NULL. */
void log_err(enum log_level level, const char *event, const char *job, const struct err *e);

#endif
