#include "engine/planes.h"

#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX = 64 << 20 };

static const struct {
    const char *file;
    int32_t channels;
} rows[PLANES_KINDS] = {[PLANES_LINE] = {"line.zip", 4},
                        [PLANES_PAINT] = {"paint.zip", 4},
                        [PLANES_REGIONS] = {"regions.zip", 2},
                        [PLANES_CONFIDENCE] = {"confidence.zip", 1}};

int planes_open(struct planes *p, const char *folder, int32_t width, int32_t height, struct err *e)
{
    char path[FS_PATH_MAX];
    *p = (struct planes){.frames = 0};
    for (int i = 0; i < PLANES_KINDS; i++) {
        struct media_write_conf conf = {.format = MEDIA_PNG_ZIP,
                                        .width = width,
                                        .height = height,
                                        .channels = rows[i].channels,
                                        .time_base_num = 1,
                                        .time_base_den = 24,
                                        .fps_num = 24,
                                        .fps_den = 1};
        p->pixels[i] = malloc((size_t)width * (size_t)height * (size_t)rows[i].channels);
        if (!p->pixels[i])
            return err_set(e, ERR_internal, "no memory for a frame");
        if (fs_join(path, folder, rows[i].file, e) != 0 || media_writer_open(&p->writers[i], path, &conf, e) != 0)
            return -1;
    }
    return 0;
}

void planes_fini(struct planes *p)
{
    for (int i = 0; i < PLANES_KINDS; i++) {
        media_writer_abort(p->writers[i]);
        free(p->pixels[i]);
    }
    *p = (struct planes){.frames = 0};
}

void planes_offer(struct planes *p, struct paint_planes *to)
{
    p->ordered = false;
    to->line = p->pixels[PLANES_LINE];
    to->paint = p->pixels[PLANES_PAINT];
    to->region_ids = (uint16_t *)(void *)p->pixels[PLANES_REGIONS];
    to->confidence = p->pixels[PLANES_CONFIDENCE];
}

/* PNG has its 16-bit values most significant byte first. */
static void to_big_endian(uint8_t *plane, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        uint16_t v;
        memcpy(&v, plane + 2 * i, 2);
        plane[2 * i] = (uint8_t)(v >> 8);
        plane[2 * i + 1] = (uint8_t)v;
    }
}

int planes_put(struct planes *p, int32_t width, int32_t height, const char *name, struct err *e)
{
    if (!p->ordered)
        to_big_endian(p->pixels[PLANES_REGIONS], (size_t)width * (size_t)height);
    p->ordered = true;
    for (int i = 0; i < PLANES_KINDS; i++)
        if (media_writer_put(p->writers[i], p->pixels[i], p->frames, name, e) != 0)
            return -1;
    p->frames++;
    return 0;
}

int planes_close(struct planes *p, struct err *e)
{
    for (int i = 0; i < PLANES_KINDS; i++) {
        struct media_writer *writer = p->writers[i];
        p->writers[i] = NULL;
        if (media_writer_close(writer, 1, e) != 0)
            return -1;
    }
    return 0;
}

int planes_palette(const struct paint *paint, const int32_t *shown, int64_t frames, const char *folder, struct err *e)
{
    char path[FS_PATH_MAX];
    struct buf b;
    buf_init(&b, REPORT_MAX);
    int failed = fs_join(path, folder, PLANES_PALETTE, e) != 0 ||
                 paint_palette_json(paint, shown, frames, &b, e) != 0 || fs_write_atomic(path, b.data, b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : 0;
}
