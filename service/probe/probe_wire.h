/* probe_wire.h - what the client and `longanim-probe` say to each other over a SOCK_SEQPACKET pair. Private to the
 * folder; both ends are of one build. A request carries the descriptors of its files (SCM_RIGHTS). */
#ifndef LONGANIM_PROBE_PROBE_WIRE_H
#define LONGANIM_PROBE_PROBE_WIRE_H

#include "base/err.h"
#include "media/media.h"
#include "probe/probe_client.h"

#define PROBE_SOCKET_FD 3

struct probe_request {
    uint64_t id;
    int32_t count;   /* of files, 1..PROBE_FILES_MAX */
    uint32_t stills; /* bit i: file i is to be a picture, else a video */
    uint32_t sheets; /* bit i: file i is a timesheet for file 0 */
    struct media_limits limits;
};

struct probe_reply {
    uint64_t id;
    int32_t refused; /* which file, -1 = none */
    struct err err;  /* why */
    struct media_info info[PROBE_FILES_MAX];
};

/* Serves requests until the other end closes; returns the program's exit status. */
int probe_serve(int socket_fd);

/* Probes one open file in a sandboxed child of its own and waits for the answer. */
int probe_once(int fd, bool as_still, const struct media_limits *l, struct media_info *out, struct err *e);

#endif
