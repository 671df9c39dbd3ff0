/* serve_child.h - one child of `longanim serve`: running, or waiting to be started again. */
#ifndef LONGANIM_CLI_SERVE_CHILD_H
#define LONGANIM_CLI_SERVE_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>

struct serve_child {
    const char *name;                     /* borrowed */
    pid_t pid;                            /* 0 = not running */
    int status;                           /* of the last end */
    int64_t started_ms, due_ms, pause_ms; /* mono */
};

void serve_child_init(struct serve_child *c, const char *name);
int serve_child_start(struct serve_child *c, const char *path, char *const argv[], char *const env[], struct err *e);
bool serve_child_ended(struct serve_child *c); /* true once per end, which it also logs */
bool serve_child_due(const struct serve_child *c);
void serve_child_stop(struct serve_child *c, int64_t grace_ms); /* not running is fine */

#endif
