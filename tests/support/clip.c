#include "tests/support/clip.h"

#include "tests/support/art.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void choose_colors(struct clip *c)
{
    for (int g = 0; g < 256; g++) {
        int n = g * 37 % 64;
        c->colors[g][0] = (uint8_t)(60 + 60 * (n % 4) + g / 64 * 12);
        c->colors[g][1] = (uint8_t)(60 + 60 * (n / 4 % 4) + g / 64 * 6);
        c->colors[g][2] = (uint8_t)(60 + 60 * (n / 16));
    }
}

int clip_read(struct clip *c, const char *path)
{
    FILE *f = fopen(path, "rb");
    int32_t head[5];
    memset(c, 0, sizeof *c);
    if (!f)
        return -1;
    bool whole = fread(head, sizeof head, 1, f) == 1 && head[0] > 0 && head[0] < 4096 && head[1] > 0 &&
                 head[1] < 4096 && head[2] > 0 && head[2] < 4096 && head[3] > 0 && head[3] <= 256;
    if (whole) {
        *c = (struct clip){.map_width = head[0],
                           .map_height = head[1],
                           .frames = head[2],
                           .ids = head[3],
                           .background = head[4],
                           .width = head[0] * CLIP_SCALE,
                           .height = head[1] * CLIP_SCALE};
        size_t bytes = (size_t)c->map_width * (size_t)c->map_height * (size_t)c->frames;
        c->regions = malloc(bytes);
        c->map = malloc((size_t)c->width * (size_t)c->height);
        whole = c->regions && c->map && fread(c->groups, 1, (size_t)c->ids, f) == (size_t)c->ids &&
                fread(c->regions, 1, bytes, f) == bytes;
    }
    fclose(f);
    choose_colors(c);
    if (!whole)
        clip_free(c);
    return whole ? 0 : -1;
}

void clip_free(struct clip *c)
{
    free(c->regions);
    free(c->map);
    c->regions = c->map = NULL;
}

static void draw(struct clip *c, int32_t frame, bool mirror, int32_t dx, int32_t dy)
{
    const uint8_t *from = c->regions + (int64_t)frame * c->map_width * c->map_height;
    for (int32_t y = 0; y < c->height; y++)
        for (int32_t x = 0; x < c->width; x++) {
            int32_t u = (mirror ? c->width - 1 - x : x) / CLIP_SCALE - dx, v = y / CLIP_SCALE - dy;
            u = u < 0 ? 0 : u >= c->map_width ? c->map_width - 1 : u;
            v = v < 0 ? 0 : v >= c->map_height ? c->map_height - 1 : v;
            c->map[(int64_t)y * c->width + x] = from[(int64_t)v * c->map_width + u];
        }
}

void clip_draw(struct clip *c, int32_t frame)
{
    draw(c, frame < c->frames ? frame : c->frames - 1, false, 0, 0);
}

void clip_draw_reference(struct clip *c, int32_t kind)
{
    bool shifted = kind == CLIP_SHIFTED;
    draw(c, kind == CLIP_FAR ? c->frames - 1 : 0, kind == CLIP_MIRRORED, shifted ? -36 : 0, shifted ? 12 : 0);
}

static bool is_line(const struct clip *c, int32_t x, int32_t y)
{
    const uint8_t *at = c->map + (int64_t)y * c->width + x;
    return (x > 0 && at[-1] != *at) || (x + 1 < c->width && at[1] != *at) || (y > 0 && at[-c->width] != *at) ||
           (y + 1 < c->height && at[c->width] != *at);
}

void clip_lines(const struct clip *c, uint8_t *rgb)
{
    for (int32_t y = 0; y < c->height; y++)
        for (int32_t x = 0; x < c->width; x++)
            memset(rgb + ((int64_t)y * c->width + x) * 3, is_line(c, x, y) ? 0 : 255, 3);
}

void clip_picture(const struct clip *c, const uint8_t *colors, uint8_t *rgb)
{
    for (int32_t y = 0; y < c->height; y++)
        for (int32_t x = 0; x < c->width; x++) {
            int64_t i = (int64_t)y * c->width + x;
            if (is_line(c, x, y))
                memset(rgb + 3 * i, 0, 3);
            else
                memcpy(rgb + 3 * i, colors ? colors + 3 * c->map[i] : c->colors[c->groups[c->map[i]]], 3);
        }
}

void clip_believe(const struct clip *c, int32_t frame, double share, uint64_t seed, uint8_t *colors)
{
    for (int32_t i = 0; i < c->ids; i++) {
        uint64_t state = seed * 977 + (uint64_t)i * 131071 + (uint64_t)((frame + 7 * i) / 64) * 8191;
        int32_t as = i;
        if (i > c->background && art_uniform(&state, 0, 1) < share)
            as = 1 + (int32_t)(art_random(&state) % (uint64_t)(c->ids - 1));
        memcpy(colors + 3 * i, c->colors[c->groups[as]], 3);
    }
}
