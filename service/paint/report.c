/* report.c - palette.json: what was painted with which colour. */
#include "paint/paint_int.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

/* Painted pixels per colour of one drawing; smooth mode has no palette colours, only regions. */
static void count_areas(const struct paint *p, const struct drawing *d, int64_t *area)
{
    const struct vote *votes = p->frames[d->first_frame].votes;
    for (int32_t k = 1; k <= d->count; k++)
        area[d->ids[k] ? p->tracker.tracks[d->ids[k]].color : votes[k].color[0]] += d->area[k];
}

static json_t *color_json(const struct palette_color *c, int64_t area)
{
    json_t *o = json_object(), *rgb = json_array();
    for (int i = 0; i < 3; i++)
        json_array_append_new(rgb, json_integer(c->rgb[i]));
    json_put(o, "name", json_safe_string(c->name));
    json_put(o, "rgb", rgb);
    json_put_bool(o, "background", c->background);
    json_put_bool(o, "ink", c->ink);
    json_put_real(o, "reference_share", c->area);
    json_put_int(o, "area", area);
    return o;
}

/* When each drawing is shown: its first frame (-1 = never) and how many there are. */
struct shown {
    int64_t first_frame, frames;
};

static struct shown *count_shown(const struct paint *p, const int32_t *shown, int64_t frames)
{
    struct shown *at = calloc((size_t)p->drawing_count + 1, sizeof *at);
    for (int64_t i = 0; at && i < p->drawing_count; i++)
        at[i] = shown ? (struct shown){-1, 0} : (struct shown){p->drawings[i].first_frame, p->drawings[i].frames};
    for (int64_t f = 0; at && shown && f < frames; f++) {
        if (shown[f] < 0 || shown[f] >= p->frame_count)
            continue;
        struct shown *to = &at[p->frames[shown[f]].drawing];
        to->first_frame = to->frames ? to->first_frame : f;
        to->frames++;
    }
    return at;
}

/* One row per drawing: when it is shown, and the area of each colour. */
static void add_areas(const struct paint *p, const struct shown *at, struct buf *out)
{
    int64_t area[PALETTE_MAX];
    buf_add_str(out, "],\"areas\":[");
    for (int64_t i = 0; i < p->drawing_count; i++) {
        memset(area, 0, sizeof area);
        count_areas(p, &p->drawings[i], area);
        buf_printf(out, "%s{\"first_frame\":%lld,\"frames\":%lld,\"area\":[", i ? "," : "",
                   (long long)at[i].first_frame, (long long)at[i].frames);
        for (int32_t c = 0; c < p->references.palette.count; c++)
            buf_printf(out, "%s%lld", c ? "," : "", (long long)area[c]);
        buf_add_str(out, "]}");
    }
}

int paint_palette_json(const struct paint *p, const int32_t *shown, int64_t frames, struct buf *out, struct err *e)
{
    int32_t colors = p->references.palette.count;
    int64_t total[PALETTE_MAX] = {0}, area[PALETTE_MAX];
    if (!p->decided)
        return err_set(e, ERR_internal, "a palette before the decision");
    struct shown *at = count_shown(p, shown, frames);
    if (!at)
        return err_set(e, ERR_internal, "no memory for a palette");
    for (int64_t i = 0; i < p->drawing_count; i++) {
        memset(area, 0, sizeof area);
        count_areas(p, &p->drawings[i], area);
        for (int32_t c = 0; c < colors; c++)
            total[c] += area[c] * at[i].frames;
    }
    buf_printf(out, "{\"frames\":%lld,\"drawings\":%lld,\"colors\":[", (long long)(shown ? frames : p->frame_count),
               (long long)p->drawing_count);
    for (int32_t c = 0; c < colors; c++) {
        json_t *o = color_json(&p->references.palette.colors[c], total[c]);
        char *text = json_text(o, false);
        buf_printf(out, "%s%s", c ? "," : "", text);
        free(text);
        json_decref(o);
    }
    add_areas(p, at, out);
    free(at);
    return buf_add_str(out, "]}\n") ? err_set(e, ERR_internal, "the palette report is too large") : 0;
}
