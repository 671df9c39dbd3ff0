/* quality_report.c - means, and the metrics as CSV, JSON and a plot. */
#include "paint/quality.h"

#include "base/json.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

/* clang-format off */
static const struct {
    const char *name;
    size_t offset;
} columns[] = {
#define COLUMN(name) {#name, offsetof(struct quality_row, name)},
    QUALITY_COLUMNS(COLUMN)
#undef COLUMN
};
/* clang-format on */
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static double value_of(const struct quality_row *row, int column)
{
    return *(const double *)((const char *)row + columns[column].offset);
}

static double slope(const struct quality_row *rows, int64_t count)
{
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(rows[i].drift)) {
            n++;
            x += (double)i;
            y += rows[i].drift;
            xx += (double)i * (double)i;
            xy += (double)i * rows[i].drift;
        }
    double spread = n * xx - x * x;
    return spread > 0 ? (n * xy - x * y) / spread : 0;
}

void quality_mean(const struct quality *m, struct quality_row *out, double *drift_per_100)
{
    const struct quality_row *rows;
    int64_t count = quality_rows(m, &rows);
    *out = (struct quality_row){0};
    for (int c = 0; c < COLUMNS; c++) {
        double sum = 0;
        int64_t n = 0;
        for (int64_t i = 0; i < count; i++)
            if (!isnan(value_of(&rows[i], c))) {
                sum += value_of(&rows[i], c);
                n++;
            }
        *(double *)((char *)out + columns[c].offset) = n ? sum / (double)n : NAN;
    }
    for (int64_t i = 0; i < count; i++)
        out->regions += rows[i].regions;
    *drift_per_100 = 100 * slope(rows, count);
}

int quality_csv(const struct quality *m, struct buf *out, struct err *e)
{
    const struct quality_row *rows;
    int64_t count = quality_rows(m, &rows);
    buf_add_str(out, "frame,hold,regions");
    for (int c = 0; c < COLUMNS; c++)
        buf_printf(out, ",%s", columns[c].name);
    for (int64_t i = 0; i < count; i++) {
        buf_printf(out, "\n%lld,%d,%d", (long long)i, rows[i].hold, rows[i].regions);
        for (int c = 0; c < COLUMNS; c++)
            if (isnan(value_of(&rows[i], c)))
                buf_add_str(out, ",");
            else
                buf_printf(out, ",%.6g", value_of(&rows[i], c));
    }
    return buf_add_str(out, "\n") ? err_set(e, ERR_internal, "the report is too large") : 0;
}

static void put_number(json_t *o, const char *key, double value)
{
    if (isnan(value))
        json_put(o, key, NULL);
    else
        json_put_real(o, key, value);
}

int quality_json(const struct quality *m, struct buf *out, struct err *e)
{
    const struct quality_row *rows;
    struct quality_row mean;
    double drift;
    int64_t count = quality_rows(m, &rows), holds = 0;
    quality_mean(m, &mean, &drift);
    for (int64_t i = 0; i < count; i++)
        holds += rows[i].hold;
    json_t *o = json_object();
    json_put_int(o, "frames", count);
    json_put_int(o, "holds", holds);
    json_put_int(o, "regions", mean.regions);
    for (int c = 0; c < COLUMNS; c++)
        put_number(o, columns[c].name, value_of(&mean, c));
    put_number(o, "drift_per_100_frames", drift);
    char *text = json_text(o, false);
    int failed = buf_printf(out, "%s\n", text);
    free(text);
    json_decref(o);
    return failed ? err_set(e, ERR_internal, "the report is too large") : 0;
}

/* ---- the plot: small panels over one time axis, each from its own least to its own greatest value ---- */
enum { PANEL_WIDTH = 720, PANEL_HEIGHT = 56, PANEL_GAP = 26, LEFT = 190, TOP = 30 };

static void plot_column(const struct quality_row *rows, int64_t count, int column, int y, struct buf *out)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        double v = value_of(&rows[i], column);
        if (!isnan(v)) {
            low = fmin(low, v);
            high = fmax(high, v);
        }
    }
    buf_printf(out, "<text x=\"8\" y=\"%d\">%s</text>", y + 20, columns[column].name);
    buf_printf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#ccc\"/>", LEFT, y,
               PANEL_WIDTH, PANEL_HEIGHT);
    if (low > high) {
        buf_printf(out, "<text x=\"8\" y=\"%d\" fill=\"#888\">not measured</text>", y + 36);
        return;
    }
    buf_printf(out, "<text x=\"8\" y=\"%d\" fill=\"#888\">%.4g to %.4g</text>", y + 36, low, high);
    double scale = high > low ? (PANEL_HEIGHT - 8) / (high - low) : 0;
    buf_add_str(out, "<path fill=\"none\" stroke=\"#26c\" d=\"");
    bool pen = false;
    for (int64_t i = 0; i < count; i++) {
        double v = value_of(&rows[i], column);
        if (isnan(v)) {
            pen = false;
            continue;
        }
        double x = LEFT + (count > 1 ? (double)i * PANEL_WIDTH / (double)(count - 1) : 0);
        /* A lone point is a short stroke, so that it shows. */
        buf_printf(out, "%s%.1f %.1f%s", pen ? "L" : "M", x, y + PANEL_HEIGHT - 4 - (v - low) * scale, pen ? "" : "h1");
        pen = true;
    }
    buf_add_str(out, "\"/>\n");
}

int quality_svg(const struct quality *m, struct buf *out, struct err *e)
{
    const struct quality_row *rows;
    int64_t count = quality_rows(m, &rows);
    int height = TOP + COLUMNS * (PANEL_HEIGHT + PANEL_GAP);
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
               "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
               "<text x=\"%d\" y=\"18\">frames 0 to %lld</text>\n",
               LEFT + PANEL_WIDTH + 20, height, LEFT, (long long)(count ? count - 1 : 0));
    for (int c = 0; c < COLUMNS; c++)
        plot_column(rows, count, c, TOP + c * (PANEL_HEIGHT + PANEL_GAP), out);
    return buf_add_str(out, "</svg>\n") ? err_set(e, ERR_internal, "the report is too large") : 0;
}
