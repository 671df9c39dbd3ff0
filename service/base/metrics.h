/* metrics.h - counters, gauges and histograms as Prometheus text (exposition format 0.0.4).
 *
 * A program has one table of rows; a metric is its index there. Label values are given in the order of the row's
 * labels. A metric keeps at most METRICS_SERIES_MAX combinations; further ones are counted with every label "other",
 * so a hostile client cannot make the page grow. Names follow Prometheus: base units, counters end in _total.
 * Any thread. */
#ifndef LONGANIM_BASE_METRICS_H
#define LONGANIM_BASE_METRICS_H

#include "base/buf.h"

#include <stdint.h>

#define METRICS_LABELS_MAX 4
#define METRICS_SERIES_MAX 256

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics_row {
    enum metrics_kind kind;
    const char *name, *help;
    const char *labels[METRICS_LABELS_MAX + 1]; /* NULL-terminated */
    const double *bounds;                       /* histograms: rising upper bounds, 0-terminated; NULL = seconds */
};

/* Upper bounds for request times: 1 ms to 60 s. */
extern const double metrics_seconds[];

struct metrics;

/* `rows` is borrowed for good. Aborts when memory is out. */
struct metrics *metrics_new(const struct metrics_row *rows, int count);
void metrics_free(struct metrics *m);

/* values: as many as the row has labels (may be NULL when it has none). */
void metrics_add(struct metrics *m, int row, double amount, const char *const *values);    /* counters, gauges */
void metrics_set(struct metrics *m, int row, double value, const char *const *values);     /* gauges */
void metrics_observe(struct metrics *m, int row, double value, const char *const *values); /* histograms */

/* Forgets all series of a gauge, so that labels which are gone (a pool) do not stay for ever. */
void metrics_clear(struct metrics *m, int row);

/* Appends the page. -1 when `out` has no room. Every counter without labels is there from the start, as 0. */
int metrics_text(struct metrics *m, struct buf *out);

#endif
