/* media_wire.h - what a reader and its decoding child (`longanim-probe --decode`) say to each other. Private to the
 * folder and to service/probe.
 *
 * Descriptors of the child: 3 the file, 4 a SOCK_SEQPACKET pair for the messages below, 5 a memfd for pixels.
 *   reader -> child   wire_request
 *   child -> reader   WIRE_INFO                       (or WIRE_ERROR)
 *   reader -> child   WIRE_GO: the memory has slots * frame_bytes bytes and can no longer change its size
 *   child -> reader   WIRE_FRAME: slot holds a frame  ... WIRE_END or WIRE_ERROR
 *   reader -> child   WIRE_RELEASE: slot may be written again
 * The reader believes nothing that the child says about sizes: it knows slots and frame_bytes itself. */
#ifndef LONGANIM_MEDIA_MEDIA_WIRE_H
#define LONGANIM_MEDIA_MEDIA_WIRE_H

#include "media/media.h"

#define WIRE_FILE_FD 3
#define WIRE_CONTROL_FD 4
#define WIRE_MEMORY_FD 5
#define WIRE_SLOTS 3
#define WIRE_SLACK_BYTES 64 /* after the last slot: swscale may write that far */

struct wire_request {
    uint8_t still, alpha;
    int32_t channels; /* of a still */
    struct media_limits limits;
};

enum wire_type { WIRE_INFO = 1, WIRE_FRAME, WIRE_END, WIRE_ERROR, WIRE_GO, WIRE_RELEASE };

struct wire_message {
    int32_t type, slot;
    int64_t index, pts, duration; /* FRAME */
    int32_t channels, tb_num, tb_den;
    struct media_info info; /* INFO */
    struct err err;         /* ERROR */
    char name[1028];        /* FRAME of a zip; else "" */
};

struct wire_order {
    int32_t type, slot;
    int64_t frame_bytes; /* GO */
};

/* The child's whole life; returns its exit status. */
int media_decode_child(void);

#endif
