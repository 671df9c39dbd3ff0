#include "train/journal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_MAX = 1 << 30, SVG_MAX = 16 << 20 };
enum { WIDTH = 800, HEIGHT = 400, LEFT = 70, RIGHT = 20, TOP = 20, BOTTOM = 40, TICKS = 4, POINTS_MAX = 1500 };

struct point {
    int64_t step;
    double loss, reward; /* reward: NAN = none */
};

struct journal {
    char log[FS_PATH_MAX], plot[FS_PATH_MAX];
    int fd;
    struct point *points; /* by step */
    int64_t count, room;
};

static double number_of(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A step that is told again replaces what was said of it and of all later ones. */
static void remember(struct journal *j, const json_t *line)
{
    struct point p = {0, number_of(line, "loss"), number_of(line, "reward")};
    if (json_as_int(json_object_get(line, "step"), &p.step) != 0 || !isfinite(p.loss))
        return;
    while (j->count > 0 && j->points[j->count - 1].step >= p.step)
        j->count--;
    if (j->count == j->room) {
        j->room = j->room ? 2 * j->room : 1024;
        j->points = realloc(j->points, (size_t)j->room * sizeof *j->points);
        if (!j->points)
            abort();
    }
    j->points[j->count++] = p;
}

/* A line that was cut short by a crash is passed over. */
static void read_log(struct journal *j)
{
    struct buf b;
    buf_init(&b, LOG_MAX);
    if (fs_read(j->log, &b, NULL) == 0 && b.size > 0)
        for (char *line = b.data, *end; (end = strchr(line, '\n')); line = end + 1) {
            json_t *object = json_parse(line, (size_t)(end - line), ERR_internal, NULL);
            if (object)
                remember(j, object);
            json_decref(object);
        }
    buf_free(&b);
}

int journal_open(struct journal **out, const char *folder, struct err *e)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return err_set(e, ERR_internal, "no memory");
    j->fd = -1;
    if (fs_join(j->log, folder, "log.jsonl", e) != 0 || fs_join(j->plot, folder, "loss.svg", e) != 0) {
        journal_close(j);
        return -1;
    }
    read_log(j);
    j->fd = open(j->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (j->fd < 0) {
        err_set(e, ERR_internal, "%s: %s", j->log, strerror(errno));
        journal_close(j);
        return -1;
    }
    *out = j;
    return 0;
}

int journal_add(struct journal *j, json_t *line, struct err *e)
{
    json_put_time(line, "time", clock_wall_ms());
    remember(j, line);
    char *text = json_text(line, false);
    size_t length = strlen(text);
    text[length] = '\n';
    int failed = fs_write_all(j->fd, text, length + 1);
    free(text);
    json_decref(line);
    return failed ? err_set(e, errno == ENOSPC ? ERR_storage_full : ERR_internal, "%s: %s", j->log, strerror(errno))
                  : 0;
}

/* ---- the picture ---- */

struct axis {
    double low, high;
};

static struct axis axis_of(const struct journal *j, bool reward)
{
    struct axis a = {INFINITY, -INFINITY};
    for (int64_t i = 0; i < j->count; i++) {
        double v = reward ? j->points[i].reward : j->points[i].loss;
        if (!isfinite(v))
            continue;
        a.low = fmin(a.low, v);
        a.high = fmax(a.high, v);
    }
    if (a.high - a.low < 1e-12) {
        a.low -= 0.5;
        a.high += 0.5;
    }
    return a;
}

static double x_of(const struct journal *j, int64_t step)
{
    int64_t last = j->points[j->count - 1].step, first = j->points[0].step;
    double at = last > first ? (double)(step - first) / (double)(last - first) : 0.5;
    return LEFT + at * (WIDTH - LEFT - RIGHT);
}

static double y_of(struct axis a, double value)
{
    return HEIGHT - BOTTOM - (value - a.low) / (a.high - a.low) * (HEIGHT - TOP - BOTTOM);
}

/* A curve of at most POINTS_MAX points; `kept` is the share of the curve before in every new value (0 = as it is). */
static void curve(struct buf *b, const struct journal *j, struct axis a, bool reward, double kept, const char *style)
{
    int64_t every = j->count / POINTS_MAX + 1;
    double smooth = NAN;
    buf_printf(b, "<polyline fill=\"none\" %s points=\"", style);
    for (int64_t i = 0; i < j->count; i++) {
        double v = reward ? j->points[i].reward : j->points[i].loss;
        if (!isfinite(v))
            continue;
        smooth = isfinite(smooth) ? kept * smooth + (1 - kept) * v : v;
        if (i % every == 0 || i == j->count - 1)
            buf_printf(b, "%.1f,%.1f ", x_of(j, j->points[i].step), y_of(a, smooth));
    }
    buf_add_str(b, "\"/>\n");
}

static void frame(struct buf *b, const struct journal *j, struct axis a)
{
    for (int i = 0; i <= TICKS; i++) {
        double v = a.low + (a.high - a.low) * i / TICKS, y = y_of(a, v);
        int64_t first = j->points[0].step, step = first + (j->points[j->count - 1].step - first) * i / TICKS;
        buf_printf(b,
                   "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                   "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>"
                   "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%lld</text>\n",
                   LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4, v, x_of(j, step), HEIGHT - BOTTOM + 18, (long long)step);
    }
    buf_printf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n", (LEFT + WIDTH - RIGHT) / 2,
               HEIGHT - 4);
}

int journal_plot(const struct journal *j, struct err *e)
{
    struct buf b;
    bool rewarded = j->count > 0 && isfinite(j->points[j->count - 1].reward);
    buf_init(&b, SVG_MAX);
    buf_printf(&b,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
               "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
               WIDTH, HEIGHT);
    if (j->count > 0) {
        struct axis loss = axis_of(j, false);
        frame(&b, j, loss);
        curve(&b, j, loss, false, 0, "stroke=\"#b7cbe8\"");
        curve(&b, j, loss, false, 0.95, "stroke=\"#1f5fb4\" stroke-width=\"2\"");
        buf_printf(&b, "<text x=\"%d\" y=\"%d\" fill=\"#1f5fb4\">loss</text>\n", LEFT + 8, TOP + 12);
    }
    if (rewarded) {
        struct axis reward = axis_of(j, true);
        curve(&b, j, reward, true, 0.9, "stroke=\"#2c8a3d\" stroke-width=\"2\"");
        buf_printf(&b, "<text x=\"%d\" y=\"%d\" fill=\"#2c8a3d\">reward, %.4g to %.4g</text>\n", LEFT + 60, TOP + 12,
                   reward.low, reward.high);
    }
    buf_add_str(&b, "</svg>\n");
    int failed = b.failed ? err_set(e, ERR_internal, "the picture of the losses is too large")
                          : fs_write_atomic(j->plot, b.data, b.size, e);
    buf_free(&b);
    return failed;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j->points);
    free(j);
}
