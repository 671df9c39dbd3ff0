/* clip.h - shots given as region maps (tools/paint-clips), drawn as line art and as colour: warped clip art and
 * puppets, with a pan, that look nothing like the shots of art.h. */
#ifndef LONGANIM_TESTS_CLIP_H
#define LONGANIM_TESTS_CLIP_H

#include <stdbool.h>
#include <stdint.h>

#define CLIP_SCALE 2 /* pictures are so many times the map's size */
enum { CLIP_NEAR, CLIP_MIRRORED, CLIP_FAR, CLIP_SHIFTED, CLIP_REFERENCES };

struct clip {
    int32_t map_width, map_height, frames, ids, background; /* ids up to `background` are not figures */
    int32_t width, height;                                  /* of pictures */
    uint8_t groups[256];                                    /* colour group per id */
    uint8_t colors[256][3];                                 /* of groups: far apart, none near black */
    uint8_t *regions;
    uint8_t *map; /* ids of the frame that was drawn last, at full size */
};

int clip_read(struct clip *c, const char *path); /* -1 = not such a file, or no memory */
void clip_free(struct clip *c);

/* Draws a frame, or the reference of that kind, into map. */
void clip_draw(struct clip *c, int32_t frame);
void clip_draw_reference(struct clip *c, int32_t kind);

/* Pictures of what was drawn, RGB. colors: 3 bytes per id, NULL = the true ones. */
void clip_lines(const struct clip *c, uint8_t *rgb);
void clip_picture(const struct clip *c, const uint8_t *colors, uint8_t *rgb);

/* What a weak network takes the ids' colours for: a share of the figures' ids has the colour of another id, for many
 * frames on end. */
void clip_believe(const struct clip *c, int32_t frame, double share, uint64_t seed, uint8_t *colors);

#endif
