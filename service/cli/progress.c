#include "cli/cli.h"

#include "base/clock.h"
#include "base/json.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { QUIET_MS = 10000 };

/* ---- interrupts ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    if (interrupted++ > 0)
        _exit(CLI_INTERRUPTED); /* asked twice: at once */
}

void cli_catch_interrupts(void)
{
    struct sigaction a = {.sa_handler = on_interrupt};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool cli_interrupted(void)
{
    return interrupted > 0;
}

/* ---- ends ---- */

void cli_complain(const struct err *e)
{
    fprintf(stderr, "longanim: %s%s%s%s\n", e->detail[0] ? e->detail : err_info(e->code)->title,
            e->field[0] ? " (" : "", e->field, e->field[0] ? ")" : "");
}

int cli_exit_of(enum err_code code)
{
    switch (err_info(code)->class) {
    case ERR_CLASS_MEDIA:
        return CLI_REFUSED;
    case ERR_CLASS_CLIENT:
        return code == ERR_canceled_by_user || code == ERR_canceled_by_deadline ? CLI_FAILED : CLI_REFUSED;
    default:
        return CLI_FAILED;
    }
}

/* ---- progress ---- */

void cli_progress_init(struct cli_progress *p)
{
    memset(p, 0, sizeof *p);
    p->bar = isatty(STDERR_FILENO);
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 80;
}

static void draw(struct cli_progress *p, double fraction, const char *text)
{
    char bar[41];
    int cells = 24, full = (int)(fraction * cells + 0.5), wide = columns() - 1;
    if (full < 0)
        full = 0;
    if (full > cells)
        full = cells;
    memset(bar, '#', (size_t)full);
    memset(bar + full, '.', (size_t)(cells - full));
    bar[cells] = 0;
    char line[400];
    int length = snprintf(line, sizeof line, "[%s] %3d%% %s", bar, (int)(fraction * 100), text);
    if (length > wide)
        line[length = wide] = 0;
    fprintf(stderr, "\r%s%*s", line, p->width > length ? p->width - length : 0, "");
    fflush(stderr);
    p->width = length;
}

static void duration(char *out, size_t size, double seconds)
{
    long s = lround(seconds);
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

static void describe(const struct cli_state *s, char *out, size_t size)
{
    char step[64] = "", segment[64] = "", eta[80] = "", place[64] = "";
    if (s->steps > 0)
        snprintf(step, sizeof step, " %lld/%lld", (long long)s->step, (long long)s->steps);
    if (s->segments_total > 0)
        snprintf(segment, sizeof segment, ", segment %lld/%lld",
                 (long long)(s->segments_done < s->segments_total ? s->segments_done + 1 : s->segments_total),
                 (long long)s->segments_total);
    if (s->position > 0)
        snprintf(place, sizeof place, ", %lld in the queue", (long long)s->position);
    if (s->eta_high_s >= 0) {
        char low[24], high[24];
        duration(low, sizeof low, s->eta_low_s);
        duration(high, sizeof high, s->eta_high_s);
        snprintf(eta, sizeof eta, ", %s to %s left", low, high);
    }
    snprintf(out, size, "%s%s%s%s%s", s->stage && s->stage[0] ? s->stage : s->state, step, segment, place, eta);
}

static json_t *state_json(const struct cli_state *s)
{
    json_t *o = json_object();
    json_put_str(o, "event", "progress");
    json_put_str(o, "state", s->state);
    json_put_str(o, "stage", s->stage);
    json_put_real(o, "fraction", s->fraction);
    json_put_int(o, "segments_done", s->segments_done);
    json_put_int(o, "segments_total", s->segments_total);
    json_put_int(o, "step", s->step);
    json_put_int(o, "steps", s->steps);
    if (s->eta_high_s >= 0) {
        json_put_real(o, "eta_low_seconds", s->eta_low_s);
        json_put_real(o, "eta_high_seconds", s->eta_high_s);
    }
    return o;
}

void cli_progress_show(struct cli_progress *p, const struct cli_state *s)
{
    char text[400], key[160];
    describe(s, text, sizeof text);
    if (p->bar) {
        draw(p, s->fraction, text);
        return;
    }
    snprintf(key, sizeof key, "%s %lld %d", s->state, (long long)s->segments_done, (int)(s->fraction * 20));
    /* a line for each twentieth and each segment, and now and then a sign of life */
    int64_t now_ms = clock_mono_ms();
    if (strcmp(key, p->last) == 0 && now_ms - p->told_ms < QUIET_MS)
        return;
    memcpy(p->last, key, sizeof p->last);
    p->told_ms = now_ms;
    cli_print_json(state_json(s));
}

void cli_progress_bytes(struct cli_progress *p, const char *what, int64_t done, int64_t total)
{
    char text[160];
    if (!p->bar || total <= 0)
        return;
    snprintf(text, sizeof text, "%s, %.1f of %.1f MB", what, (double)done / 1e6, (double)total / 1e6);
    draw(p, (double)done / (double)total, text);
}

void cli_progress_count(struct cli_progress *p, const char *what, int64_t done, int64_t total)
{
    char text[160];
    if (!p->bar || total <= 0)
        return;
    snprintf(text, sizeof text, "%s, %lld of %lld", what, (long long)done, (long long)total);
    draw(p, (double)done / (double)total, text);
}

void cli_progress_clear(struct cli_progress *p)
{
    if (!p->bar || p->width == 0)
        return;
    fprintf(stderr, "\r%*s\r", p->width, "");
    p->width = 0;
}

int cli_end(struct cli_progress *p, bool failed, const struct err *e)
{
    cli_progress_clear(p);
    if (!failed)
        return CLI_DONE;
    if (cli_interrupted())
        return CLI_INTERRUPTED;
    cli_complain(e);
    return cli_exit_of(e->code);
}

void cli_print_json(json_t *o)
{
    char *text = json_text(o, false);
    printf("%s\n", text);
    fflush(stdout);
    free(text);
    json_decref(o);
}
