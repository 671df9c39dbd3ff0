/* Defaults, and what names and descriptions are possible. No libav here: longanim-api links this file. */
#include "media/media_int.h"

#include <string.h>

void media_limits_default(struct media_limits *l)
{
    *l = (struct media_limits){
        .bytes = INT64_C(2) << 30,
        .pixels = 4096 * 4096,
        .frames = 5000,
        .seconds = 600,
        .still_pixels = 40 * 1000 * 1000,
        .memory_bytes = INT64_C(768) << 20,
        .cpu_seconds = 10,
    };
}

const char *media_content_type(enum media_format f)
{
    static const char *const types[] = {
        [MEDIA_MP4] = "video/mp4",           [MEDIA_WEBM] = "video/webm",           [MEDIA_MOV] = "video/quicktime",
        [MEDIA_PNG_ZIP] = "application/zip", [MEDIA_LOSSLESS] = "video/x-matroska",
    };
    return types[f];
}

static bool is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

bool media__info_sane(const struct media_info *i, const struct media_limits *l)
{
    int64_t most = i->kind == MEDIA_STILL ? l->still_pixels : l->pixels;
    return i->kind >= MEDIA_VIDEO && i->kind <= MEDIA_FRAMES_ZIP && is_text(i->container, sizeof i->container) &&
           is_text(i->codec, sizeof i->codec) && is_text(i->pixel_format, sizeof i->pixel_format) && i->width > 0 &&
           i->height > 0 && (int64_t)i->width * i->height <= most && i->frames > 0 &&
           (i->kind == MEDIA_STILL ? i->frames == 1 : i->frames <= l->frames) && i->fps_num >= 0 && i->fps_den > 0 &&
           i->duration_us >= 0;
}
