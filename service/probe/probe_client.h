/* probe_client.h - asks the sandboxed prober about an uploaded file; links no libav.
 *
 * `longanim-probe` is a long-lived, single-threaded parent that forks one sandboxed child per upload and answers over
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

/* One upload: its files, all in one child, so that a lie of one can only be about its own upload. */
enum { PROBE_FILES_MAX = 6 };
struct probe_file {
    int fd;         /* read from offset 0; not closed */
    bool as_still;  /* a picture, not a video */
    bool timesheet; /* an exposure sheet for the first file; nothing is described for it */
};
/* Probes them in order; *out_refused (may be NULL) says which one the error is about, -1 = none of them. Errors:
 * media_*, overloaded; of a timesheet params_invalid, too. */
int probe_client_ask(struct probe_client *p, const struct probe_file *files, int count,
                     struct media_info out[PROBE_FILES_MAX], int *out_refused, struct err *e);

#endif
