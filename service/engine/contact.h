/* contact.h - a contact sheet: a few frames of the shot in one picture. */
#ifndef LONGANIM_ENGINE_CONTACT_H
#define LONGANIM_ENGINE_CONTACT_H

#include "base/err.h"

#include <stdint.h>

enum { CONTACT_TILES = 8, CONTACT_COLUMNS = 4, CONTACT_TILE_WIDTH = 320 };

struct contact {
    int32_t frame_width, frame_height, tile_width, tile_height, columns, rows, count, taken;
    int64_t wanted[CONTACT_TILES]; /* frame indices, rising */
    uint8_t *sheet, *tile;         /* owned */
};

/* Tiles of frames first..last, evenly spread, of frames of that size. internal when memory is out. */
int contact_init(struct contact *c, int64_t first, int64_t last, int32_t width, int32_t height, struct err *e);
void contact_fini(struct contact *c);

/* Takes the frame if it is one of the wanted ones. Offer in rising order. */
int contact_offer(struct contact *c, int64_t index, const uint8_t *rgb, struct err *e);
/* A PNG when the path ends so, else a JPEG. */
int contact_write(const struct contact *c, const char *path, struct err *e);

#endif
