/* render.c - pass 2: lines, paint and planes of one frame. */
#include "paint/paint_int.h"
#include "paint/smooth.h"

#include <stdlib.h>
#include <string.h>

struct paint_scratch {
    struct regions regions;
    int32_t drawing;      /* whose labels are in regions; -1 = none */
    uint8_t *lines;       /* its first frame, when held frames may differ from it */
    uint8_t (*colors)[4]; /* per region: RGB and alpha */
    uint8_t *confidence;
    uint16_t *ids;
    int32_t room;
    struct smooth smooth;
};

struct paint_scratch *paint_scratch_new(const struct paint *p)
{
    struct paint_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->drawing = -1;
    if (p->conf.hold_tolerance > 0)
        s->lines = malloc((size_t)p->conf.width * (size_t)p->conf.height * 4);
    if ((s->lines || p->conf.hold_tolerance <= 0) && !regions_init(&s->regions, p->conf.width, p->conf.height, NULL))
        return s;
    paint_scratch_free(s);
    return NULL;
}

void paint_scratch_free(struct paint_scratch *s)
{
    if (!s)
        return;
    regions_fini(&s->regions);
    smooth_fini(&s->smooth);
    free(s->colors);
    free(s->confidence);
    free(s->ids);
    free(s->lines);
    free(s);
}

/* ---- what the regions of a drawing are painted with ---- */
static int make_room(struct paint_scratch *s, int32_t regions)
{
    if (regions < s->room)
        return 0;
    free(s->colors);
    free(s->confidence);
    free(s->ids);
    s->colors = malloc(((size_t)regions + 1) * sizeof *s->colors);
    s->confidence = malloc((size_t)regions + 1);
    s->ids = malloc(((size_t)regions + 1) * sizeof *s->ids);
    s->room = s->colors && s->confidence && s->ids ? regions + 1 : 0;
    return s->room ? 0 : -1;
}

static uint8_t mean_of(const struct track *t, int channel)
{
    return (uint8_t)(t->mean_weight > 0 ? t->mean[channel] / t->mean_weight + 0.5F : 255);
}

static void look_up(const struct paint *p, const struct drawing *d, struct paint_scratch *s)
{
    const struct vote *votes = p->frames[d->first_frame].votes;
    memset(s->colors[0], 0, 4);
    s->confidence[0] = 0;
    s->ids[0] = 0;
    for (int32_t k = 1; k <= d->count; k++) {
        const struct track *t = &p->tracker.tracks[d->ids[k]];
        const struct palette_color *c = &p->references.palette.colors[d->ids[k] ? t->color : votes[k].color[0]];
        for (int i = 0; i < 3; i++)
            s->colors[k][i] = p->mode == PAINT_FLAT ? c->rgb[i] : mean_of(t, i);
        s->colors[k][3] = p->conf.transparent && c->background ? 0 : 255;
        s->confidence[k] = d->ids[k] ? t->confidence : 0;
        s->ids[k] = (uint16_t)(p->tracker.count <= 65535 ? d->ids[k] : k);
    }
}

static int load(const struct paint *p, struct paint_scratch *s, int32_t drawing, const struct paint_image *lines,
                const struct paint_image *proposal, bool first, struct err *e)
{
    const struct drawing *d = &p->drawings[drawing];
    struct regions_conf conf = p->regions_conf;
    if (s->drawing == drawing)
        return 0;
    s->drawing = -1;
    if (!first && (p->mode == PAINT_SMOOTH || s->lines))
        return err_set(e, ERR_internal, "painting starts at the first frame of a drawing");
    if (p->mode == PAINT_SMOOTH && !proposal)
        return err_set(e, ERR_internal, "smooth paint needs the proposal");
    conf.most = d->most;
    if (regions_find(&s->regions, lines, &conf, false, e))
        return -1;
    if (s->regions.count != d->count)
        return err_set_field(e, ERR_params_invalid, "lines",
                             "these are not the lines that were observed: %d regions, not %d", s->regions.count,
                             d->count);
    if (make_room(s, d->count))
        return err_set(e, ERR_internal, "no memory to paint %d regions", d->count);
    look_up(p, d, s);
    if (p->mode == PAINT_SMOOTH && smooth_load(&s->smooth, &s->regions, p->regions_conf.threshold, proposal, e))
        return -1;
    if (s->lines)
        memcpy(s->lines, lines->pixels, (size_t)lines->width * (size_t)lines->height * (size_t)lines->channels);
    s->drawing = drawing;
    return 0;
}

/* ---- lines ---- */
static const uint8_t trace_of[INK_HUES] = {[INK_RED] = PAINT_TRACE_RED,
                                           [INK_MAGENTA] = PAINT_TRACE_RED,
                                           [INK_GREEN] = PAINT_TRACE_GREEN,
                                           [INK_BLUE] = PAINT_TRACE_BLUE,
                                           [INK_CYAN] = PAINT_TRACE_BLUE};

/* Colour and coverage of the line at a pixel: taken apart from the paper, so that it lies over any paint. */
static void line_at(const struct paint *p, const struct paint_image *lines, int64_t i, int ink, uint8_t out[4])
{
    uint8_t rgb[3];
    ink_over_white(rgb, lines, i);
    int hue = ink_hue(rgb), full = p->strength.full[hue];
    int alpha = (ink * 255 + full / 2) / full;
    alpha = alpha > 255 ? 255 : alpha;
    if (p->conf.trace_lines & trace_of[hue])
        alpha = 0;
    for (int c = 0; c < 3 && alpha; c++) {
        int depth = ((255 - rgb[c]) * 255 + alpha / 2) / alpha;
        out[c] = p->conf.recolor_lines ? p->conf.line_rgb[c] : (uint8_t)(255 - (depth > 255 ? 255 : depth));
    }
    out[3] = (uint8_t)alpha;
}

/* Line over paint, straight alpha. */
static void over(const uint8_t line[4], const uint8_t paint[4], uint8_t out[4])
{
    int a = line[3], under = paint[3] * (255 - a), total = a * 255 + under; /* alpha * 255 */
    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)(total ? (line[c] * a * 255 + paint[c] * under + total / 2) / total : 0);
    out[3] = (uint8_t)((total + 127) / 255);
}

/* The paint of a pixel: its region's, shaded in smooth mode. */
static inline const uint8_t *paint_at(const struct paint *p, const struct paint_scratch *s, int32_t x, int32_t y,
                                      uint8_t shaded[4])
{
    int32_t label = s->regions.label[(int64_t)y * p->conf.width + x];
    if (p->mode != PAINT_SMOOTH || !label)
        return s->colors[label];
    smooth_at(&s->smooth, label, x, y, s->colors[label], shaded);
    return shaded;
}

static void result_row(const struct paint *p, const struct paint_scratch *s, const struct paint_image *lines, int32_t y,
                       uint8_t *to, int32_t channels)
{
    int64_t row = (int64_t)y * p->conf.width;
    for (int32_t x = 0; x < p->conf.width; x++, to += channels) {
        uint8_t shaded[4], line[4], solid[4], pixel[4];
        const uint8_t *paint = paint_at(p, s, x, y, shaded);
        if (channels == 3 && paint[3] != 255) {
            /* Without an alpha channel what shows through is the background's own colour. */
            memcpy(solid, paint, 3);
            solid[3] = 255;
            paint = solid;
        }
        int ink = s->regions.ink[row + x];
        if (ink) {
            line_at(p, lines, row + x, ink, line);
            over(line, paint, pixel);
            paint = pixel;
        }
        memcpy(to, paint[3] || channels == 3 ? paint : (const uint8_t[4]){0}, (size_t)channels);
    }
}

static void plane_row(const struct paint *p, const struct paint_scratch *s, const struct paint_image *lines, int32_t y,
                      const struct paint_planes *out)
{
    static const uint8_t none[4];
    int64_t row = (int64_t)y * p->conf.width;
    for (int64_t i = row; i < row + p->conf.width; i++) {
        int32_t label = s->regions.label[i];
        int ink = s->regions.ink[i];
        bool is_line = ink > p->regions_conf.threshold;
        uint8_t shaded[4], line[4] = {0};
        if (out->line && ink)
            line_at(p, lines, i, ink, line);
        if (out->line)
            memcpy(out->line + i * 4, line[3] ? line : none, 4);
        if (out->paint) {
            const uint8_t *paint = paint_at(p, s, (int32_t)(i - row), y, shaded);
            memcpy(out->paint + i * 4, paint[3] ? paint : none, 4);
        }
        if (out->region_ids)
            out->region_ids[i] = is_line ? 0 : s->ids[label];
        if (out->confidence)
            out->confidence[i] = is_line ? 255 : s->confidence[label];
    }
}

int paint_render(const struct paint *p, struct paint_scratch *s, int64_t index, const struct paint_image *lines,
                 const struct paint_image *proposal, const struct paint_planes *out, struct err *e)
{
    if (!p->decided || index < 0 || index >= p->frame_count)
        return err_set(e, ERR_internal, "frame %lld cannot be painted", (long long)index);
    if (lines->width != p->conf.width || lines->height != p->conf.height ||
        (lines->channels != 3 && lines->channels != 4) ||
        (out->result && out->result_channels != 3 && out->result_channels != 4))
        return err_set_field(e, ERR_params_invalid, "lines", "a frame of %dx%d in a shot of %dx%d", lines->width,
                             lines->height, p->conf.width, p->conf.height);
    int32_t drawing = p->frames[index].drawing;
    if (load(p, s, drawing, lines, proposal, index == p->drawings[drawing].first_frame, e))
        return -1;
    struct paint_image held = *lines;
    if (s->lines)
        held.pixels = s->lines;
    bool planes = out->line || out->paint || out->region_ids || out->confidence;
    for (int32_t y = 0; y < p->conf.height; y++) {
        if (out->result)
            result_row(p, s, &held, y, out->result + (int64_t)y * p->conf.width * out->result_channels,
                       out->result_channels);
        if (planes)
            plane_row(p, s, &held, y, out);
    }
    return 0;
}
