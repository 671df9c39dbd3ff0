#include "job/job.h"

#include <string.h>

static const char *const state_names[JOB_STATE_COUNT] = {
    [JOB_QUEUED] = "queued", [JOB_WAITING] = "waiting",   [JOB_RUNNING] = "running", [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed", [JOB_CANCELED] = "canceled", [JOB_EXPIRED] = "expired", [JOB_PURGED] = "purged",
};

static const char *const event_names[JOB_EVENT_COUNT] = {
    [JOB_EV_CLAIM] = "claim",     [JOB_EV_COMPLETE] = "complete", [JOB_EV_FAIL_RETRY] = "fail_retry",
    [JOB_EV_FAIL_FINAL] = "fail", [JOB_EV_RELEASE] = "release",   [JOB_EV_LOST] = "lost",
    [JOB_EV_PROMOTE] = "promote", [JOB_EV_CANCEL] = "cancel",     [JOB_EV_CANCELED] = "canceled",
    [JOB_EV_EXPIRE] = "expire",   [JOB_EV_RETRY] = "retry",       [JOB_EV_PURGE] = "purge",
};

/* Every edge there is; what is not here may not happen. */
static const struct edge {
    enum job_event event;
    enum job_state from, to;
} edges[] = {
    {JOB_EV_CLAIM, JOB_QUEUED, JOB_RUNNING},
    {JOB_EV_COMPLETE, JOB_RUNNING, JOB_SUCCEEDED},
    {JOB_EV_FAIL_RETRY, JOB_RUNNING, JOB_WAITING},
    {JOB_EV_FAIL_FINAL, JOB_RUNNING, JOB_FAILED},
    {JOB_EV_RELEASE, JOB_RUNNING, JOB_QUEUED},
    {JOB_EV_LOST, JOB_RUNNING, JOB_WAITING},
    {JOB_EV_PROMOTE, JOB_WAITING, JOB_QUEUED},
    {JOB_EV_CANCEL, JOB_QUEUED, JOB_CANCELED},
    {JOB_EV_CANCEL, JOB_WAITING, JOB_CANCELED},
    {JOB_EV_CANCEL, JOB_RUNNING, JOB_RUNNING}, /* only asked for; the worker answers with canceled */
    {JOB_EV_CANCELED, JOB_RUNNING, JOB_CANCELED},
    {JOB_EV_EXPIRE, JOB_QUEUED, JOB_EXPIRED},
    {JOB_EV_EXPIRE, JOB_WAITING, JOB_EXPIRED},
    {JOB_EV_RETRY, JOB_FAILED, JOB_QUEUED},
    {JOB_EV_PURGE, JOB_SUCCEEDED, JOB_PURGED},
    {JOB_EV_PURGE, JOB_FAILED, JOB_PURGED},
    {JOB_EV_PURGE, JOB_CANCELED, JOB_PURGED},
    {JOB_EV_PURGE, JOB_EXPIRED, JOB_PURGED},
};

const char *job_state_name(enum job_state s)
{
    return (unsigned)s < JOB_STATE_COUNT ? state_names[s] : "unknown";
}

const char *job_event_name(enum job_event event)
{
    return (unsigned)event < JOB_EVENT_COUNT ? event_names[event] : "unknown";
}

int job_state_by_name(const char *name)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (strcmp(state_names[i], name) == 0)
            return i;
    return -1;
}

bool job_state_terminal(enum job_state s)
{
    return s == JOB_SUCCEEDED || s == JOB_FAILED || s == JOB_CANCELED || s == JOB_EXPIRED || s == JOB_PURGED;
}

int job_next(enum job_state from, enum job_event event)
{
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        if (edges[i].event == event && edges[i].from == from)
            return (int)edges[i].to;
    return -1;
}
