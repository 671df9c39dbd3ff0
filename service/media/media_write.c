/* What all writers have in common: checks, the order of time stamps, names of frames, and no half file left behind. */
#include "media/media_write.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct media_writer {
    struct media_write_conf conf;
    char *path;
    struct media_video_writer *video;
    struct media_zip_writer *zip;
    struct media_png *png;
    /* A frame's duration is known when the next one comes, so one frame waits here. */
    uint8_t *waiting;
    size_t frame_bytes;
    int64_t waiting_pts, duration_before;
    int64_t count;
};

int media__write_error(int error_number, const char *path, struct err *e)
{
    bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
    return err_set(e, full ? ERR_storage_full : ERR_encode_failed, "cannot write %s: %s", path, strerror(error_number));
}

static void free_writer(struct media_writer *w)
{
    media__video_abort(w->video);
    media__zip_abort(w->zip);
    media__png_free(w->png);
    free(w->waiting);
    free(w->path);
    free(w);
}

static int check_conf(const struct media_write_conf *c, struct err *e)
{
    bool sized = c->width > 0 && c->height > 0 && c->width <= 16384 && c->height <= 16384;
    if (!sized || c->channels < (c->format == MEDIA_PNG_ZIP ? 1 : 3) || c->channels > 4 || c->time_base_num <= 0 ||
        c->time_base_den <= 0 || c->fps_num < 0 || c->fps_den < 0)
        return err_set(e, ERR_encode_failed, "a video of %d x %d pixels with time base %d/%d cannot be written",
                       c->width, c->height, c->time_base_num, c->time_base_den);
    return 0;
}

int media_writer_open(struct media_writer **out, const char *path, const struct media_write_conf *c, struct err *e)
{
    if (check_conf(c, e) != 0)
        return -1;
    struct media_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return err_set(e, ERR_encode_failed, "no memory to write %s", path);
    }
    w->conf = *c;
    w->frame_bytes = (size_t)c->width * (size_t)c->height * (size_t)c->channels;
    int result;
    if (c->format == MEDIA_PNG_ZIP) {
        result = media__png_new(&w->png, c->width, c->height, c->channels, e);
        if (result == 0)
            result = media__zip_create(&w->zip, path, e);
    } else {
        w->waiting = malloc(w->frame_bytes);
        result = w->waiting ? media__video_open(&w->video, path, c, e)
                            : err_set(e, ERR_encode_failed, "no memory to write %s", path);
    }
    if (result != 0) {
        free_writer(w);
        return -1;
    }
    *out = w;
    return 0;
}

/* "a/b.jpg" becomes "a/b.png"; a name without a known extension gets one. */
static int result_name(char *out, size_t size, const char *name, int64_t index)
{
    int length;
    if (!name) {
        length = snprintf(out, size, "%05lld.png", (long long)index);
    } else {
        const char *dot = strrchr(name, '.');
        bool known =
            dot && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
        length = snprintf(out, size, "%.*s.png", (int)(known ? (size_t)(dot - name) : strlen(name)), name);
    }
    return length > 0 && (size_t)length < size ? 0 : -1;
}

static int put_png(struct media_writer *w, const uint8_t *pixels, const char *name, struct err *e)
{
    char file[2048];
    const uint8_t *data;
    size_t size;
    if (result_name(file, sizeof file, name, w->count) != 0)
        return err_set(e, ERR_encode_failed, "the name of a frame is too long");
    return media__png_encode(w->png, pixels, &data, &size, e) != 0 ? -1 : media__zip_add(w->zip, file, data, size, e);
}

static int put_waiting(struct media_writer *w, int64_t duration, struct err *e)
{
    w->duration_before = duration;
    return media__video_put(w->video, w->waiting, w->waiting_pts, duration, e);
}

int media_writer_put(struct media_writer *w, const uint8_t *pixels, int64_t pts, const char *name, struct err *e)
{
    if (w->zip) {
        if (put_png(w, pixels, name, e) != 0)
            return -1;
        w->count++;
        return 0;
    }
    if (w->count > 0 && pts <= w->waiting_pts)
        return err_set(e, ERR_encode_failed, "time stamp %lld comes after %lld", (long long)pts,
                       (long long)w->waiting_pts);
    if (w->count > 0 && put_waiting(w, pts - w->waiting_pts, e) != 0)
        return -1;
    memcpy(w->waiting, pixels, w->frame_bytes);
    w->waiting_pts = pts;
    w->count++;
    return 0;
}

/* When nobody says how long the last frame lasts: as the one before, else one frame of the nominal rate. */
static int64_t last_duration(const struct media_writer *w, int64_t given)
{
    const struct media_write_conf *c = &w->conf;
    if (given > 0)
        return given;
    if (w->count > 1)
        return w->duration_before;
    int64_t nominal = 0;
    if (c->fps_num > 0 && c->fps_den > 0)
        nominal = (int64_t)((double)c->fps_den * c->time_base_den / ((double)c->fps_num * c->time_base_num) + 0.5);
    return nominal > 0 ? nominal : 1;
}

int media_writer_close(struct media_writer *w, int64_t duration_last, struct err *e)
{
    int result = 0;
    if (w->count == 0) {
        result = err_set(e, ERR_encode_failed, "a video needs a frame");
    } else if (w->zip) {
        result = media__zip_finish(w->zip, e);
        w->zip = NULL;
    } else {
        result = put_waiting(w, last_duration(w, duration_last), e);
        if (result == 0) {
            result = media__video_close(w->video, e);
            w->video = NULL;
        }
    }
    if (result != 0)
        unlink(w->path);
    free_writer(w);
    return result;
}

void media_writer_abort(struct media_writer *w)
{
    if (!w)
        return;
    unlink(w->path);
    free_writer(w);
}
