/* engine_link.h - the supervisor's end of one engine child: start, talk, kill, and what became of it. */
#ifndef LONGANIM_WORKER_ENGINE_LINK_H
#define LONGANIM_WORKER_ENGINE_LINK_H

#include "worker/lease.h"
#include "worker/wire.h"

#include <sys/types.h>

struct engine_link {
    struct lease *lease; /* told the child's pid, for the fence */
    char **arguments;    /* of this program, handed on to the child; borrowed */
    int argument_count;
    pid_t pid; /* 0 = no child */
    bool ready, low_memory;
    struct wire wire;
    char *models; /* JSON text of what the child can run; NULL until it was ready once */
};

void engine_link_init(struct engine_link *l, struct lease *lease, char **arguments, int argument_count);
/* Starts a child; it is ready after a "ready" message, see engine_link_next. */
int engine_link_start(struct engine_link *l, bool low_memory, struct err *e);
/* The next message, "ready" being handled here (and handed on): 1, 0 = none yet, -1 = the child is gone (it has been
 * reaped; `e` says how it ended: worker_lost, or the error that it reported on opening its models). */
int engine_link_next(struct engine_link *l, int64_t timeout_ms, json_t **out, struct err *e);
int engine_link_send(struct engine_link *l, json_t *message, struct err *e); /* takes the reference */
void engine_link_kill(struct engine_link *l);                                /* SIGKILL and reap; no child is fine */
void engine_link_fini(struct engine_link *l);

#endif
