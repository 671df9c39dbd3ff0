#include "base/metrics.h"

#include "base/text.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 64, BOUNDS_MAX = 24 };

const double metrics_seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 0};

struct series {
    char values[METRICS_LABELS_MAX][LABEL_BYTES];
    double value; /* histograms: the sum */
    uint64_t observations;
    uint64_t buckets[BOUNDS_MAX];
};

struct metric {
    struct series *series;
    int count;
};

struct metrics {
    const struct metrics_row *rows;
    int row_count;
    pthread_mutex_t lock;
    struct metric *metrics;
};

static int label_count(const struct metrics_row *r)
{
    int count = 0;
    while (count < METRICS_LABELS_MAX && r->labels[count])
        count++;
    return count;
}

static const double *bounds_of(const struct metrics_row *r)
{
    return r->bounds ? r->bounds : metrics_seconds;
}

struct metrics *metrics_new(const struct metrics_row *rows, int count)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (!m || !(m->metrics = calloc((size_t)count, sizeof *m->metrics)))
        abort();
    m->rows = rows;
    m->row_count = count;
    pthread_mutex_init(&m->lock, NULL);
    for (int i = 0; i < count; i++)
        if (rows[i].kind == METRICS_COUNTER && label_count(&rows[i]) == 0)
            metrics_add(m, i, 0, NULL);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->row_count; i++)
        free(m->metrics[i].series);
    pthread_mutex_destroy(&m->lock);
    free(m->metrics);
    free(m);
}

static struct series *new_series_locked(struct metric *metric)
{
    if ((metric->count & (metric->count - 1)) == 0) {
        size_t room = metric->count == 0 ? 1 : 2 * (size_t)metric->count;
        struct series *grown = realloc(metric->series, room * sizeof *grown);
        if (!grown)
            abort();
        metric->series = grown;
    }
    struct series *s = &metric->series[metric->count++];
    *s = (struct series){0};
    return s;
}

static struct series *find_locked(struct metrics *m, int row, const char *const *values)
{
    struct metric *metric = &m->metrics[row];
    int labels = label_count(&m->rows[row]);
    char wanted[METRICS_LABELS_MAX][LABEL_BYTES] = {{0}};
    bool full = metric->count >= METRICS_SERIES_MAX;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < labels; i++)
            text_clean(wanted[i], LABEL_BYTES, pass == 0 ? values[i] : "other");
        for (int s = 0; s < metric->count; s++)
            if (memcmp(metric->series[s].values, wanted, sizeof wanted) == 0)
                return &metric->series[s];
        if (!full)
            break;
    }
    struct series *s = new_series_locked(metric);
    memcpy(s->values, wanted, sizeof wanted);
    return s;
}

void metrics_add(struct metrics *m, int row, double amount, const char *const *values)
{
    pthread_mutex_lock(&m->lock);
    find_locked(m, row, values)->value += amount;
    pthread_mutex_unlock(&m->lock);
}

void metrics_set(struct metrics *m, int row, double value, const char *const *values)
{
    pthread_mutex_lock(&m->lock);
    find_locked(m, row, values)->value = value;
    pthread_mutex_unlock(&m->lock);
}

void metrics_observe(struct metrics *m, int row, double value, const char *const *values)
{
    const double *bounds = bounds_of(&m->rows[row]);
    pthread_mutex_lock(&m->lock);
    struct series *s = find_locked(m, row, values);
    s->value += value;
    s->observations++;
    for (int i = 0; i < BOUNDS_MAX && bounds[i] > 0; i++)
        s->buckets[i] += value <= bounds[i];
    pthread_mutex_unlock(&m->lock);
}

void metrics_clear(struct metrics *m, int row)
{
    pthread_mutex_lock(&m->lock);
    free(m->metrics[row].series);
    m->metrics[row] = (struct metric){0};
    pthread_mutex_unlock(&m->lock);
}

static void add_escaped(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_add(out, "\\", 1);
        buf_add(out, value, 1);
    }
}

/* name{label="value",…,le="…"} */
static void add_name(struct buf *out, const struct metrics_row *r, const struct series *s, const char *suffix,
                     const char *le)
{
    int labels = label_count(r);
    buf_printf(out, "%s%s", r->name, suffix);
    for (int i = 0; i < labels; i++) {
        buf_printf(out, "%s%s=\"", i == 0 ? "{" : ",", r->labels[i]);
        add_escaped(out, s->values[i]);
        buf_add(out, "\"", 1);
    }
    if (le)
        buf_printf(out, "%sle=\"%s\"", labels == 0 ? "{" : ",", le);
    if (labels > 0 || le)
        buf_add(out, "}", 1);
    buf_add(out, " ", 1);
}

static void add_histogram(struct buf *out, const struct metrics_row *r, const struct series *s)
{
    const double *bounds = bounds_of(r);
    char le[32];
    for (int i = 0; i < BOUNDS_MAX && bounds[i] > 0; i++) {
        snprintf(le, sizeof le, "%.9g", bounds[i]);
        add_name(out, r, s, "_bucket", le);
        buf_printf(out, "%llu\n", (unsigned long long)s->buckets[i]);
    }
    add_name(out, r, s, "_bucket", "+Inf");
    buf_printf(out, "%llu\n", (unsigned long long)s->observations);
    add_name(out, r, s, "_sum", NULL);
    buf_printf(out, "%.9g\n", s->value);
    add_name(out, r, s, "_count", NULL);
    buf_printf(out, "%llu\n", (unsigned long long)s->observations);
}

int metrics_text(struct metrics *m, struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < m->row_count; i++) {
        const struct metrics_row *r = &m->rows[i];
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, kinds[r->kind]);
        for (int s = 0; s < m->metrics[i].count; s++) {
            const struct series *one = &m->metrics[i].series[s];
            if (r->kind == METRICS_HISTOGRAM) {
                add_histogram(out, r, one);
            } else {
                add_name(out, r, one, "", NULL);
                buf_printf(out, "%.15g\n", one->value);
            }
        }
    }
    pthread_mutex_unlock(&m->lock);
    return out->failed ? -1 : 0;
}
