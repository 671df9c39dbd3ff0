/* media.h - files in, frames out, and back. Our own types only; no libav name leaves this folder.
 *
 * Reading strangers' files happens in a sandboxed child process (seccomp, rlimits): media_reader and media_still
 * start `longanim-probe --decode` and get raw frames through a pipe; only probe/ runs media_probe_fd itself, inside
 * its own sandbox. Writing (our own frames) happens in the caller's process.
 * Frames are packed 8-bit RGB or RGBA (straight alpha), rows top to bottom, no padding, as shown: rotation and
 * sample aspect ratio are applied.
 * Threads: a reader or writer belongs to one thread at a time. Errors: media_*, unsupported_media_type; encode_failed
 * and storage_full from writers. Limits and attacks: docs/media.md. */
#ifndef LONGANIM_MEDIA_MEDIA_H
#define LONGANIM_MEDIA_MEDIA_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct media_limits {
    int64_t bytes, pixels, frames, seconds; /* per video */
    int64_t still_pixels;                   /* per reference image */
    int64_t memory_bytes, cpu_seconds;      /* of the sandboxed child */
};
void media_limits_default(struct media_limits *l); /* 2 GiB, 4096x4096, 5000, 600 s, 40 MP, 768 MiB, 10 s */

enum media_kind { MEDIA_VIDEO, MEDIA_STILL, MEDIA_FRAMES_ZIP };

struct media_info {
    enum media_kind kind;
    char container[16], codec[16], pixel_format[24];
    int32_t width, height;    /* as shown */
    int64_t frames;           /* counted, not believed */
    int32_t fps_num, fps_den; /* average; 0/1 for stills and zips */
    bool variable_rate, has_alpha, has_audio;
    int32_t rotation; /* degrees clockwise that were applied */
    int64_t start_us, duration_us;
};

/* Looks at the whole file within the limits. Call only inside the sandbox: this is what longanim-probe runs.
 * as_still: only PNG, JPEG and WebP are accepted. */
int media_probe_fd(int fd, bool as_still, const struct media_limits *l, struct media_info *out, struct err *e);

/* Paths of a zip's frames in their order, as names that media_reader_next gives. Call only inside the sandbox. *out and
 * every name of it are the caller's, also on failure. */
int media_frame_names_fd(int fd, const struct media_limits *l, char ***out, int64_t *out_count, struct err *e);

/* ---- reading, sandboxed ---- */
struct media_reader;
struct media_frame {
    const uint8_t *pixels;           /* borrowed until the next call */
    int32_t width, height, channels; /* 3 or 4 */
    int64_t index;
    int64_t pts;      /* in units of time_base; -1 for zips */
    int64_t duration; /* until the next frame, in units of time_base; 0 for zips */
    const char *name; /* zips: the path inside, else NULL */
};
/* Opens a video or a zip of frames. alpha: deliver 4 channels when the file has alpha, else always 3. */
int media_reader_open(struct media_reader **out, const char *path, bool alpha, const struct media_limits *l,
                      struct err *e);
const struct media_info *media_reader_info(const struct media_reader *r);
void media_reader_time_base(const struct media_reader *r, int32_t *num, int32_t *den);
/* 1 = a frame, 0 = the end, -1 = error. */
int media_reader_next(struct media_reader *r, struct media_frame *out, struct err *e);
void media_reader_close(struct media_reader *r); /* NULL is fine; the child is gone on return */

/* A still image, orientation applied; *out_pixels is malloc'ed (free it). channels: 3 or 4 wanted. */
int media_still_read(const char *path, int channels, const struct media_limits *l, uint8_t **out_pixels,
                     int32_t *out_width, int32_t *out_height, struct err *e);

/* ---- writing, in process ---- */
enum media_format {
    MEDIA_MP4,      /* H.264, faststart; yuv420p for even sizes, yuv444p for odd ones; BT.709 tags */
    MEDIA_WEBM,     /* VP9, alpha when channels is 4 */
    MEDIA_MOV,      /* ProRes 4444, alpha when channels is 4 */
    MEDIA_PNG_ZIP,  /* one PNG per frame, fixed time stamps inside */
    MEDIA_LOSSLESS, /* FFV1 in Matroska, exact RGB: our own segments */
};
struct media_writer;
struct media_write_conf {
    enum media_format format;
    int32_t width, height, channels; /* of the frames that will be put; zips also take 1 = grey, 2 = 16-bit grey (MSB
                                      * first): a byte per channel in both cases */
    int32_t time_base_num, time_base_den;
    int32_t fps_num, fps_den; /* nominal; may be 0/1 when the rate varies */
    int32_t threads;          /* 0 = default; output does not depend on the machine's core count */
};
int media_writer_open(struct media_writer **out, const char *path, const struct media_write_conf *c, struct err *e);
/* pts in time_base, strictly rising. name: file name inside a zip (NULL = 00000.png upward); ignored elsewhere. */
int media_writer_put(struct media_writer *w, const uint8_t *pixels, int64_t pts, const char *name, struct err *e);
/* Ends the file. duration_last: of the last frame, in time_base; 0 = as the one before. Frees w in every case. */
int media_writer_close(struct media_writer *w, int64_t duration_last, struct err *e);
void media_writer_abort(struct media_writer *w); /* frees and removes the file; NULL is fine */
const char *media_content_type(enum media_format f);

/* These files of a folder, as they are, as a zip of frames for media_reader_open. */
int media_zip_folder(const char *path, const char *folder, const char *const *names, int count, struct err *e);

int media_write_png(const char *path, const uint8_t *pixels, int32_t w, int32_t h, int channels, struct err *e);
int media_write_jpeg(const char *path, const uint8_t *rgb, int32_t w, int32_t h, int quality, struct err *e);

/* Deterministic scaling of packed frames (area when shrinking, Lanczos when growing); dst is caller's. */
int media_scale(const uint8_t *src, int32_t sw, int32_t sh, int channels, uint8_t *dst, int32_t dw, int32_t dh,
                struct err *e);

/* Versions of the libraries, for receipts: "libavcodec 59.37.100, …". Static. */
const char *media_versions(void);

#endif
