/* media_int.h - what the files of media/ share and libav has no part in. Private to the folder.
 *
 * Everything that reads here reads by offset (pread), so the position of a shared descriptor is left alone. */
#ifndef LONGANIM_MEDIA_MEDIA_INT_H
#define LONGANIM_MEDIA_MEDIA_INT_H

#include "media/media.h"

#include <stddef.h>
#include <sys/types.h>

enum media_container {
    MEDIA_IN_UNKNOWN,
    MEDIA_IN_MP4,
    MEDIA_IN_MOV,
    MEDIA_IN_MATROSKA,
    MEDIA_IN_WEBM,
    MEDIA_IN_AVI,
    MEDIA_IN_ZIP,
    MEDIA_IN_PNG,
    MEDIA_IN_JPEG,
    MEDIA_IN_WEBP,
};
const char *media__container_name(enum media_container c);

/* Bytes read, short at the end of the file; -1 on errors. */
ssize_t media__read_at(int fd, int64_t offset, void *data, size_t size);

/* The container by its first bytes; the file's name and what a client says do not count. */
enum media_container media__sniff(const uint8_t *head, size_t size);

/* Walks the outer structure (boxes, RIFF chunks, EBML) without decoding: media_truncated when it says that there
 * should be more bytes than there are. */
int media__check_whole(int fd, int64_t size, enum media_container c, struct err *e);

/* How stored rows and columns map to what is shown; EXIF's numbers 1..8. */
enum media_orientation {
    MEDIA_UPRIGHT = 1,
    MEDIA_MIRRORED = 2,
    MEDIA_TURNED_180 = 3,
    MEDIA_FLIPPED = 4,
    MEDIA_TRANSPOSED = 5,
    MEDIA_TURNED_RIGHT = 6, /* shown after 90 degrees clockwise */
    MEDIA_TRANSVERSED = 7,
    MEDIA_TURNED_LEFT = 8, /* shown after 270 degrees clockwise */
};
bool media__swaps_sides(enum media_orientation o);
int32_t media__degrees(enum media_orientation o); /* clockwise, 0 for pure mirrors */
/* Writes w x h pixels of src in their shown order to dst (h x w when the sides swap). */
void media__orient(const uint8_t *src, int32_t w, int32_t h, int channels, enum media_orientation o, uint8_t *dst);

struct media_list {
    int64_t *items;
    int64_t count, capacity;
};
int media__list_add(struct media_list *l, int64_t item, struct err *e); /* media_decode_memory */
void media__list_free(struct media_list *l);

/* Times of the frames that will be shown, in order. */
struct media_timeline {
    struct media_list pts; /* strictly rising when finished */
    int64_t last_duration;
    int32_t tb_num, tb_den;
};
/* Sorts and checks (media_unreadable when two frames have one time), and finds the rate. For containers that round
 * to milliseconds (`coarse`), a rate of `nominal` that explains every time stamp within one unit replaces them by
 * the exact ones. */
int media__timeline_finish(struct media_timeline *t, bool coarse, int32_t nominal_num, int32_t nominal_den,
                           struct media_info *info, struct err *e);

/* Width and height that a PNG or JPEG states, as stored. media_unreadable, media_container_refused. */
int media__still_size(const uint8_t *data, size_t size, int32_t *out_w, int32_t *out_h, struct err *e);

/* libav fills tables when they are first needed; in a process that forks, its children find them filled. Once, with no
 * file in sight. */
void media__warm_up(void);

/* Is this description possible? For answers of a process that may have been taken over. */
bool media__info_sane(const struct media_info *i, const struct media_limits *l);

#endif
