/* drawings.c - which frames the networks see: one of each drawing. A timesheet says which frames are one drawing, or
 * equal frames do. */
#include "engine/drawings.h"

#include "engine/engine_int.h"
#include "paint/holds.h"
#include "paint/paint.h"

#include <stdlib.h>
#include <string.h>

/* What the paint takes for one drawing is one; the network's own pixels are held only where nothing at all changes. */
void drawings_init(struct drawings *d, const struct job_params *p, const struct media_info *info)
{
    *d = (struct drawings){.wanted = p->profile == PROFILE_COMPLETE && p->input != INPUT_COLOR};
    d->tolerance = p->output_snap == SNAP_NONE ? 0 : paint_hold_tolerance(info->codec);
}

void drawings_fini(struct drawings *d)
{
    free(d->first);
    free(d->held);
    *d = (struct drawings){.wanted = false};
}

void drawings_end(struct drawings *d)
{
    free(d->first);
    d->first = NULL;
    d->wanted = false;
}

static int note(struct drawings *d, bool held, struct err *e)
{
    if (d->count == d->capacity) {
        int64_t wanted = d->capacity ? d->capacity * 2 : 256;
        bool *grown = realloc(d->held, (size_t)wanted * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_internal, "out of memory");
        d->held = grown;
        d->capacity = wanted;
    }
    d->held[d->count++] = held;
    return 0;
}

int drawings_offer(struct drawings *d, const struct media_frame *f, struct err *e)
{
    if (!d->wanted)
        return 0;
    bool alike = d->first && d->width == f->width && d->height == f->height && d->channels == f->channels;
    if (alike && holds_same(d->first, f->pixels, f->width, f->height, f->channels, d->tolerance))
        return note(d, true, e);
    size_t size = (size_t)f->width * (size_t)f->height * (size_t)f->channels;
    if (!alike) {
        free(d->first);
        if (!(d->first = malloc(size)))
            return err_set(e, ERR_internal, "out of memory");
    }
    memcpy(d->first, f->pixels, size);
    d->width = f->width;
    d->height = f->height;
    d->channels = f->channels;
    return note(d, false, e);
}

int engine__expose(struct engine__run *r, const uint8_t *prints, struct err *e)
{
    if (r->job->params->profile == PROFILE_REFERENCE)
        return err_set_field(e, ERR_params_invalid, "timesheet", "the profile reference knows no timesheets");
    if (exposure_init(&r->exposure, &r->sheet, (int32_t)r->decoded, (const char *const *)(void *)r->names, e) != 0 ||
        exposure_check(&r->exposure, prints, e) != 0)
        return -1;
    if (r->exposure.shown_count > r->g->conf.limits.frames)
        return err_set(e, ERR_media_too_many_frames, "the timesheet has more than %lld frames",
                       (long long)r->g->conf.limits.frames);
    /* A zip of drawings comes back whole in a zip; elsewhere a drawing that is never shown need not be made. */
    if (r->job->params->output_format != FORMAT_PNG_ZIP && exposure_drop_hidden(&r->exposure, e) != 0)
        return -1;
    r->frames = r->exposure.kept;
    if (r->exposure.kind == EXPOSURE_FRAMES || r->exposure.shown_count <= r->decoded)
        return 0;
    int64_t *pts = realloc(r->pts, (size_t)r->exposure.shown_count * sizeof *pts);
    if (!pts)
        return err_set(e, ERR_internal, "out of memory");
    for (int64_t i = 0; i < r->exposure.shown_count; i++)
        pts[i] = i;
    r->pts = pts;
    return 0;
}

int engine__hold(struct engine__run *r, struct err *e)
{
    const struct drawings *d = &r->drawings;
    bool any = false;
    /* The null back end is for tests of the service, which count its segments and frames: it is given all of them. */
    if (r->exposure.keep || r->input_kind != MDL_INPUT_LINEART || strcmp(r->model_row->backend, "null") == 0)
        return 0;
    for (int64_t i = 0; i < d->count && !any; i++)
        any = d->held[i];
    if (!any)
        return 0;
    if (exposure_holds(&r->exposure, d->held, (int32_t)d->count, e) != 0)
        return -1;
    r->frames = r->exposure.kept;
    return 0;
}
