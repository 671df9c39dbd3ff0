/* media_zip.h - a zip of frames: which files are frames, in which order, and their bytes. Private to the folder.
 * Runs inside the sandbox; the archive is read by descriptor and nothing is ever extracted to a folder. */
#ifndef LONGANIM_MEDIA_MEDIA_ZIP_H
#define LONGANIM_MEDIA_MEDIA_ZIP_H

#include "media/media_int.h"

struct media_zip;

/* Reads the directory and checks every name: media_unreadable for `..`, absolute and backslash paths, links and
 * other special files, encrypted entries, names that would collide as .png, bytes that are not all there;
 * media_too_many_frames. Directories, `__MACOSX/` and dot files are ignored. */
int media__zip_open(struct media_zip **out, int fd, int64_t size, const struct media_limits *l, struct err *e);
void media__zip_close(struct media_zip *z); /* NULL is fine */

int64_t media__zip_count(const struct media_zip *z);
/* Path of the i-th frame, frames being in bytewise order of their paths. Borrowed. */
const char *media__zip_name(const struct media_zip *z, int64_t i);
/* Bytes of the i-th frame, borrowed until the next call. Any order works; the archive's own is the fastest. */
int media__zip_read(struct media_zip *z, int64_t i, const uint8_t **out_data, size_t *out_size, struct err *e);
/* The i-th in the order of the archive, as an index for the functions above. */
int64_t media__zip_stored(const struct media_zip *z, int64_t i);

/* Looks at the names as they are stored: media_unreadable for backslashes, media_truncated without a directory. */
int media__zip_check_names(int fd, int64_t size, struct err *e);

#endif
