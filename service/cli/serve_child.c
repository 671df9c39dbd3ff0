#include "cli/serve_child.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"

#include <signal.h>

enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 5000, HEALTHY_MS = 10000 };

void serve_child_init(struct serve_child *c, const char *name)
{
    *c = (struct serve_child){.name = name};
}

int serve_child_start(struct serve_child *c, const char *path, char *const argv[], char *const env[], struct err *e)
{
    c->started_ms = clock_mono_ms();
    c->due_ms = c->started_ms + PAUSE_MAX_MS; /* should the start fail */
    if (proc_spawn(&c->pid, path, argv, env, NULL, 0, SIGKILL, e) != 0)
        return -1;
    log_event(LOG_INFO, "serve.started", "name", "s", c->name, "pid", "i", (int64_t)c->pid, NULL);
    return 0;
}

bool serve_child_ended(struct serve_child *c)
{
    if (c->pid == 0 || proc_wait(c->pid, 0, &c->status) == 0)
        return false;
    int64_t now_ms = clock_mono_ms();
    bool healthy = now_ms - c->started_ms >= HEALTHY_MS;
    c->pause_ms = healthy || c->pause_ms == 0 ? PAUSE_MIN_MS : c->pause_ms * 2;
    if (c->pause_ms > PAUSE_MAX_MS)
        c->pause_ms = PAUSE_MAX_MS;
    c->due_ms = now_ms + c->pause_ms;
    c->pid = 0;
    log_event(LOG_WARN, "serve.child_ended", "name", "s", c->name, "signal", "i",
              (int64_t)(WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0), "status", "i",
              (int64_t)(WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1), NULL);
    return true;
}

bool serve_child_due(const struct serve_child *c)
{
    return c->pid == 0 && clock_mono_ms() >= c->due_ms;
}

void serve_child_stop(struct serve_child *c, int64_t grace_ms)
{
    if (c->pid > 0)
        c->status = proc_stop(c->pid, grace_ms);
    c->pid = 0;
}
