/* probe_client.h - asks the sandboxed prober about an uploaded file; links no libav.
 *
 * `longanim-probe` is a long-lived, single-threaded parent that forks one sandboxed child per request and answers over
 * a socket pair. probe_client starts it (found beside /proc/self/exe), restarts it within 1 s when it dies, and hands
 * it open descriptors. Meanwhile requests fail with `overloaded` (503), never with `internal`.
 * Threads: any number may ask at once. */
#ifndef LONGANIM_PROBE_PROBE_CLIENT_H
#define LONGANIM_PROBE_PROBE_CLIENT_H

#include "base/err.h"
#include "media/media.h" /* struct media_info and media_limits only */

struct probe_client;

int probe_client_start(struct probe_client **out, const struct media_limits *limits, struct err *e);
void probe_client_stop(struct probe_client *p);

/* Probes the file behind fd (read from offset 0; the descriptor is not closed). Errors: media_*, overloaded. */
int probe_client_ask(struct probe_client *p, int fd, bool as_still, struct media_info *out, struct err *e);

#endif
