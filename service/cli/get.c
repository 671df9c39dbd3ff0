#include "cli/commands.h"
#include "cli/remote.h"

#include "base/hash.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 8 };

struct get {
    const char *out;
    struct cli_progress progress;
};

static const struct {
    const char *type, *extension;
} extensions[] = {{"video/mp4", "mp4"}, {"video/quicktime", "mov"}, {"video/webm", "webm"}, {"application/zip", "zip"}};

static int on_download(void *user, int64_t sent, int64_t to_send, int64_t received, int64_t to_receive)
{
    struct get *g = user;
    (void)sent;
    (void)to_send;
    cli_progress_bytes(&g->progress, "receiving", received, to_receive);
    return cli_interrupted();
}

static int download(struct get *g, struct remote *r, const char *id, const char *path, struct err *e)
{
    struct http_request q;
    struct http_response response;
    struct buf problem;
    char url[1024];
    buf_init(&problem, 64 << 10);
    remote_prepare(r, &q, url, "GET", "/jobs/%s/result", id);
    q.on_progress = on_download;
    q.user = g;
    int failed = http_download(r->http, &q, path, TRIES, &response, &problem, e);
    if (!failed && response.status >= 300) {
        remote_problem(response.status, &problem, e);
        failed = -1;
    }
    buf_free(&problem);
    return failed;
}

static int result_of(const json_t *job, const char **sha256, const char **type, struct err *e)
{
    const json_t *result = json_object_get(job, "result");
    if (!json_is_object(result)) {
        const char *state = "unknown";
        json_opt_str(job, "state", &state, NULL);
        return err_set(e, ERR_result_not_ready, "the job is %s and has no result", state);
    }
    return json_need_str(result, "sha256", sha256, e) != 0 || json_need_str(result, "content_type", type, e) != 0 ? -1
                                                                                                                  : 0;
}

static int fetch(struct get *g, struct remote *r, const char *id, struct err *e)
{
    json_t *job = NULL;
    const char *wanted = "", *type = "", *path = g->out;
    char found[HASH_HEX_SIZE], name[80];
    int64_t bytes = 0;
    int failed = remote_job(r, id, &job, e) != 0 || result_of(job, &wanted, &type, e) != 0;
    if (!failed && !path) {
        const char *extension = "bin";
        for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++)
            if (strcmp(type, extensions[i].type) == 0)
                extension = extensions[i].extension;
        snprintf(name, sizeof name, "%s.%s", id, extension);
        path = name;
    }
    failed = failed || download(g, r, id, path, e) != 0 || hash_file(path, found, &bytes, e) != 0;
    cli_progress_clear(&g->progress);
    if (!failed && strcmp(found, wanted) != 0) {
        unlink(path);
        failed = err_set(e, ERR_internal, "what arrived is not the result: its SHA-256 is %s, not %s", found, wanted);
    }
    if (!failed)
        printf("%s\n", path);
    json_decref(job);
    return failed ? -1 : 0;
}

int cli_get(int argc, char **argv)
{
    struct get g = {0};
    struct cli_args a;
    struct remote r;
    struct err e = {0};
    const struct cli_option options[] = {
        {"--out", 'o', CLI_TEXT, &g.out, "FILE", "where to; ID and the format's ending when not given"},
    };
    const struct cli_usage usage = {
        .name = "get",
        .positional = "ID",
        .text = "Saves a job's result and checks its SHA-256. An interrupted download goes on where it stopped.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_TOOL,
        .min_rest = 1,
        .max_rest = 1,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0 && remote_open(&r, &a.config, &e) != 0) {
        cli_complain(&e);
        status = CLI_USAGE;
    } else if (status < 0) {
        cli_catch_interrupts();
        cli_progress_init(&g.progress);
        status = fetch(&g, &r, a.rest[0], &e) == 0 ? CLI_DONE : remote_exit_of(&e);
        if (status != CLI_DONE && status != CLI_INTERRUPTED)
            cli_complain(&e);
        remote_close(&r);
    }
    cli_args_free(&a, &usage);
    return status;
}
