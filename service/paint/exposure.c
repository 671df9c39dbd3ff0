#include "paint/exposure.h"

#include <stdlib.h>
#include <string.h>

#define SIDE 32
#define SAMPLES 64 /* names that are looked at to choose a column */
#define ALIKE 8    /* grey levels of a block: compression stays below, a line that moves into the next block does not */

static int refuse_length(const struct timesheet *sheet, int32_t frames, bool named, struct err *e)
{
    return err_set_field(e, ERR_params_invalid, "timesheet", "it lasts %d frames, and the video has %d%s",
                         sheet->frames, frames, named ? ", whose names are not those of its drawings either" : "");
}

static int allocate(struct exposure *x, int32_t frames, int32_t shown, struct err *e)
{
    x->frames = frames;
    x->shown_count = shown;
    x->keep = calloc((size_t)frames, sizeof *x->keep);
    x->shown = malloc((size_t)shown * sizeof *x->shown);
    x->first = malloc((size_t)shown * sizeof *x->first);
    return x->keep && x->shown && x->first ? 0 : err_set(e, ERR_internal, "no memory for a timesheet");
}

/* ---- a frame of input for every frame of the sheet ---- */

/* Frames are the same drawing when all columns show the same. */
static uint64_t row_hash(const struct timesheet *sheet, int32_t frame)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int32_t c = 0; c < sheet->column_count; c++)
        h = (h ^ (uint32_t)sheet->columns[c].shown[frame]) * UINT64_C(0x100000001b3);
    return h;
}

static bool same_row(const struct timesheet *sheet, int32_t a, int32_t b)
{
    for (int32_t c = 0; c < sheet->column_count; c++)
        if (sheet->columns[c].shown[a] != sheet->columns[c].shown[b])
            return false;
    return true;
}

static int by_frames(struct exposure *x, const struct timesheet *sheet, struct err *e)
{
    int32_t size = 16;
    while (size < 2 * sheet->frames)
        size *= 2;
    int32_t *table = calloc((size_t)size, sizeof *table), *number = malloc((size_t)sheet->frames * sizeof *number);
    if (!table || !number) {
        free(table);
        free(number);
        return err_set(e, ERR_internal, "no memory for a timesheet");
    }
    x->kind = EXPOSURE_FRAMES;
    for (int32_t f = 0; f < sheet->frames; f++) {
        uint64_t at = row_hash(sheet, f);
        while (table[at & (uint64_t)(size - 1)] && !same_row(sheet, table[at & (uint64_t)(size - 1)] - 1, f))
            at++;
        int32_t *slot = &table[at & (uint64_t)(size - 1)];
        if (!*slot) {
            *slot = f + 1;
            x->keep[f] = true;
            number[f] = x->kept++;
        }
        x->first[f] = *slot - 1;
        x->shown[f] = number[*slot - 1];
    }
    free(table);
    free(number);
    return 0;
}

/* ---- a file for every drawing ---- */
static int32_t count_named(const struct timesheet_column *c, int32_t frames, const char *const *names)
{
    int32_t n = 0, looks = frames < SAMPLES ? frames : SAMPLES;
    for (int32_t i = 0; i < looks; i++)
        n += timesheet_drawing_of(c, names[(int64_t)i * frames / looks]) >= 0;
    return n;
}

static const struct timesheet_column *best_column(const struct timesheet *sheet, int32_t frames,
                                                  const char *const *names)
{
    const struct timesheet_column *best = NULL;
    int32_t most = 0;
    for (int32_t c = 0; c < sheet->column_count; c++) {
        int32_t n = count_named(&sheet->columns[c], frames, names);
        if (n > most) {
            most = n;
            best = &sheet->columns[c];
        }
    }
    return best;
}

static int by_drawings(struct exposure *x, const struct timesheet *sheet, const struct timesheet_column *c,
                       const char *const *names, struct err *e)
{
    int32_t *file = malloc(((size_t)c->drawing_count + 1) * sizeof *file);
    if (!file)
        return err_set(e, ERR_internal, "no memory for a timesheet");
    int result = 0;
    for (int32_t d = 0; d < c->drawing_count; d++)
        file[d] = -1;
    for (int32_t i = x->frames - 1; i >= 0; i--) {
        int32_t d = timesheet_drawing_of(c, names[i]);
        if (d >= 0)
            file[d] = i;
        x->keep[i] = true;
    }
    x->kind = EXPOSURE_DRAWINGS;
    x->column = c->name;
    x->kept = x->frames;
    for (int32_t f = 0; f < sheet->frames && !result; f++) {
        int32_t d = c->shown[f];
        x->shown[f] = x->first[f] = d < 0 ? -1 : file[d];
        if (d >= 0 && file[d] < 0)
            result = err_set_field(e, ERR_params_invalid, "timesheet",
                                   "column %s shows the drawing %s at frame %d, and no frame has that name", c->name,
                                   c->drawings[d], f);
    }
    free(file);
    return result;
}

int exposure_init(struct exposure *out, const struct timesheet *sheet, int32_t frames, const char *const *names,
                  struct err *e)
{
    struct exposure x = {.frames = 0};
    const struct timesheet_column *column = NULL;
    if (frames < 1)
        return refuse_length(sheet, frames, false, e);
    if (frames != sheet->frames) {
        column = names ? best_column(sheet, frames, names) : NULL;
        if (!column)
            return refuse_length(sheet, frames, names != NULL, e);
    }
    int failed = allocate(&x, frames, sheet->frames, e) != 0 ||
                 (column ? by_drawings(&x, sheet, column, names, e) : by_frames(&x, sheet, e)) != 0;
    if (failed)
        exposure_fini(&x);
    else
        *out = x;
    return failed ? -1 : 0;
}

int exposure_holds(struct exposure *out, const bool *held, int32_t frames, struct err *e)
{
    struct exposure x = {.kind = EXPOSURE_FRAMES};
    if (allocate(&x, frames, frames, e) != 0) {
        exposure_fini(&x);
        return -1;
    }
    int32_t first = 0;
    for (int32_t i = 0; i < frames; i++) {
        x.keep[i] = i == 0 || !held[i];
        if (x.keep[i]) {
            first = i;
            x.kept++;
        }
        x.first[i] = first;
        x.shown[i] = x.kept - 1;
    }
    *out = x;
    return 0;
}

int exposure_drop_hidden(struct exposure *x, struct err *e)
{
    int32_t *number = malloc((size_t)x->frames * sizeof *number);
    if (!number)
        return err_set(e, ERR_internal, "no memory for a timesheet");
    memset(x->keep, 0, (size_t)x->frames * sizeof *x->keep);
    for (int32_t f = 0; f < x->shown_count; f++)
        if (x->first[f] >= 0)
            x->keep[x->first[f]] = true;
    x->kept = 0;
    for (int32_t i = 0; i < x->frames; i++) {
        number[i] = x->kept;
        x->kept += x->keep[i];
    }
    for (int32_t f = 0; f < x->shown_count; f++)
        if (x->first[f] >= 0)
            x->shown[f] = number[x->first[f]];
    if (x->kept == 0) {
        x->keep[0] = true;
        x->kept = 1;
    }
    free(number);
    return 0;
}

void exposure_fini(struct exposure *x)
{
    free(x->keep);
    free(x->shown);
    free(x->first);
    *x = (struct exposure){.frames = 0};
}

/* ---- prints ---- */
void exposure_print(const uint8_t *rgb, int32_t width, int32_t height, uint8_t out[EXPOSURE_PRINT])
{
    for (int32_t by = 0; by < SIDE; by++) {
        int32_t y0 = (int32_t)((int64_t)by * height / SIDE), y1 = (int32_t)((int64_t)(by + 1) * height / SIDE);
        for (int32_t bx = 0; bx < SIDE; bx++) {
            int32_t x0 = (int32_t)((int64_t)bx * width / SIDE), x1 = (int32_t)((int64_t)(bx + 1) * width / SIDE);
            int64_t sum = 0, n = 0;
            for (int32_t y = y0; y < (y1 > y0 ? y1 : y0 + 1); y++)
                for (int32_t x = x0; x < (x1 > x0 ? x1 : x0 + 1); x++, n += 4) {
                    const uint8_t *p = rgb + ((int64_t)y * width + x) * 3;
                    sum += p[0] + 2 * p[1] + p[2];
                }
            out[by * SIDE + bx] = (uint8_t)(sum / n);
        }
    }
}

int exposure_check(const struct exposure *x, const uint8_t *prints, struct err *e)
{
    for (int32_t f = 0; x->kind == EXPOSURE_FRAMES && f < x->shown_count; f++) {
        const uint8_t *a = prints + (int64_t)f * EXPOSURE_PRINT, *b = prints + (int64_t)x->first[f] * EXPOSURE_PRINT;
        for (int32_t i = 0; i < EXPOSURE_PRINT; i++)
            if (abs(a[i] - b[i]) > ALIKE)
                return err_set_field(e, ERR_params_invalid, "timesheet",
                                     "it shows the drawing of frame %d again at frame %d, and the video does not",
                                     x->first[f], f);
    }
    return 0;
}
