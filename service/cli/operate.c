/* What operators do to a server: queues, dead letters. Keys are in key.c. */
#include "cli/operate.h"

#include "cli/commands.h"

#include "base/id.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = 1000 };

int operate_call(struct remote *r, const char *method, const char *path, json_t *take_body, json_t **out, struct err *e)
{
    struct http_request q;
    char url[1024], *text = take_body ? json_text(take_body, false) : NULL;
    const char *headers[] = {"Content-Type: application/json", r->headers[0], NULL};
    remote_prepare(r, &q, url, method, "%s", path);
    if (text) {
        q.headers = headers;
        q.body = text;
        q.body_size = strlen(text);
    }
    int failed = remote_call(r, &q, out, e);
    free(text);
    json_decref(take_body);
    return failed;
}

int operate_path(char out[512], const char *before, const char *name, const char *after, struct err *e)
{
    char escaped[300];
    if (http_escape(escaped, sizeof escaped, name, false) != 0)
        return err_set(e, ERR_params_invalid, "\"%.60s\" is too long a name", name);
    snprintf(out, 512, "%s%s%s", before, escaped, after);
    return 0;
}

int operate_run(const struct cli_usage *usage, int argc, char **argv, const struct operate_verb *verbs, int verb_count,
                void *user)
{
    struct cli_args a;
    struct remote r;
    struct err e = {0};
    const struct operate_verb *verb = NULL;
    int status = cli_args(&a, usage, argc, argv);
    if (status >= 0) {
        cli_args_free(&a);
        return status;
    }
    for (int i = 0; i < verb_count; i++)
        if (strcmp(a.rest_count ? a.rest[0] : verbs[0].name, verbs[i].name) == 0)
            verb = &verbs[i];
    int names = a.rest_count > 0 ? a.rest_count - 1 : 0;
    if (!verb || names < verb->min_names || names > verb->max_names) {
        fprintf(stderr, "longanim %s: see longanim %s --help\n", usage->name, usage->name);
        status = CLI_USAGE;
    } else if (remote_open(&r, &a.config, &e) != 0) {
        cli_complain(&e);
        status = CLI_USAGE;
    } else {
        status = CLI_DONE;
        if (verb->run(&r, a.rest + 1, names, user, &e) != 0) {
            cli_complain(&e);
            status = remote_exit_of_question(&e);
        }
        remote_close(&r);
    }
    cli_args_free(&a);
    return status;
}

/* ---- queue ---- */

static void print_pool(const json_t *pool)
{
    const char *name = "";
    bool paused = false;
    int64_t queued = 0, waiting = 0, running = 0, failed = 0;
    json_opt_str(pool, "pool", &name, NULL);
    json_opt_bool(pool, "paused", &paused, NULL);
    json_opt_int(pool, "queued", &queued, NULL);
    json_opt_int(pool, "waiting", &waiting, NULL);
    json_opt_int(pool, "running", &running, NULL);
    json_opt_int(pool, "failed", &failed, NULL);
    printf("%-24s %-7s %lld queued, %lld waiting, %lld running, %lld failed so far\n", name, paused ? "paused" : "open",
           (long long)queued, (long long)waiting, (long long)running, (long long)failed);
}

static int queue_list_pools(struct remote *r, char **names, int count, void *user, struct err *e)
{
    json_t *answer = NULL, *pool;
    size_t i;
    (void)names, (void)count, (void)user;
    if (operate_call(r, "GET", "/queues", NULL, &answer, e) != 0)
        return -1;
    json_array_foreach(json_object_get(answer, "data"), i, pool) print_pool(pool);
    json_decref(answer);
    return 0;
}

static int set_paused(struct remote *r, char **names, int count, const char *verb, struct err *e)
{
    for (int i = 0; i < count; i++) {
        char path[512];
        json_t *pool = NULL;
        if (operate_path(path, "/queues/", names[i], verb, e) != 0 ||
            operate_call(r, "POST", path, NULL, &pool, e) != 0)
            return -1;
        print_pool(pool);
        json_decref(pool);
    }
    return 0;
}

static int queue_pause_pools(struct remote *r, char **names, int count, void *user, struct err *e)
{
    (void)user;
    return set_paused(r, names, count, "/pause", e);
}

static int queue_resume_pools(struct remote *r, char **names, int count, void *user, struct err *e)
{
    (void)user;
    return set_paused(r, names, count, "/resume", e);
}

int cli_queue(int argc, char **argv)
{
    static const struct operate_verb verbs[] = {{"list", 0, 0, queue_list_pools},
                                                {"pause", 1, IDS_MAX, queue_pause_pools},
                                                {"resume", 1, IDS_MAX, queue_resume_pools}};
    const struct cli_usage usage = {.name = "queue",
                                    .positional = "[list | pause POOL… | resume POOL…]",
                                    .text = "Shows a server's pools, holds their jobs back, or gives them out again. "
                                            "Needs a key with the scope admin.",
                                    .config = CONFIG_REMOTE,
                                    .max_rest = IDS_MAX};
    return operate_run(&usage, argc, argv, verbs, sizeof verbs / sizeof *verbs, NULL);
}

/* ---- dead ---- */

struct dead {
    const char *code;
    bool all, json;
    int64_t limit;
};

static int dead_list(struct remote *r, char **names, int count, void *user, struct err *e)
{
    const struct dead *d = user;
    char path[512], escaped[300];
    int64_t left = d->limit;
    snprintf(path, sizeof path, "/dead?limit=100");
    (void)names, (void)count;
    while (left > 0) {
        json_t *page = NULL, *job;
        size_t i;
        if (operate_call(r, "GET", path, NULL, &page, e) != 0)
            return -1;
        json_array_foreach(json_object_get(page, "data"), i, job)
        {
            const json_t *why = json_object_get(job, "error");
            const char *id = "", *key = "", *code = "", *detail = "";
            json_opt_str(job, "id", &id, NULL);
            json_opt_str(job, "key", &key, NULL);
            json_opt_str(why, "code", &code, NULL);
            json_opt_str(why, "detail", &detail, NULL);
            if ((d->code && strcmp(d->code, code) != 0) || left-- <= 0)
                continue;
            if (d->json)
                cli_print_json(json_incref(job));
            else
                printf("%-30s %-16s %-20s %s\n", id, key, code, detail);
        }
        const char *next = json_string_value(json_object_get(page, "next"));
        bool more = next && http_escape(escaped, sizeof escaped, next, false) == 0;
        if (more)
            snprintf(path, sizeof path, "/dead?limit=100&after=%s", escaped);
        json_decref(page);
        if (!more)
            break;
    }
    return 0;
}

/* Prints what was done; jobs that were refused make the command fail. */
static int for_dead(struct remote *r, char **names, int count, const struct dead *d, const char *path, const char *done,
                    struct err *e)
{
    json_t *body = json_object(), *answer = NULL, *item;
    size_t i, refused;
    if (count == 0 && !d->all && !d->code) {
        json_decref(body);
        return err_set(e, ERR_params_invalid, "name jobs, or give --code or --all");
    }
    if (count > 0) {
        json_t *ids = json_array();
        for (int n = 0; n < count; n++)
            json_array_append_new(ids, json_safe_string(names[n]));
        json_put(body, "ids", ids);
    } else {
        if (d->code)
            json_put_str(body, "code", d->code);
        json_put_int(body, "limit", d->limit);
    }
    if (operate_call(r, "POST", path, body, &answer, e) != 0)
        return -1;
    json_array_foreach(json_object_get(answer, done), i, item) printf("%s %s\n", json_string_value(item), done);
    refused = json_array_size(json_object_get(answer, "refused"));
    json_array_foreach(json_object_get(answer, "refused"), i, item)
    {
        const char *id = "", *code = "";
        json_opt_str(item, "id", &id, NULL);
        json_opt_str(item, "code", &code, NULL);
        printf("%s %s\n", id, code);
    }
    json_decref(answer);
    return refused ? err_set(e, ERR_job_not_failed, "%zu jobs were refused", refused) : 0;
}

static int dead_redrive(struct remote *r, char **names, int count, void *user, struct err *e)
{
    return for_dead(r, names, count, user, "/dead/redrive", "redriven", e);
}

static int dead_purge(struct remote *r, char **names, int count, void *user, struct err *e)
{
    return for_dead(r, names, count, user, "/dead/purge", "purged", e);
}

int cli_dead(int argc, char **argv)
{
    static const struct operate_verb verbs[] = {
        {"list", 0, 0, dead_list}, {"redrive", 0, IDS_MAX, dead_redrive}, {"purge", 0, IDS_MAX, dead_purge}};
    struct dead d = {.limit = 100};
    const struct cli_option options[] = {
        {"--code", 0, CLI_TEXT, &d.code, "CODE", "those that failed with this error"},
        {"--all", 0, CLI_SWITCH, &d.all, NULL, "whatever their error"},
        {"--limit", 'n', CLI_INT, &d.limit, "N", "at most so many, the oldest (100; 1000 at most)"},
        {"--json", 0, CLI_SWITCH, &d.json, NULL, "list: a JSON object a line"},
    };
    const struct cli_usage usage = {.name = "dead",
                                    .positional = "[list | redrive [ID…] | purge [ID…]]",
                                    .text =
                                        "Lists jobs of every key that failed for good, queues them again where they "
                                        "had come to, or deletes them. Needs a key with the scope admin.",
                                    .options = options,
                                    .option_count = sizeof options / sizeof options[0],
                                    .config = CONFIG_REMOTE,
                                    .max_rest = IDS_MAX + 1};
    return operate_run(&usage, argc, argv, verbs, sizeof verbs / sizeof *verbs, &d);
}
