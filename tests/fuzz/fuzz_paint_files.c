/* Palettes (JSON, .gpl, .ase) and timesheets (XDTS): what is accepted keeps its bounds, what is refused names its
 * field. */
#include "paint/exposure.h"
#include "paint/palette.h"
#include "paint/timesheet.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_refused_as(const struct err *e, const char *field)
{
    if (e->code != ERR_params_invalid || strcmp(e->field, field) != 0 || e->detail[0] == '\0')
        abort();
}

static void try_palette(const uint8_t *data, size_t size)
{
    struct palette *p = calloc(1, sizeof *p);
    struct err e = {0};
    if (!p)
        abort();
    if (palette_parse(p, data, size, &e) != 0)
        must_be_refused_as(&e, "palette");
    else if (p->count < 1 || p->count > PALETTE_MAX)
        abort();
    for (int32_t i = 0; i < p->count && e.code == 0; i++)
        if (!memchr(p->colors[i].name, 0, sizeof p->colors[i].name))
            abort();
    free(p);
}

static void check_exposure(const struct exposure *x)
{
    for (int32_t i = 0; i < x->shown_count; i++)
        if (x->shown[i] < -1 || x->shown[i] >= x->kept || x->first[i] < -1 || x->first[i] >= x->frames)
            abort();
    if (x->kept > x->frames)
        abort();
}

static void try_timesheet(const uint8_t *data, size_t size)
{
    static const char *const names[4] = {"A0001.png", "cut/A2.png", "b_003.tga", ""};
    struct timesheet t;
    struct exposure x;
    struct err e = {0};
    if (timesheet_parse(&t, (const char *)data, size, &e) != 0) {
        must_be_refused_as(&e, "timesheet");
        return;
    }
    for (int32_t c = 0; c < t.column_count; c++)
        for (int32_t f = 0; f < t.frames; f++)
            if (t.columns[c].shown[f] < -1 || t.columns[c].shown[f] >= t.columns[c].drawing_count)
                abort();
    for (int32_t frames = 1; frames <= 4; frames++)
        if (exposure_init(&x, &t, frames, names, &e) == 0) {
            check_exposure(&x);
            if (exposure_drop_hidden(&x, &e) != 0 || x.kept < 1)
                abort();
            check_exposure(&x);
            exposure_fini(&x);
        } else {
            must_be_refused_as(&e, "timesheet");
        }
    timesheet_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_palette(data, size);
    try_timesheet(data, size);
    return 0;
}
