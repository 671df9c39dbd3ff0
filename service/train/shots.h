/* shots.h - the training data: a folder of shots, decoded once to the size of the samples.
 *
 *   DATA/walk.mp4            a shot in colour: mp4, mov, mkv, webm, avi, a zip of frames,
 *   DATA/walk/               or a folder of PNG or JPEG frames in the order of their names
 *   DATA/walk.lines.mp4      its line art, as many frames; or walk.lines/, walk.lines.zip …; optional
 *   DATA/walk.txt            its prompt; optional
 *
 * Decoded frames lie in a cache of raw pixels, so that any frame can be read at once: 3 bytes a pixel for colours, 1
 * for lines. A shot that cannot be used is reported and left out; that ends nothing. Strangers' files are opened in the
 * sandbox only (media.h). */
#ifndef LONGANIM_TRAIN_SHOTS_H
#define LONGANIM_TRAIN_SHOTS_H

#include "base/err.h"
#include "media/media.h"

#include <stdbool.h>
#include <stdint.h>

enum train_lines { TRAIN_LINES_AUTO, TRAIN_LINES_GIVEN, TRAIN_LINES_NETWORK, TRAIN_LINES_BORDERS };

struct train_shot {
    char *name, *prompt; /* prompt: NULL = none */
    int64_t frames;
    int color_fd, lines_fd; /* lines_fd: -1 = not extracted yet */
    char *lines_path;       /* where lines_fd's file is, or is to be */
};

struct train_shots_conf {
    const char *data, *cache; /* cache is made when it is missing */
    int32_t width, height;
    int64_t min_frames; /* shorter shots are no use */
    int threads;
    enum train_lines lines;
    struct media_limits limits;
    void *user;
    /* Called by several threads, one at a time. `done` of `total` shots have been looked at; why: NULL = usable.
     * Non-zero stops. */
    int (*on_shot)(void *user, const char *name, const struct err *why, int done, int total);
};

struct train_shots {
    struct train_shot *items; /* by name */
    int count, bad;
    int32_t width, height;
};

/* params_invalid when the folder is not there or holds no usable shot; canceled_by_user. */
int train_shots_open(struct train_shots *out, const struct train_shots_conf *c, struct err *e);
void train_shots_free(struct train_shots *s);

/* The shots without lines: gives their lines. `lines` gets frames x height x width. */
typedef int (*train_lines_fn)(void *user, const uint8_t *rgb, int32_t frames, uint8_t *lines, struct err *e);
int train_shots_extract(struct train_shots *s, train_lines_fn fn, void *user, struct err *e);

/* Reads one frame; any thread. Mirrored: left and right exchanged. */
int train_shot_color(const struct train_shots *s, int shot, int64_t frame, bool mirrored, uint8_t *rgb, struct err *e);
int train_shot_lines(const struct train_shots *s, int shot, int64_t frame, bool mirrored, uint8_t *grey, struct err *e);

#endif
