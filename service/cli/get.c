#include "cli/commands.h"
#include "cli/remote.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 8, ITEMS_MAX = 32 };

struct get {
    const char *out; /* NULL = here */
    bool all, list;
    bool into; /* `out` is a folder */
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

/* Something of a job that can be had. */
struct item {
    char name[80]; /* what people call it */
    char file[96]; /* what it is called when nobody says */
    char path[96]; /* below /jobs/{id}/ */
    char sha256[HASH_HEX_SIZE];
    int64_t bytes; /* -1 = not told before */
};
struct items {
    struct item list[ITEMS_MAX];
    int count;
};

static struct item *add(struct items *all, const char *name, const char *sha256, int64_t bytes)
{
    struct item *i = &all->list[all->count++];
    *i = (struct item){.bytes = bytes};
    snprintf(i->name, sizeof i->name, "%.64s", name);
    snprintf(i->sha256, sizeof i->sha256, "%s", sha256);
    return i;
}

/* ---- what there is ---- */

static int add_result(struct items *all, const char *id, const json_t *job, struct err *e)
{
    const json_t *result = json_object_get(job, "result");
    const char *sha256 = "", *type = "", *extension = "bin", *state = "unknown";
    int64_t bytes = -1;
    if (!json_is_object(result)) {
        json_opt_str(job, "state", &state, NULL);
        return err_set(e, ERR_result_not_ready, "the job is %s and has no result", state);
    }
    if (json_need_str(result, "sha256", &sha256, e) != 0 || json_need_str(result, "content_type", &type, e) != 0 ||
        json_need_int(result, "bytes", &bytes, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++)
        if (strcmp(type, extensions[i].type) == 0)
            extension = extensions[i].extension;
    struct item *item = add(all, "result", sha256, bytes);
    snprintf(item->file, sizeof item->file, "%.31s.%s", id, extension);
    snprintf(item->path, sizeof item->path, "result");
    return 0;
}

static void add_beside(struct items *all, const char *id, const char *name, const char *sha256, int64_t bytes,
                       const char *path)
{
    struct item *item = add(all, name, sha256, bytes);
    snprintf(item->file, sizeof item->file, "%.30s-%.64s", id, name);
    snprintf(item->path, sizeof item->path, "%s", path);
}

/* Names become file names, so only those that are plain ones are taken. */
static int add_artifacts(struct items *all, const char *id, const json_t *list, struct err *e)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(list, "data"), i, one)
    {
        const char *name, *sha256;
        int64_t bytes;
        char path[96];
        if (json_need_str(one, "name", &name, e) != 0 || json_need_str(one, "sha256", &sha256, e) != 0 ||
            json_need_int(one, "bytes", &bytes, e) != 0)
            return -1;
        if (name[0] == '.' || strlen(name) > 64 || name[strspn(name, plain)] || all->count == ITEMS_MAX)
            return err_set(e, ERR_internal, "the server names a file that cannot be taken: %.64s", name);
        snprintf(path, sizeof path, "artifacts/%s", name);
        add_beside(all, id, name, sha256, bytes, path);
    }
    return 0;
}

static int find_items(struct remote *r, const char *id, bool all_of_them, struct items *out, struct err *e)
{
    struct http_request q;
    json_t *job = NULL, *list = NULL;
    char url[1024];
    int failed = remote_job(r, id, &job, e) != 0 || add_result(out, id, job, e) != 0;
    if (!failed && all_of_them) {
        add_beside(out, id, "preview.jpg", "", -1, "preview");
        add_beside(out, id, "receipt.json", "", -1, "receipt");
        remote_prepare(r, &q, url, "GET", "/jobs/%s/artifacts", id);
        failed = remote_call(r, &q, &list, e) != 0 || add_artifacts(out, id, list, e) != 0;
    }
    json_decref(list);
    json_decref(job);
    return failed ? -1 : 0;
}

/* Keeps the wanted ones, in the order of the wishes. */
static int choose(struct items *all, char **names, int count, struct err *e)
{
    struct items chosen = {.count = 0};
    for (int n = 0; n < count; n++) {
        const struct item *found = NULL;
        for (int i = 0; i < all->count; i++)
            if (strcmp(all->list[i].name, names[n]) == 0)
                found = &all->list[i];
        if (!found || chosen.count == ITEMS_MAX)
            return err_set(e, ERR_artifact_not_found, "the job has no file \"%.64s\"; --list shows what it has",
                           names[n]);
        chosen.list[chosen.count++] = *found;
    }
    *all = chosen;
    return 0;
}

/* ---- having it ---- */

static int download(struct get *g, struct remote *r, const char *id, const char *what, const char *path, struct err *e)
{
    struct http_request q;
    struct http_response response;
    struct buf problem;
    char url[1024];
    buf_init(&problem, 64 << 10);
    remote_prepare(r, &q, url, "GET", "/jobs/%s/%s", id, what);
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

/* Where an item goes: the file that was named, or into the folder that was. */
static int place(const struct get *g, const struct item *i, char path[FS_PATH_MAX], struct err *e)
{
    if (g->out && !g->into)
        return snprintf(path, FS_PATH_MAX, "%s", g->out) < FS_PATH_MAX ? 0
                                                                       : err_set(e, ERR_internal, "--out is too long");
    return fs_join(path, g->out ? g->out : ".", i->file, e);
}

static int fetch(struct get *g, struct remote *r, const char *id, const struct item *i, struct err *e)
{
    char path[FS_PATH_MAX], found[HASH_HEX_SIZE];
    int64_t bytes = 0;
    if (place(g, i, path, e) != 0)
        return -1;
    int failed = download(g, r, id, i->path, path, e) != 0 || hash_file(path, found, &bytes, e) != 0;
    cli_progress_clear(&g->progress);
    if (!failed && i->sha256[0] && strcmp(found, i->sha256) != 0) {
        unlink(path);
        failed =
            err_set(e, ERR_internal, "what arrived is not %s: its SHA-256 is %s, not %s", i->name, found, i->sha256);
    }
    if (!failed)
        printf("%s\n", g->out && !g->into ? g->out : strncmp(path, "./", 2) == 0 ? path + 2 : path);
    return failed ? -1 : 0;
}

static void show(const struct items *all)
{
    for (int i = 0; i < all->count; i++)
        if (all->list[i].bytes >= 0)
            printf("%-16s %12lld  %s\n", all->list[i].name, (long long)all->list[i].bytes, all->list[i].sha256);
        else
            printf("%-16s %12s  -\n", all->list[i].name, "-");
}

/* A folder when several things go there, or when it is one. */
static int prepare_out(struct get *g, int count, struct err *e)
{
    struct stat st;
    size_t length = g->out ? strlen(g->out) : 0;
    if (!length)
        return 0;
    g->into = count > 1 || g->out[length - 1] == '/' || (stat(g->out, &st) == 0 && S_ISDIR(st.st_mode));
    return g->into ? fs_mkdirs(g->out, e) : 0;
}

static int get(struct get *g, struct remote *r, const char *id, char **names, int count, struct err *e)
{
    struct items *items = calloc(1, sizeof *items);
    if (!items)
        abort();
    int failed = find_items(r, id, count > 0 || g->all || g->list, items, e);
    if (!failed && count > 0)
        failed = choose(items, names, count, e);
    if (!failed && g->list)
        show(items);
    if (!failed && !g->list)
        failed = prepare_out(g, items->count, e);
    for (int i = 0; i < items->count && !failed && !g->list; i++)
        failed = fetch(g, r, id, &items->list[i], e);
    free(items);
    return failed;
}

int cli_get(int argc, char **argv)
{
    struct get g = {0};
    struct cli_args a;
    struct remote r;
    struct err e = {0};
    const struct cli_option options[] = {
        {"--out", 'o', CLI_TEXT, &g.out, "FILE",
         "where to; a folder takes files under names of their own (default: here)"},
        {"--all", 0, CLI_SWITCH, &g.all, NULL, "the result, preview, receipt and everything beside them"},
        {"--list", 0, CLI_SWITCH, &g.list, NULL, "only show what there is: name, bytes, SHA-256"},
    };
    const struct cli_usage usage = {
        .name = "get",
        .positional = "ID [NAME…]",
        .text = "Saves a job's result, or what lies beside it by name (result, preview.jpg, receipt.json, "
                "palette.json, line.zip, …),\n"
                "and checks each SHA-256. An interrupted download goes on where it stopped.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_REMOTE,
        .min_rest = 1,
        .max_rest = 1 + ITEMS_MAX,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0 && remote_open(&r, &a.config, &e) != 0) {
        cli_complain(&e);
        status = CLI_USAGE;
    } else if (status < 0) {
        cli_catch_interrupts();
        cli_progress_init(&g.progress);
        status = get(&g, &r, a.rest[0], a.rest + 1, a.rest_count - 1, &e) == 0 ? CLI_DONE : remote_exit_of(&e);
        if (status != CLI_DONE && status != CLI_INTERRUPTED)
            cli_complain(&e);
        remote_close(&r);
    }
    cli_args_free(&a);
    return status;
}
