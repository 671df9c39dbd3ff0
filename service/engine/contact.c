#include "engine/contact.h"

#include "media/media.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int contact_init(struct contact *c, int64_t first, int64_t last, int32_t width, int32_t height, struct err *e)
{
    int64_t frames = last - first + 1;
    *c = (struct contact){.frame_width = width, .frame_height = height};
    c->count = frames < CONTACT_TILES ? (int32_t)frames : CONTACT_TILES;
    for (int32_t i = 0; i < c->count; i++)
        c->wanted[i] = c->count > 1 ? first + i * (frames - 1) / (c->count - 1) : first;
    c->columns = c->count < CONTACT_COLUMNS ? c->count : CONTACT_COLUMNS;
    c->rows = (c->count + c->columns - 1) / c->columns;
    c->tile_width = width < CONTACT_TILE_WIDTH ? width : CONTACT_TILE_WIDTH;
    c->tile_height = (int32_t)((int64_t)c->tile_width * height / width);
    if (c->tile_height < 1)
        c->tile_height = 1;
    if (c->tile_height > 4 * CONTACT_TILE_WIDTH)
        c->tile_height = 4 * CONTACT_TILE_WIDTH;
    size_t tile = (size_t)c->tile_width * (size_t)c->tile_height * 3;
    c->sheet = malloc(tile * (size_t)(c->columns * c->rows));
    c->tile = malloc(tile);
    if (!c->sheet || !c->tile) {
        contact_fini(c);
        return err_set(e, ERR_internal, "out of memory");
    }
    memset(c->sheet, 255, tile * (size_t)(c->columns * c->rows));
    return 0;
}

void contact_fini(struct contact *c)
{
    free(c->sheet);
    free(c->tile);
    c->sheet = c->tile = NULL;
}

int contact_offer(struct contact *c, int64_t index, const uint8_t *rgb, struct err *e)
{
    if (c->taken == c->count || index != c->wanted[c->taken])
        return 0;
    if (media_scale(rgb, c->frame_width, c->frame_height, 3, c->tile, c->tile_width, c->tile_height, e) != 0)
        return -1;
    size_t row = (size_t)c->tile_width * 3, stride = row * (size_t)c->columns;
    uint8_t *to = c->sheet + (size_t)(c->taken / c->columns) * stride * (size_t)c->tile_height +
                  (size_t)(c->taken % c->columns) * row;
    for (int32_t y = 0; y < c->tile_height; y++)
        memcpy(to + (size_t)y * stride, c->tile + (size_t)y * row, row);
    c->taken++;
    return 0;
}

int contact_write(const struct contact *c, const char *path, struct err *e)
{
    int32_t width = c->columns * c->tile_width, height = c->rows * c->tile_height;
    size_t length = strlen(path);
    if (length > 4 && strcasecmp(path + length - 4, ".png") == 0)
        return media_write_png(path, c->sheet, width, height, 3, e);
    return media_write_jpeg(path, c->sheet, width, height, 85, e);
}
