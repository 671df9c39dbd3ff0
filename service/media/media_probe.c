/* The prober: one question, one answer, inside the sandbox. */
#include "media/media_find.h"
#include "media/media_zip.h"

#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PNG is slow to decode; of more than this only samples are, and of the others the stated sizes are compared. */
#define DECODE_ALL_ZIP_PIXELS (INT64_C(1) << 27)

static void describe(struct media_info *info, const AVFrame *f, enum media_container c)
{
    bool alpha = c != MEDIA_IN_JPEG && media__has_alpha(f);
    info->has_alpha |= alpha;
    if (info->codec[0])
        return;
    snprintf(info->codec, sizeof info->codec, "%s", media__container_name(c));
    snprintf(info->pixel_format, sizeof info->pixel_format, "%s", av_get_pix_fmt_name(f->format));
}

static int read_whole(int fd, int64_t size, uint8_t **out, struct err *e)
{
    uint8_t *data = malloc((size_t)size);
    if (!data)
        return err_set(e, ERR_media_decode_memory, "the file takes more memory than is allowed");
    if (media__read_at(fd, 0, data, (size_t)size) != size) {
        free(data);
        return err_set(e, ERR_media_truncated, "the file ends early");
    }
    *out = data;
    return 0;
}

static int probe_still(int fd, const struct media_limits *l, struct media_found *found, struct err *e)
{
    struct media_stills stills = {.pixels = l->still_pixels};
    struct media_info *info = &found->info;
    AVFrame *f = av_frame_alloc();
    uint8_t *data = NULL;
    int result = f ? read_whole(fd, found->size, &data, e) : err_set(e, ERR_media_decode_memory, "no memory");
    if (result == 0)
        result = media__still_decode(&stills, data, (size_t)found->size, f, &found->orientation, e);
    if (result == 0) {
        *info = (struct media_info){.kind = MEDIA_STILL, .frames = 1, .fps_den = 1};
        snprintf(info->container, sizeof info->container, "%s", media__container_name(found->container));
        describe(info, f, found->container);
        info->rotation = media__degrees(found->orientation);
        result = media__shown_size(f->width, f->height, (AVRational){1, 1}, found->orientation, l->still_pixels,
                                   &info->width, &info->height, e);
    }
    free(data);
    av_frame_free(&f);
    media__stills_close(&stills);
    return result;
}

static int differs(const char *name, int32_t w, int32_t h, int32_t first_w, int32_t first_h, struct err *e)
{
    return err_set(e, ERR_media_unreadable, "the frames differ in size: %s has %d x %d pixels, the first one %d x %d",
                   name, w, h, first_w, first_h);
}

/* Names the frame in what went wrong with it. */
static int blame(const char *name, struct err *e)
{
    if (!e)
        return -1;
    struct err plain = *e;
    return err_set(e, plain.code, "%s: %s", name, plain.detail);
}

struct zip_look {
    struct media_zip *zip;
    struct media_stills stills;
    struct media_info *info;
    AVFrame *frame;
    int32_t stored_w, stored_h;
};

static int decode_zip_frame(struct zip_look *look, int64_t i, const uint8_t *data, size_t size, struct err *e)
{
    const char *name = media__zip_name(look->zip, i);
    enum media_orientation o;
    int32_t w, h;
    enum media_container c = media__sniff(data, size);
    if (c != MEDIA_IN_PNG && c != MEDIA_IN_JPEG)
        return err_set(e, ERR_media_codec_refused, "%s is neither PNG nor JPEG", name);
    if (media__still_decode(&look->stills, data, size, look->frame, &o, e) != 0 ||
        media__shown_size(look->frame->width, look->frame->height, (AVRational){1, 1}, o, look->stills.pixels, &w, &h,
                          e) != 0)
        return blame(name, e);
    if (look->info->width && (w != look->info->width || h != look->info->height))
        return differs(name, w, h, look->info->width, look->info->height, e);
    if (!look->info->width) {
        look->stored_w = look->frame->width;
        look->stored_h = look->frame->height;
    }
    look->info->width = w;
    look->info->height = h;
    describe(look->info, look->frame, c);
    return 0;
}

static int check_zip_frame(struct zip_look *look, int64_t i, bool decode, struct err *e)
{
    const uint8_t *data;
    size_t size;
    int32_t w, h;
    if (media__zip_read(look->zip, i, &data, &size, e) != 0)
        return -1;
    if (decode)
        return decode_zip_frame(look, i, data, size, e);
    if (media__still_size(data, size, &w, &h, e) != 0)
        return blame(media__zip_name(look->zip, i), e);
    bool same = (w == look->stored_w && h == look->stored_h) || (w == look->stored_h && h == look->stored_w);
    return same ? 0 : differs(media__zip_name(look->zip, i), w, h, look->stored_w, look->stored_h, e);
}

static int probe_zip(int fd, const struct media_limits *l, struct media_found *found, struct err *e)
{
    struct zip_look look = {.stills = {.pixels = l->pixels}, .info = &found->info, .frame = av_frame_alloc()};
    int result = look.frame ? 0 : err_set(e, ERR_media_decode_memory, "no memory");
    found->info.kind = MEDIA_FRAMES_ZIP;
    found->info.fps_den = 1;
    if (result == 0)
        result = media__zip_open(&look.zip, fd, found->size, l, e);
    if (result == 0) {
        int64_t count = found->info.frames = media__zip_count(look.zip);
        result = check_zip_frame(&look, 0, true, e);
        bool all = (int64_t)look.stored_w * look.stored_h * count <= DECODE_ALL_ZIP_PIXELS;
        for (int64_t k = 0; k < count && result == 0; k++) {
            int64_t i = media__zip_stored(look.zip, k);
            if (i != 0)
                result = check_zip_frame(&look, i, all || i == count / 2 || i == count - 1, e);
        }
    }
    media__zip_close(look.zip);
    media__stills_close(&look.stills);
    av_frame_free(&look.frame);
    return result;
}

int media_probe_fd(int fd, bool as_still, const struct media_limits *l, struct media_info *out, struct err *e)
{
    struct media_found found = {0};
    int result = -1;
    media__av_init(l->memory_bytes / 2);
    if (media__find_container(fd, as_still, l, &found, e) != 0)
        return -1;
    if (as_still)
        result = probe_still(fd, l, &found, e);
    else if (found.container == MEDIA_IN_ZIP)
        result = probe_zip(fd, l, &found, e);
    else
        result = media__find_video(fd, l, &found, e);
    if (result == 0)
        *out = found.info;
    media__found_free(&found);
    return result;
}

int media_frame_names_fd(int fd, const struct media_limits *l, char ***out, int64_t *out_count, struct err *e)
{
    struct media_zip *zip = NULL;
    struct media_found found = {0};
    *out = NULL;
    *out_count = 0;
    int result = media__find_container(fd, false, l, &found, e);
    if (result == 0 && found.container != MEDIA_IN_ZIP)
        result = err_set(e, ERR_media_unreadable, "the file is no zip of frames");
    if (result == 0)
        result = media__zip_open(&zip, fd, found.size, l, e);
    int64_t count = result == 0 ? media__zip_count(zip) : 0;
    if (count > 0 && !(*out = calloc((size_t)count, sizeof **out)))
        result = err_set(e, ERR_media_decode_memory, "no memory for the names of the frames");
    for (int64_t i = 0; i < count && result == 0; i++)
        if (((*out)[i] = strdup(media__zip_name(zip, i))))
            ++*out_count;
        else
            result = err_set(e, ERR_media_decode_memory, "no memory for the names of the frames");
    media__zip_close(zip);
    media__found_free(&found);
    return result;
}
