/* media_find.h - what a video is, found out by looking at all of it. Private to the folder; names libav. */
#ifndef LONGANIM_MEDIA_MEDIA_FIND_H
#define LONGANIM_MEDIA_MEDIA_FIND_H

#include "media/media_av.h"

struct media_found {
    struct media_info info;
    enum media_container container;
    int64_t size;
    struct media_timeline times; /* videos only */
    enum media_orientation orientation;
    AVRational aspect;
};

/* Size and container of an open file; payload_too_large, media_unreadable, media_container_refused, media_truncated. */
int media__find_container(int fd, bool as_still, const struct media_limits *l, struct media_found *out, struct err *e);
/* The rest, for MEDIA_IN_MP4 to MEDIA_IN_AVI. */
int media__find_video(int fd, const struct media_limits *l, struct media_found *out, struct err *e);
void media__found_free(struct media_found *f);

#endif
