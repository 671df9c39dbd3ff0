/* media_write.h - the two kinds of writer behind media_writer: video containers by libav, zips of PNG by hand. Private
 * to the folder. Both own the file at `path` from open to close and leave its removal to media_write.c. */
#ifndef LONGANIM_MEDIA_MEDIA_WRITE_H
#define LONGANIM_MEDIA_MEDIA_WRITE_H

#include "base/buf.h"
#include "media/media_int.h"

struct media_video_writer;
int media__video_open(struct media_video_writer **out, const char *path, const struct media_write_conf *c,
                      struct err *e);
/* duration in time_base: until the next frame. */
int media__video_put(struct media_video_writer *w, const uint8_t *pixels, int64_t pts, int64_t duration, struct err *e);
int media__video_close(struct media_video_writer *w, struct err *e); /* ends the file; frees w in every case */
void media__video_abort(struct media_video_writer *w);               /* NULL is fine */

struct media_zip_writer;
int media__zip_create(struct media_zip_writer **out, const char *path, struct err *e);
int media__zip_add(struct media_zip_writer *w, const char *name, const void *data, size_t size, struct err *e);
int media__zip_finish(struct media_zip_writer *w, struct err *e); /* frees w in every case */
void media__zip_abort(struct media_zip_writer *w);                /* NULL is fine */

/* Encodes one picture after another with the same settings. */
struct media_png;
int media__png_new(struct media_png **out, int32_t w, int32_t h, int channels, struct err *e);
int media__png_encode(struct media_png *p, const uint8_t *pixels, const uint8_t **out_data, size_t *out_size,
                      struct err *e); /* borrowed until the next call */
void media__png_free(struct media_png *p);

/* storage_full when errno says that there is no room, else encode_failed. */
int media__write_error(int error_number, const char *path, struct err *e);

#endif
