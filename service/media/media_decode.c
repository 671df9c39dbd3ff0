/* The decoding child: decodes one file inside the sandbox and lays the pixels into shared memory. Nothing here may
 * open, create or ask for anything once the sandbox is shut. */
#include "media/media_wire.h"

#include "media/media_find.h"
#include "media/media_zip.h"
#include "media/sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct sender {
    struct wire_request request;
    struct media_found found;
    struct media_convert convert;
    struct wire_message message; /* being filled; large, so it is not on the stack */
    uint8_t *memory;
    int64_t frame_bytes;
    bool busy[WIRE_SLOTS];
    int channels;
};

static int say(struct sender *s, enum wire_type type, struct err *e)
{
    const struct wire_message *m = &s->message;
    s->message.type = (int32_t)type;
    if (write(WIRE_CONTROL_FD, m, sizeof *m) != (ssize_t)sizeof *m)
        return err_set(e, ERR_internal, "the reader is gone");
    return 0;
}

static int hear(struct wire_order *out, struct err *e)
{
    ssize_t got;
    while ((got = read(WIRE_CONTROL_FD, out, sizeof *out)) < 0 && errno == EINTR)
        ;
    return got == sizeof *out ? 0 : err_set(e, ERR_internal, "the reader is gone");
}

/* Announces what the frames will be and waits for the memory to put them in. */
static int announce(struct sender *s, int32_t tb_num, int32_t tb_den, struct err *e)
{
    struct wire_order order;
    const struct media_info *info = &s->found.info;
    s->message.info = *info;
    s->message.channels = s->channels;
    s->message.tb_num = tb_num;
    s->message.tb_den = tb_den;
    if (say(s, WIRE_INFO, e) != 0 || hear(&order, e) != 0)
        return -1;
    s->frame_bytes = (int64_t)info->width * info->height * s->channels;
    if (order.type != WIRE_GO || order.frame_bytes != s->frame_bytes)
        return err_set(e, ERR_internal, "the reader expects frames of another size");
    size_t size = (size_t)s->frame_bytes * WIRE_SLOTS + WIRE_SLACK_BYTES;
    s->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, WIRE_MEMORY_FD, 0);
    if (s->memory == MAP_FAILED) {
        s->memory = NULL;
        return err_set(e, ERR_media_decode_memory, "no memory for frames of this size");
    }
    return 0;
}

static int free_slot(struct sender *s, struct err *e)
{
    for (;;) {
        struct wire_order order;
        for (int i = 0; i < WIRE_SLOTS; i++)
            if (!s->busy[i])
                return i;
        if (hear(&order, e) != 0)
            return -1;
        if (order.type != WIRE_RELEASE || order.slot < 0 || order.slot >= WIRE_SLOTS)
            return err_set(e, ERR_internal, "the reader said something else than was agreed");
        s->busy[order.slot] = false;
    }
}

static int send_frame(struct sender *s, const AVFrame *f, enum media_orientation o, int64_t index, int64_t pts,
                      int64_t duration, const char *name, struct err *e)
{
    const struct media_info *info = &s->found.info;
    int slot = free_slot(s, e);
    if (slot < 0)
        return -1;
    if (media__convert(&s->convert, f, o, info->width, info->height, s->channels, s->memory + slot * s->frame_bytes,
                       e) != 0)
        return -1;
    s->busy[slot] = true;
    s->message.slot = slot;
    s->message.index = index;
    s->message.pts = pts;
    s->message.duration = duration;
    strncpy(s->message.name, name ? name : "", sizeof s->message.name - 1);
    return say(s, WIRE_FRAME, e);
}

/* ---- the three kinds of file ---- */
static int decode_video(struct sender *s, struct err *e)
{
    struct media_source source = {0};
    const struct media_timeline *times = &s->found.times;
    const int64_t *pts = NULL;
    AVFrame *f = av_frame_alloc();
    int32_t w = 0, h = 0;
    int more, result = -1;
    if (!f || media__find_video(WIRE_FILE_FD, &s->request.limits, &s->found, e) != 0)
        goto out;
    pts = times->pts.items;
    s->channels = s->request.alpha && s->found.info.has_alpha ? 4 : 3;
    if (announce(s, times->tb_num, times->tb_den, e) != 0 ||
        media__source_open(&source, WIRE_FILE_FD, s->found.size, s->found.container, NULL, &s->request.limits, e) !=
            0 ||
        media__source_decode(&source, s->request.limits.pixels, e) != 0)
        goto out;
    for (int64_t i = 0; (more = media__source_frame(&source, f, e)) == 1; i++) {
        if (i == 0) {
            w = f->width;
            h = f->height;
        }
        if (f->width != w || f->height != h || i >= times->pts.count) {
            err_set(e, ERR_media_unreadable, "frame %lld differs in size from the first, or was not announced",
                    (long long)i);
            goto out;
        }
        if (media__is_combed(f)) {
            err_set(e, ERR_media_codec_refused, "interlaced video is not accepted: deinterlace it first");
            goto out;
        }
        int64_t duration = i + 1 < times->pts.count ? pts[i + 1] - pts[i] : times->last_duration;
        if (send_frame(s, f, s->found.orientation, i, pts[i], duration, NULL, e) != 0)
            goto out;
        result = i + 1 == times->pts.count ? 0 : -1;
    }
    if (more == 0 && result != 0)
        err_set(e, ERR_media_unreadable, "fewer frames can be decoded than the file has");
    result = more == 0 ? result : -1;
out:
    media__source_close(&source);
    av_frame_free(&f);
    return result;
}

static int decode_zip(struct sender *s, struct err *e)
{
    struct media_stills stills = {.pixels = s->request.limits.pixels};
    struct media_info *info = &s->found.info;
    struct media_zip *zip = NULL;
    AVFrame *f = av_frame_alloc();
    int result = -1;
    if (!f || media_probe_fd(WIRE_FILE_FD, false, &s->request.limits, info, e) != 0 ||
        media__zip_open(&zip, WIRE_FILE_FD, s->found.size, &s->request.limits, e) != 0)
        goto out;
    s->channels = s->request.alpha && info->has_alpha ? 4 : 3;
    if (announce(s, 1, 1, e) != 0)
        goto out;
    for (int64_t i = 0; i < media__zip_count(zip); i++) {
        const uint8_t *data;
        size_t size;
        int32_t w, h;
        enum media_orientation o;
        if (media__zip_read(zip, i, &data, &size, e) != 0 || media__still_decode(&stills, data, size, f, &o, e) != 0 ||
            media__shown_size(f->width, f->height, (AVRational){1, 1}, o, stills.pixels, &w, &h, e) != 0)
            goto out;
        if (w != info->width || h != info->height) {
            err_set(e, ERR_media_unreadable, "the frames differ in size: %s", media__zip_name(zip, i));
            goto out;
        }
        if (send_frame(s, f, o, i, -1, 0, media__zip_name(zip, i), e) != 0)
            goto out;
    }
    result = 0;
out:
    media__zip_close(zip);
    media__stills_close(&stills);
    av_frame_free(&f);
    return result;
}

static int decode_still(struct sender *s, struct err *e)
{
    struct media_stills stills = {.pixels = s->request.limits.still_pixels};
    struct media_info *info = &s->found.info;
    enum media_orientation o = MEDIA_UPRIGHT;
    AVFrame *f = av_frame_alloc();
    uint8_t *data = malloc((size_t)s->found.size);
    int result = -1;
    if (!f || !data || media__read_at(WIRE_FILE_FD, 0, data, (size_t)s->found.size) != s->found.size) {
        err_set(e, ERR_media_decode_memory, "the file takes more memory than is allowed");
        goto out;
    }
    if (media__still_decode(&stills, data, (size_t)s->found.size, f, &o, e) != 0 ||
        media__shown_size(f->width, f->height, (AVRational){1, 1}, o, stills.pixels, &info->width, &info->height, e) !=
            0)
        goto out;
    info->kind = MEDIA_STILL;
    info->frames = info->fps_den = 1;
    info->has_alpha = media__has_alpha(f);
    s->channels = s->request.channels;
    if (announce(s, 1, 1, e) == 0)
        result = send_frame(s, f, o, 0, -1, 0, NULL, e);
out:
    free(data);
    media__stills_close(&stills);
    av_frame_free(&f);
    return result;
}

static int decode(struct sender *s, struct err *e)
{
    const struct media_limits *l = &s->request.limits;
    if (media__find_container(WIRE_FILE_FD, s->request.still, l, &s->found, e) != 0)
        return -1;
    if (s->request.still)
        return decode_still(s, e);
    return s->found.container == MEDIA_IN_ZIP ? decode_zip(s, e) : decode_video(s, e);
}

static int shut_sandbox(const struct media_limits *l, struct err *e)
{
    struct sandbox_filter *filter = NULL;
    int64_t most = l->pixels > l->still_pixels ? l->pixels : l->still_pixels;
    /* The frames' memory comes on top. The reader watches the time between frames; this is only the outermost bound. */
    struct sandbox_limits limits = {.memory_bytes = l->memory_bytes + most * 4 * WIRE_SLOTS,
                                    .cpu_seconds = l->cpu_seconds * (2 + l->frames / 25)};
    return sandbox_filter_new(&filter, e) != 0 ? -1 : sandbox_enter(filter, &limits, WIRE_MEMORY_FD + 1, e);
}

int media_decode_child(void)
{
    static struct sender s;
    struct err e = {0};
    ssize_t got;
    while ((got = read(WIRE_CONTROL_FD, &s.request, sizeof s.request)) < 0 && errno == EINTR)
        ;
    if (got != sizeof s.request)
        return 2;
    media__av_init(s.request.limits.memory_bytes / 2);
    int result = shut_sandbox(&s.request.limits, &e);
    if (result == 0)
        result = decode(&s, &e);
    s.message.err = e;
    if (say(&s, result == 0 ? WIRE_END : WIRE_ERROR, NULL) != 0)
        return 1;
    /* To end with unread orders would reset the connection, and the reader would lose what it has not read yet. */
    struct wire_order order;
    while (hear(&order, NULL) == 0)
        ;
    return 0;
}
