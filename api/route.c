#include "route.h"

#include "artifacts.h"
#include "create.h"
#include "events.h"
#include "files.h"
#include "jobs.h"
#include "key_routes.h"
#include "meta.h"
#include "operator.h"
#include "ops.h"
#include "uploads.h"
#include "videos.h"
#include "webhooks.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct route api_routes[] = {
    {"POST",   "/jobs",                   "createJob",       SCOPE_SUBMIT, REQ_UPLOAD,  .take = create_take},
    {"GET",    "/jobs",                   "listJobs",        SCOPE_READ,   REQ_NO_BODY, .work = jobs_list},
    {"GET",    "/jobs/{id}",              "getJob",          SCOPE_READ,   REQ_NO_BODY, .now = jobs_get_now, .work = jobs_get},
    {"DELETE", "/jobs/{id}",              "deleteJob",       SCOPE_SUBMIT, REQ_NO_BODY, .work = jobs_delete},
    {"POST",   "/jobs/{id}/cancel",       "cancelJob",       SCOPE_SUBMIT, REQ_NO_BODY, .work = jobs_cancel},
    {"POST",   "/jobs/{id}/retry",        "retryJob",        SCOPE_ADMIN,  REQ_NO_BODY, .work = jobs_retry},
    {"GET",    "/jobs/{id}/events",       "getJobEvents",    SCOPE_READ,   REQ_NO_BODY, .work = events_open},
    {"GET",    "/jobs/{id}/result",       "getJobResult",    SCOPE_READ,   REQ_NO_BODY, .work = files_result},
    {"GET",    "/jobs/{id}/segments",     "listJobSegments", SCOPE_READ,   REQ_NO_BODY, .work = files_segments},
    {"GET",    "/jobs/{id}/segments/{n}", "getJobSegment",   SCOPE_READ,   REQ_NO_BODY, .work = files_segment},
    {"GET",    "/jobs/{id}/preview",      "getJobPreview",   SCOPE_READ,   REQ_NO_BODY, .work = files_preview},
    {"GET",    "/jobs/{id}/receipt",      "getJobReceipt",   SCOPE_READ,   REQ_NO_BODY, .work = files_receipt},
    {"GET",    "/jobs/{id}/artifacts",    "listJobArtifacts", SCOPE_READ, REQ_NO_BODY, .work = artifacts_list},
    {"GET",    "/jobs/{id}/artifacts/{name}", "getJobArtifact", SCOPE_READ, REQ_NO_BODY, .work = artifacts_get},
    {"GET",    "/jobs/{id}/logs",         "getJobLogs",      SCOPE_READ,   REQ_NO_BODY, .work = files_logs},
    {"POST",   "/uploads",                "createUpload",    SCOPE_SUBMIT, REQ_UPLOAD,  .take = uploads_take_new},
    {"GET",    "/uploads/{id}",           "getUpload",       SCOPE_SUBMIT, REQ_NO_BODY, .work = uploads_get},
    {"PATCH",  "/uploads/{id}",           "appendUpload",    SCOPE_SUBMIT, REQ_UPLOAD,  .take = uploads_take_patch},
    {"DELETE", "/uploads/{id}",           "deleteUpload",    SCOPE_SUBMIT, REQ_NO_BODY, .work = uploads_delete},
    {"POST",   "/videos",                 "createVideo",     SCOPE_SUBMIT, REQ_UPLOAD,  .take = videos_take},
    {"GET",    "/videos",                 "listVideos",      SCOPE_READ,   REQ_NO_BODY, .work = videos_list},
    {"GET",    "/videos/{id}",            "getVideo",        SCOPE_READ,   REQ_NO_BODY, .work = videos_get},
    {"DELETE", "/videos/{id}",            "deleteVideo",     SCOPE_SUBMIT, REQ_NO_BODY, .work = videos_delete},
    {"GET",    "/videos/{id}/content",    "getVideoContent", SCOPE_READ,   REQ_NO_BODY, .work = videos_content},
    {"POST",   "/webhooks",               "createWebhook",   SCOPE_SUBMIT, REQ_SMALL_BODY, .work = webhooks_create},
    {"GET",    "/webhooks",               "listWebhooks",    SCOPE_READ,   REQ_NO_BODY, .work = webhooks_list},
    {"GET",    "/webhooks/{id}",          "getWebhook",      SCOPE_READ,   REQ_NO_BODY, .work = webhooks_get},
    {"DELETE", "/webhooks/{id}",          "deleteWebhook",   SCOPE_SUBMIT, REQ_NO_BODY, .work = webhooks_delete},
    {"GET",    "/webhooks/{id}/deliveries", "listDeliveries", SCOPE_READ,  REQ_NO_BODY, .work = webhooks_deliveries},
    {"POST",   "/webhooks/{id}/redeliver", "redeliver",      SCOPE_SUBMIT, REQ_SMALL_BODY, .work = webhooks_redeliver},
    {"GET",    "/queues",                 "listQueues",      SCOPE_ADMIN,  REQ_NO_BODY, .work = operator_queues},
    {"POST",   "/queues/{pool}/pause",    "pauseQueue",      SCOPE_ADMIN,  REQ_NO_BODY, .work = operator_pause},
    {"POST",   "/queues/{pool}/resume",   "resumeQueue",     SCOPE_ADMIN,  REQ_NO_BODY, .work = operator_resume},
    {"GET",    "/dead",                   "listDead",        SCOPE_ADMIN,  REQ_NO_BODY, .work = operator_dead},
    {"POST",   "/dead/redrive",           "redriveDead",     SCOPE_ADMIN,  REQ_SMALL_BODY, .work = operator_redrive},
    {"POST",   "/dead/purge",             "purgeDead",       SCOPE_ADMIN,  REQ_SMALL_BODY, .work = operator_purge_dead},
    {"POST",   "/jobs/{id}/purge",        "purgeJob",        SCOPE_ADMIN,  REQ_NO_BODY, .work = operator_purge_job},
    {"GET",    "/keys",                   "listKeys",        SCOPE_ADMIN,  REQ_NO_BODY, .work = key_routes_list},
    {"POST",   "/keys",                   "createKey",       SCOPE_ADMIN,  REQ_SMALL_BODY, .work = key_routes_create},
    {"GET",    "/keys/{id}",              "getKey",          SCOPE_ADMIN,  REQ_NO_BODY, .work = key_routes_get},
    {"PUT",    "/keys/{id}",              "changeKey",       SCOPE_ADMIN,  REQ_SMALL_BODY, .work = key_routes_change},
    {"POST",   "/keys/{id}/revoke",       "revokeKey",       SCOPE_ADMIN,  REQ_NO_BODY, .work = key_routes_revoke},
    {"POST",   "/keys/{id}/rotate",       "rotateKey",       SCOPE_ADMIN,  REQ_SMALL_BODY, .work = key_routes_rotate},
    {"GET",    "/capabilities",           "getCapabilities", SCOPE_READ | SCOPE_SUBMIT, REQ_NO_BODY, .work = meta_capabilities},
    {"GET",    "/openapi.json",           "getOpenapi",      0,            REQ_NO_BODY, .now = meta_openapi},
    {"GET",    "/docs",                   "getDocs",         0,            REQ_NO_BODY, .now = meta_docs},
    {"GET",    "/problems/{code}",        "getProblem",      0,            REQ_NO_BODY, .now = meta_problem},
};

static const struct route ops_routes[] = {
    {"GET",  "/livez",    "live",    0, REQ_NO_BODY, .now = ops_live},
    {"GET",  "/readyz",   "ready",   0, REQ_NO_BODY, .now = ops_ready},
    {"GET",  "/startupz", "startup", 0, REQ_NO_BODY, .now = ops_startup},
    {"GET",  "/metrics",  "metrics", 0, REQ_NO_BODY, .work = ops_metrics},
    {"GET",  "/scale",    "scale",   0, REQ_NO_BODY, .work = ops_scale},
    {"POST", "/drain",    "drain",   0, REQ_NO_BODY, .now = ops_drain},
};
/* clang-format on */

const struct route_table route_api = {api_routes, sizeof api_routes / sizeof *api_routes};
const struct route_table route_ops = {ops_routes, sizeof ops_routes / sizeof *ops_routes};

/* "/v1/jobs" and "/jobs" are the same; the ops paths have no versions, but then none of them starts with /v1. */
static const char *without_version(const char *path)
{
    return strncmp(path, "/v1/", 4) == 0 ? path + 3 : path;
}

/* A parameter longer than any name of ours becomes "", which names nothing. */
static void take_param(char out[REQ_PARAM_MAX + 1], const char *from, size_t size)
{
    if (size > REQ_PARAM_MAX)
        size = 0;
    memcpy(out, from, size);
    out[size] = 0;
}

static bool match(const char *template, const char *path, char params[2][REQ_PARAM_MAX + 1])
{
    int param = 0;

    while (*template && *path) {
        if (*template == '{') {
            size_t size = strcspn(path, "/");
            if (size == 0)
                return false;
            if (params)
                take_param(params[param], path, size);
            param++;
            path += size;
            template += strcspn(template, "}") + 1;
        } else if (*template ++ != *path++) {
            return false;
        }
    }
    return *template == 0 && *path == 0;
}

int route_methods(const struct route_table *t, const char *path, char allow[64])
{
    size_t used = 0;

    path = without_version(path);
    allow[0] = 0;
    for (int i = 0; i < t->count; i++) {
        const char *method = t->routes[i].method;
        if (match(t->routes[i].path, path, NULL))
            used += (size_t)snprintf(allow + used, 64 - used, "%s%s", strcmp(method, "GET") == 0 ? "GET, HEAD" : method,
                                     ", ");
    }
    if (used == 0)
        return -1;
    snprintf(allow + used, 64 - used, "OPTIONS");
    return 0;
}

int route_find(const struct route_table *t, const char *method, const char *path, const struct route **out,
               char params[2][REQ_PARAM_MAX + 1], char allow[64], struct err *e)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    allow[0] = 0;
    for (int i = 0; i < t->count; i++) {
        if (strcmp(t->routes[i].method, wanted) == 0 && match(t->routes[i].path, without_version(path), params)) {
            *out = &t->routes[i];
            return 0;
        }
    }
    if (route_methods(t, path, allow))
        return err_set(e, ERR_route_not_found, "there is nothing here");
    return err_set(e, ERR_method_not_allowed, "allowed here: %s", allow);
}
