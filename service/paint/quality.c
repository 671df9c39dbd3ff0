#include "paint/quality.h"

#include "paint/color.h"
#include "paint/reference.h"
#include "paint/regions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAME_COLOR 2.0 /* CIEDE2000 */
#define OFF_PALETTE 3.0
#define INNER_INK 8 /* pixels with more ink than this are not inner ones */

/* One paint of the truth, for drift: what it was first, and what it is in this frame. */
struct paint_drift {
    double first[3], sum[3];
    int64_t n;
    bool seen;
};

struct quality {
    int32_t width, height;
    struct palette sheet;
    bool sheet_given;
    struct regions regions;
    struct regions_conf conf;
    uint8_t *result, *truth, *lines, *before_result, *before_lines; /* packed RGB */
    uint8_t *inner;                                                 /* 1 = no ink and no other region beside it */
    struct paint_drift drift[PALETTE_MAX];
    struct quality_row *rows;
    int64_t count, capacity;
    /* distance of a colour to the sheet, by colour in 6 bits per channel; < 0 = not looked up yet */
    float *sheet_distance;
    int32_t sheet_count; /* entries of the sheet when the table was made */
};

/* A region as it is painted and as it should be. */
struct look {
    uint8_t result[3], truth[3];
    int32_t n; /* inner pixels */
    struct cielab lab;
};

int quality_new(struct quality **out, int32_t width, int32_t height, const struct palette *sheet, struct err *e)
{
    size_t pixels = (size_t)width * (size_t)height;
    struct quality *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_internal, "no memory for metrics");
    m->width = width;
    m->height = height;
    m->sheet_given = sheet != NULL;
    if (sheet)
        m->sheet = *sheet;
    m->conf = regions_conf_default(width, height);
    m->result = malloc(pixels * 3);
    m->truth = malloc(pixels * 3);
    m->lines = malloc(pixels * 3);
    m->inner = malloc(pixels);
    m->before_result = malloc(pixels * 3);
    m->before_lines = malloc(pixels * 3);
    m->sheet_distance = malloc(sizeof(float) * 262144);
    m->sheet_count = -1;
    if (!m->result || !m->truth || !m->lines || !m->inner || !m->before_result || !m->before_lines ||
        !m->sheet_distance) {
        quality_free(m);
        return err_set(e, ERR_internal, "no memory for metrics of %dx%d", width, height);
    }
    if (regions_init(&m->regions, width, height, e)) {
        quality_free(m);
        return -1;
    }
    *out = m;
    return 0;
}

void quality_free(struct quality *m)
{
    if (!m)
        return;
    regions_fini(&m->regions);
    free(m->result);
    free(m->truth);
    free(m->lines);
    free(m->inner);
    free(m->before_result);
    free(m->before_lines);
    free(m->sheet_distance);
    free(m->rows);
    free(m);
}

static void over_white(const struct paint_image *from, uint8_t *to)
{
    for (int64_t i = 0, n = (int64_t)from->width * from->height; i < n; i++) {
        const uint8_t *p = from->pixels + i * from->channels;
        int a = from->channels == 4 ? p[3] : 255;
        for (int c = 0; c < 3; c++)
            to[i * 3 + c] = (uint8_t)((p[c] * a + 255 * (255 - a) + 127) / 255);
    }
}

/* ---- regions and their colours ---- */

/* Without lines the truth's own flat areas are the regions, and its colours join the sheet. */
static int find_regions(struct quality *m, const struct paint_image *lines, struct err *e)
{
    struct references refs;
    struct paint_image truth = {m->truth, m->width, m->height, 3};
    if (lines && m->sheet_given)
        return regions_find(&m->regions, lines, &m->conf, true, e);
    if (references_load(&refs, &truth, 1, m->width, m->height, NULL, false, e))
        return -1;
    for (int32_t i = 0; refs.flat && !m->sheet_given && i < refs.palette.count; i++) {
        bool known = false;
        for (int32_t k = 0; k < m->sheet.count; k++)
            known |= memcmp(m->sheet.colors[k].rgb, refs.palette.colors[i].rgb, 3) == 0;
        if (!known && m->sheet.count < PALETTE_MAX)
            m->sheet.colors[m->sheet.count++] = refs.palette.colors[i];
    }
    int result = 0;
    if (lines) {
        result = regions_find(&m->regions, lines, &m->conf, true, e);
    } else if (refs.flat) {
        struct regions swap = m->regions;
        m->regions = refs.at[0].regions;
        refs.at[0].regions = swap;
    } else {
        m->regions.count = m->regions.contact_count = 0; /* and nothing of the frame before is left */
        memset(m->regions.label, 0, (size_t)m->width * (size_t)m->height * sizeof *m->regions.label);
    }
    references_fini(&refs);
    return result;
}

/* Inner pixels do not border on ink: codecs and anti-aliasing mix across lines. */
static bool is_inner(const struct regions *r, int32_t x, int32_t y)
{
    int64_t i = (int64_t)y * r->width + x;
    if (!r->label[i])
        return false;
    for (int32_t dy = y > 0 ? -1 : 0; dy <= (y + 1 < r->height); dy++)
        for (int32_t dx = x > 0 ? -1 : 0; dx <= (x + 1 < r->width); dx++) {
            int64_t o = i + (int64_t)dy * r->width + dx;
            if (r->ink[o] > INNER_INK || r->label[o] != r->label[i])
                return false;
        }
    return true;
}

/* Marks inner pixels and counts them per region. Regions too small to have any are inner altogether. */
static void find_inner(struct quality *m, struct look *looks)
{
    const struct regions *r = &m->regions;
    for (int32_t y = 0; y < m->height; y++)
        for (int32_t x = 0; x < m->width; x++) {
            int64_t i = (int64_t)y * m->width + x;
            m->inner[i] = is_inner(r, x, y);
            looks[r->label[i]].n += m->inner[i];
        }
    for (int64_t i = 0, n = (int64_t)m->width * m->height; i < n; i++)
        if (r->label[i] && looks[r->label[i]].n == 0)
            m->inner[i] = r->ink[i] <= m->conf.threshold;
}

static uint8_t middle(const int32_t histogram[256], int32_t n)
{
    int32_t seen = 0;
    for (int v = 0; v < 256; v++)
        if ((seen += histogram[v]) * 2 >= n)
            return (uint8_t)v;
    return 255;
}

/* Medians per region: inner pixels are sorted by region first, so that one set of histograms is enough. */
static int take_looks(struct quality *m, struct look *looks)
{
    const struct regions *r = &m->regions;
    int64_t pixels = (int64_t)m->width * m->height;
    int64_t *first = calloc((size_t)r->count + 2, sizeof *first);
    int32_t *order = malloc((size_t)pixels * sizeof *order);
    if (!first || !order) {
        free(first);
        free(order);
        return -1;
    }
    for (int64_t i = 0; i < pixels; i++)
        if (m->inner[i])
            first[r->label[i] + 1]++;
    for (int32_t k = 1; k <= r->count + 1; k++)
        first[k] += first[k - 1];
    for (int64_t i = 0; i < pixels; i++)
        if (m->inner[i])
            order[first[r->label[i]]++] = (int32_t)i;
    int64_t from = 0;
    for (int32_t k = 1; k <= r->count; k++) {
        int32_t histogram[2][3][256] = {{{0}}}, n = (int32_t)(first[k] - from);
        for (; from < first[k]; from++)
            for (int c = 0; c < 3; c++) {
                histogram[0][c][m->result[(int64_t)order[from] * 3 + c]]++;
                histogram[1][c][m->truth[(int64_t)order[from] * 3 + c]]++;
            }
        for (int c = 0; c < 3; c++) {
            looks[k].result[c] = middle(histogram[0][c], n);
            looks[k].truth[c] = middle(histogram[1][c], n);
        }
        looks[k].n = n;
        looks[k].lab = color_cielab(looks[k].result);
    }
    free(first);
    free(order);
    return 0;
}

/* ---- the sheet ---- */
static const uint8_t *sheet_color(const struct quality *m, const uint8_t rgb[3])
{
    struct cielab lab = color_cielab(rgb);
    double least = INFINITY;
    const uint8_t *best = rgb;
    for (int32_t i = 0; i < m->sheet.count; i++) {
        double d = color_ciede2000(lab, color_cielab(m->sheet.colors[i].rgb));
        if (d < least) {
            least = d;
            best = m->sheet.colors[i].rgb;
        }
    }
    return best;
}

static bool off_sheet(struct quality *m, const uint8_t rgb[3])
{
    if (m->sheet_count != m->sheet.count) {
        for (int i = 0; i < 262144; i++)
            m->sheet_distance[i] = -1;
        m->sheet_count = m->sheet.count;
    }
    float *at = &m->sheet_distance[(rgb[0] >> 2) << 12 | (rgb[1] >> 2) << 6 | rgb[2] >> 2];
    if (*at < 0)
        *at = (float)color_ciede2000(color_cielab(rgb), color_cielab(sheet_color(m, rgb)));
    return *at > OFF_PALETTE;
}

/* ---- one frame ---- */
static void compare_regions(const struct quality *m, const struct look *looks, struct quality_row *row)
{
    double right = 0, right_area = 0, area = 0, error = 0, ok = 0;
    int32_t n = 0;
    for (int32_t k = 1; k <= m->regions.count; k++) {
        if (!looks[k].n)
            continue;
        double to_truth = color_ciede2000(looks[k].lab, color_cielab(looks[k].truth));
        double to_sheet = color_ciede2000(looks[k].lab, color_cielab(sheet_color(m, looks[k].truth)));
        right += to_truth <= SAME_COLOR;
        right_area += to_truth <= SAME_COLOR ? m->regions.at[k].area : 0;
        area += m->regions.at[k].area;
        error += to_sheet;
        ok += to_sheet <= SAME_COLOR;
        n++;
    }
    row->regions = n;
    row->region_accuracy = n ? right / n : NAN;
    row->region_area_accuracy = n ? right_area / area : NAN;
    row->palette_error = n && m->sheet.count ? error / n : NAN;
    row->palette_ok = n && m->sheet.count ? ok / n : NAN;
}

/* Has a neighbour of region k, across a line, this pixel's colour? */
static bool leaked(const struct quality *m, const struct look *looks, const int32_t *first, int32_t k,
                   const uint8_t *rgb)
{
    struct cielab lab = color_cielab(rgb);
    if (color_ciede2000(lab, looks[k].lab) <= OFF_PALETTE)
        return false;
    for (int32_t i = first[k]; i < first[k + 1]; i++) {
        const struct contact *c = &m->regions.contacts[i];
        if (color_ciede2000(lab, looks[c->b].lab) <= SAME_COLOR)
            return true;
    }
    return false;
}

/* Contacts are sorted by their smaller region; for lookups from both sides they are doubled and sorted anew. */
static int by_first(const void *left, const void *right)
{
    const struct contact *l = left, *r = right;
    if (l->a != r->a)
        return l->a < r->a ? -1 : 1;
    return (l->b > r->b) - (l->b < r->b);
}

static int double_contacts(struct regions *r, int32_t **out_first)
{
    int32_t n = r->contact_count, *first = calloc((size_t)r->count + 2, sizeof *first);
    struct contact *twice = realloc(r->contacts, ((size_t)n * 2 + 1) * sizeof *twice);
    if (twice)
        r->contacts = twice;
    if (!first || !twice) {
        free(first);
        return -1;
    }
    for (int32_t i = 0; i < n; i++)
        twice[n + i] = (struct contact){twice[i].b, twice[i].a, twice[i].length, twice[i].open};
    qsort(twice, (size_t)n * 2, sizeof *twice, by_first);
    r->contact_count = n * 2;
    for (int32_t i = 0; i < n * 2; i++)
        first[twice[i].a + 1]++;
    for (int32_t k = 1; k <= r->count + 1; k++)
        first[k] += first[k - 1];
    *out_first = first;
    return 0;
}

static int compare_pixels(struct quality *m, const struct look *looks, struct quality_row *row)
{
    const struct regions *r = &m->regions;
    int32_t *first = NULL;
    int64_t paint = 0, off = 0, leaks = 0;
    if (double_contacts(&m->regions, &first))
        return -1;
    for (int32_t y = 0; y < m->height; y++)
        for (int32_t x = 0; x < m->width; x++) {
            int64_t i = (int64_t)y * m->width + x;
            const uint8_t *rgb = m->result + i * 3;
            if (!m->inner[i])
                continue;
            paint++;
            off += off_sheet(m, rgb);
            int32_t k = r->label[i];
            if (memcmp(rgb, looks[k].result, 3) != 0)
                leaks += leaked(m, looks, first, k, rgb);
        }
    free(first);
    row->off_palette = paint && m->sheet.count ? (double)off / (double)paint : NAN;
    row->leak = paint ? (double)leaks / (double)paint : NAN;
    return 0;
}

/* Each paint of the truth: its mean colour in the result, against where it first appeared. */
static void measure_drift(struct quality *m, const struct look *looks, struct quality_row *row)
{
    double sum = 0, area = 0;
    for (int32_t c = 0; c < m->sheet.count; c++) {
        m->drift[c].n = 0;
        memset(m->drift[c].sum, 0, sizeof m->drift[c].sum);
    }
    for (int32_t k = 1; k <= m->regions.count; k++) {
        if (!looks[k].n || !m->sheet.count)
            continue;
        const uint8_t *sheet = sheet_color(m, looks[k].truth);
        int32_t c = 0;
        while (m->sheet.colors[c].rgb != sheet)
            c++;
        m->drift[c].n += looks[k].n;
        for (int i = 0; i < 3; i++)
            m->drift[c].sum[i] += (double)looks[k].n * looks[k].result[i];
    }
    for (int32_t c = 0; c < m->sheet.count; c++) {
        struct paint_drift *d = &m->drift[c];
        uint8_t now[3], then[3];
        if (!d->n)
            continue;
        for (int i = 0; i < 3; i++) {
            if (!d->seen)
                d->first[i] = d->sum[i] / (double)d->n;
            now[i] = (uint8_t)lrint(d->sum[i] / (double)d->n);
            then[i] = (uint8_t)lrint(d->first[i]);
        }
        d->seen = true;
        sum += (double)d->n * color_ciede2000(color_cielab(now), color_cielab(then));
        area += (double)d->n;
    }
    row->drift = area > 0 ? sum / area : NAN;
}

/* Lines as they are, or the truth where there are none, tell whether this is the drawing of the frame before. */
static void measure_flicker(struct quality *m, const struct paint_image *lines, struct quality_row *row)
{
    int64_t pixels = (int64_t)m->width * m->height, changed = 0;
    if (lines)
        over_white(lines, m->lines);
    const uint8_t *drawing = lines ? m->lines : m->truth;
    row->hold = m->count > 0 && memcmp(drawing, m->before_lines, (size_t)pixels * 3) == 0;
    for (int64_t i = 0; row->hold && i < pixels; i++)
        changed += memcmp(m->result + i * 3, m->before_result + i * 3, 3) != 0;
    row->flicker = row->hold ? (double)changed / (double)pixels : NAN;
    memcpy(m->before_lines, drawing, (size_t)pixels * 3);
    memcpy(m->before_result, m->result, (size_t)pixels * 3);
}

static int check_size(const struct quality *m, const struct paint_image *i, const char *what, struct err *e)
{
    if (i->width == m->width && i->height == m->height && (i->channels == 3 || i->channels == 4))
        return 0;
    return err_set_field(e, ERR_params_invalid, what, "frame %lld is %dx%d, the truth %dx%d", (long long)m->count,
                         i->width, i->height, m->width, m->height);
}

static int measure(struct quality *m, const struct paint_image *lines, struct quality_row *row, struct err *e)
{
    struct look *looks = NULL;
    int result = -1;
    if (find_regions(m, lines, e))
        return -1;
    looks = calloc((size_t)m->regions.count + 1, sizeof *looks);
    if (!looks || quality_ssim(m->result, m->truth, m->width, m->height, &row->ssim))
        goto out;
    find_inner(m, looks);
    if (take_looks(m, looks))
        goto out;
    row->psnr = quality_psnr(m->result, m->truth, (int64_t)m->width * m->height);
    compare_regions(m, looks, row);
    if (compare_pixels(m, looks, row))
        goto out;
    measure_drift(m, looks, row);
    measure_flicker(m, lines, row);
    result = 0;
out:
    free(looks);
    return result ? err_set(e, ERR_internal, "no memory to compare frames") : 0;
}

int quality_add(struct quality *m, const struct paint_image *result, const struct paint_image *truth,
                const struct paint_image *lines, struct err *e)
{
    struct quality_row row = {0};
    if (check_size(m, result, "result", e) || check_size(m, truth, "truth", e) ||
        (lines && check_size(m, lines, "lines", e)))
        return -1;
    if (m->count == m->capacity) {
        int64_t capacity = m->capacity ? m->capacity * 2 : 256;
        struct quality_row *grown = realloc(m->rows, (size_t)capacity * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_internal, "no memory for metrics");
        m->rows = grown;
        m->capacity = capacity;
    }
    over_white(result, m->result);
    over_white(truth, m->truth);
    if (measure(m, lines, &row, e))
        return -1;
    m->rows[m->count++] = row;
    return 0;
}

int64_t quality_rows(const struct quality *m, const struct quality_row **out)
{
    *out = m->rows;
    return m->count;
}
