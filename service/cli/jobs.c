/* The short commands about jobs: status, cancel, list. */
#include "cli/commands.h"
#include "cli/remote.h"

#include "base/id.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = 1000 };

static void print_pretty(const json_t *o)
{
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (!text)
        abort();
    puts(text);
    free(text);
}

/* Opens the server and calls `each` for every argument; the worst status wins. */
static int for_each(const struct cli_usage *usage, int argc, char **argv,
                    int (*each)(struct remote *r, const char *id, struct err *e))
{
    struct cli_args a;
    struct remote r;
    struct err e = {0};
    int status = cli_args(&a, usage, argc, argv);
    if (status < 0 && remote_open(&r, &a.config, &e) != 0) {
        cli_complain(&e);
        status = CLI_USAGE;
    } else if (status < 0) {
        status = CLI_DONE;
        for (int i = 0; i < a.rest_count; i++) {
            struct err why = {0};
            if (each(&r, a.rest[i], &why) == 0)
                continue;
            cli_complain(&why);
            status = remote_exit_of(&why);
        }
        remote_close(&r);
    }
    cli_args_free(&a);
    return status;
}

static int status_one(struct remote *r, const char *id, struct err *e)
{
    json_t *job = NULL;
    if (remote_job(r, id, &job, e) != 0)
        return -1;
    print_pretty(job);
    json_decref(job);
    return 0;
}

int cli_status(int argc, char **argv)
{
    const struct cli_usage usage = {.name = "status",
                                    .positional = "ID…",
                                    .text = "Prints jobs as JSON.",
                                    .config = CONFIG_REMOTE,
                                    .min_rest = 1,
                                    .max_rest = IDS_MAX};
    return for_each(&usage, argc, argv, status_one);
}

static int cancel_one(struct remote *r, const char *id, struct err *e)
{
    struct http_request q;
    char url[1024];
    json_t *job = NULL;
    const char *state = "canceled";
    if (!id_is_job(id))
        return err_set(e, ERR_job_not_found, "\"%.60s\" is not a job's id", id);
    remote_prepare(r, &q, url, "POST", "/jobs/%s/cancel", id);
    if (remote_call(r, &q, &job, e) != 0)
        return -1;
    json_opt_str(job, "state", &state, NULL);
    printf("%s %s\n", id, strcmp(state, "running") == 0 ? "canceling" : state);
    json_decref(job);
    return 0;
}

int cli_cancel(int argc, char **argv)
{
    const struct cli_usage usage = {.name = "cancel",
                                    .positional = "ID…",
                                    .text = "Cancels jobs, waiting or running. A job that has ended stays as it is.",
                                    .config = CONFIG_REMOTE,
                                    .min_rest = 1,
                                    .max_rest = IDS_MAX};
    return for_each(&usage, argc, argv, cancel_one);
}

static int retry_one(struct remote *r, const char *id, struct err *e)
{
    struct http_request q;
    char url[1024];
    json_t *job = NULL;
    const char *state = "queued";
    if (!id_is_job(id))
        return err_set(e, ERR_job_not_found, "\"%.60s\" is not a job's id", id);
    remote_prepare(r, &q, url, "POST", "/jobs/%s/retry", id);
    if (remote_call(r, &q, &job, e) != 0)
        return -1;
    json_opt_str(job, "state", &state, NULL);
    printf("%s %s\n", id, state);
    json_decref(job);
    return 0;
}

int cli_retry(int argc, char **argv)
{
    const struct cli_usage usage = {.name = "retry",
                                    .positional = "ID…",
                                    .text =
                                        "Queues failed jobs again; they go on at the segment that they had reached. "
                                        "Needs a key with the scope admin.",
                                    .config = CONFIG_REMOTE,
                                    .min_rest = 1,
                                    .max_rest = IDS_MAX};
    return for_each(&usage, argc, argv, retry_one);
}

/* ---- list ---- */

struct list {
    const char *state, *tag;
    int64_t limit;
    bool json;
};

static void print_row(const json_t *job)
{
    struct cli_state s;
    const char *id = "", *created = "";
    remote_state(job, &s);
    json_opt_str(job, "id", &id, NULL);
    json_opt_str(job, "created_at", &created, NULL);
    printf("%-30s %-9s %3d%% %s\n", id, s.state, (int)(s.fraction * 100), created);
}

static int list_pages(const struct list *l, struct remote *r, struct err *e)
{
    char url[1024], after[128] = "", state[80] = "", tag[320] = "", escaped[300];
    int64_t left = l->limit;
    if (l->state && http_escape(escaped, sizeof escaped, l->state, false) == 0)
        snprintf(state, sizeof state, "&state=%.60s", escaped);
    if (l->tag && http_escape(escaped, sizeof escaped, l->tag, false) == 0)
        snprintf(tag, sizeof tag, "&tag=%s", escaped);
    while (left > 0) {
        struct http_request q;
        json_t *page = NULL, *job;
        size_t i;
        int64_t ask = left < 100 ? left : 100;
        remote_prepare(r, &q, url, "GET", "/jobs?limit=%lld%s%s%s", (long long)ask, state, tag, after);
        if (remote_call(r, &q, &page, e) != 0)
            return -1;
        json_array_foreach(json_object_get(page, "data"), i, job) if (l->json) cli_print_json(json_incref(job));
        else print_row(job);
        left -= (int64_t)json_array_size(json_object_get(page, "data"));
        const char *next = json_string_value(json_object_get(page, "next"));
        bool more = next && i > 0 && http_escape(escaped, sizeof escaped, next, false) == 0;
        snprintf(after, sizeof after, "&after=%.100s", more ? escaped : "");
        json_decref(page);
        if (!more)
            break;
    }
    return 0;
}

int cli_list(int argc, char **argv)
{
    struct list l = {.limit = 20};
    struct cli_args a;
    struct remote r;
    struct err e = {0};
    const struct cli_option options[] = {
        {"--state", 0, CLI_TEXT, &l.state, "STATE", "queued, waiting, running, succeeded, failed, canceled or expired"},
        {"--tag", 0, CLI_TEXT, &l.tag, "KEY:VALUE", "jobs with this tag"},
        {"--limit", 'n', CLI_INT, &l.limit, "N", "at most so many (20)"},
        {"--json", 0, CLI_SWITCH, &l.json, NULL, "a JSON object a line"},
    };
    const struct cli_usage usage = {.name = "list",
                                    .positional = "",
                                    .text = "Lists jobs, newest first.",
                                    .options = options,
                                    .option_count = sizeof options / sizeof options[0],
                                    .config = CONFIG_REMOTE};
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0 && remote_open(&r, &a.config, &e) != 0) {
        cli_complain(&e);
        status = CLI_USAGE;
    } else if (status < 0) {
        status = list_pages(&l, &r, &e) == 0 ? CLI_DONE : remote_exit_of_question(&e);
        if (status != CLI_DONE)
            cli_complain(&e);
        remote_close(&r);
    }
    cli_args_free(&a);
    return status;
}
