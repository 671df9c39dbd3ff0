/* `longanim audit`: is everything where it should be? Asks Redis and the store themselves, not the API. */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "ledger/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS_MAX = 100000 };

struct audit {
    struct ledger ledger;
    int64_t age_ms;
    bool repair, json;
    json_t *findings; /* of the first look: objects as they are printed */
    int untold;       /* more than are kept */
};

/* ---- looking ---- */

static json_t *finding_json(const struct ledger_finding *f)
{
    json_t *o = json_object();
    json_put_str(o, "kind", ledger_finding_name(f->kind));
    json_put_int(o, "number", f->kind);
    json_put_str(o, "job", f->job[0] ? f->job : NULL);
    json_put_str(o, "key", f->key[0] ? f->key : NULL);
    json_put(o, "detail", json_safe_string(f->detail));
    return o;
}

static void keep(void *user, const struct ledger_finding *f)
{
    struct audit *a = user;
    if (json_array_size(a->findings) < FINDINGS_MAX)
        json_array_append_new(a->findings, finding_json(f));
    else
        a->untold++;
}

/* The second look only asks whether a finding is still there. */
static void still_there(void *user, const struct ledger_finding *f)
{
    json_t *now = finding_json(f);
    char *text = json_text(now, true);
    json_put_bool(user, text, true);
    free(text);
    json_decref(now);
}

/* ---- repairing ---- */

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

/* One finding; counters are all put right by the first of them. */
static int repair_one(const struct audit *a, const json_t *o, bool *recounted, struct err *e)
{
    struct ledger_finding f = {(enum ledger_finding_kind)json_integer_value(json_object_get(o, "number")),
                               text_of(o, "job"), text_of(o, "key"), text_of(o, "detail")};
    if (!ledger_finding_repairable(f.kind) || (f.kind == LEDGER_FINDING_counter && *recounted))
        return 0;
    *recounted |= f.kind == LEDGER_FINDING_counter;
    return ledger_repair(&a->ledger, &f, e);
}

static void repair(const struct audit *a)
{
    json_t *o;
    size_t i;
    bool recounted = false;
    json_array_foreach(a->findings, i, o)
    {
        struct err e = {0};
        if (repair_one(a, o, &recounted, &e) != 0)
            log_err(LOG_WARN, "audit.not_repaired", text_of(o, "job"), &e);
    }
}

/* Says in each finding of the first look whether it is gone. */
static int look_again(struct audit *a, struct err *e)
{
    struct ledger_audited again;
    json_t *left = json_object(), *o;
    size_t i;
    int result = ledger_audit(&a->ledger, a->age_ms, still_there, left, &again, e);
    json_array_foreach(a->findings, i, o)
    {
        char *text = json_text(o, true);
        json_put_bool(o, "repaired", result == 0 && !json_object_get(left, text));
        free(text);
    }
    json_decref(left);
    return result;
}

/* ---- saying ---- */

static int count_left(const struct audit *a)
{
    json_t *o;
    size_t i;
    int left = a->untold;
    json_array_foreach(a->findings, i, o) left += !json_is_true(json_object_get(o, "repaired"));
    return left;
}

static void say(const struct audit *a, const struct ledger_audited *found)
{
    json_t *o;
    size_t i;
    json_array_foreach(a->findings, i, o)
    {
        const char *job = text_of(o, "job"), *key = text_of(o, "key");
        json_object_del(o, "number");
        if (!a->json)
            printf("%s%s: %s%s%s%s%s\n", text_of(o, "kind"),
                   json_is_true(json_object_get(o, "repaired")) ? " (repaired)" : "", job, job[0] ? " " : "", key,
                   key[0] ? " " : "", text_of(o, "detail"));
    }
    if (!a->json) {
        printf("%d jobs, %d folders with %d objects: %d findings, %d left\n", found->jobs, found->folders,
               found->objects, found->findings, count_left(a));
        return;
    }
    json_t *all = json_object();
    json_put_bool(all, "clean", count_left(a) == 0);
    json_put_int(all, "jobs", found->jobs);
    json_put_int(all, "folders", found->folders);
    json_put_int(all, "objects", found->objects);
    json_put_int(all, "left", count_left(a));
    json_put(all, "findings", json_incref(a->findings));
    cli_print_json(all);
}

/* ---- the command ---- */

static int audit(struct audit *a, struct err *e)
{
    struct ledger_audited found;
    int temporaries;
    if (queue_ping(a->ledger.queue, e) != 0 || ledger_audit(&a->ledger, a->age_ms, keep, a, &found, e) != 0)
        return -1;
    if (a->repair) {
        repair(a);
        if (store_sweep(a->ledger.store, a->age_ms, &temporaries, e) != 0 || look_again(a, e) != 0)
            return -1;
    }
    say(a, &found);
    return 0;
}

/* Where Redis and the store are: as set, or those of `longanim serve --data`. */
static int addresses(const struct config *c, char redis[FS_PATH_MAX], char store[FS_PATH_MAX], struct err *e)
{
    if (!c->data[0] && (!c->redis[0] || !c->store[0]))
        return err_set(e, ERR_params_invalid, "give --data, or --redis and --store");
    char *folder = c->data[0] ? realpath(c->data, NULL) : NULL;
    if (c->data[0] && !folder)
        return err_set(e, ERR_params_invalid, "there is no folder %s", c->data);
    int n = c->redis[0] ? snprintf(redis, FS_PATH_MAX, "%s", c->redis)
                        : snprintf(redis, FS_PATH_MAX, "unix:%s/redis.sock", folder);
    int m = c->store[0] ? snprintf(store, FS_PATH_MAX, "%s", c->store)
                        : snprintf(store, FS_PATH_MAX, "file:%s/store", folder);
    free(folder);
    return n < FS_PATH_MAX && m < FS_PATH_MAX ? 0 : err_set(e, ERR_params_invalid, "an address is too long");
}

static int run(const struct config *c, struct audit *a)
{
    char redis[FS_PATH_MAX], store[FS_PATH_MAX];
    struct err e = {0};
    int status = CLI_FAILED;
    struct config resolved = *c;
    resolved.redis = redis;
    a->findings = json_array();
    a->ledger = ledger_over(NULL, NULL);
    if (addresses(c, redis, store, &e) != 0 || queue_open(&a->ledger.queue, &resolved, &e) != 0 ||
        store_open(&a->ledger.store, store, &e) != 0) {
        status = CLI_USAGE;
    } else if (audit(a, &e) == 0) {
        status = count_left(a) == 0 ? CLI_DONE : CLI_FAILED;
    }
    if (e.code != ERR_none)
        cli_complain(&e);
    if (a->ledger.store)
        store_close(a->ledger.store);
    queue_free(a->ledger.queue);
    json_decref(a->findings);
    return status;
}

int cli_audit(int argc, char **argv)
{
    struct audit a = {0};
    int64_t age_s = -1;
    struct cli_args args;
    const struct cli_option options[] = {
        {"--repair", 0, CLI_SWITCH, &a.repair, "", "put right what can be"},
        {"--json", 0, CLI_SWITCH, &a.json, "", "one JSON object instead of lines"},
        {"--age", 0, CLI_INT, &age_s, "SECONDS",
         "leave alone what is younger; as LONGANIM_SWEEP_AGE_MS when not given"},
    };
    const struct cli_usage usage = {
        .name = "audit",
        .positional = "",
        .text = "Holds Redis, the manifests and the objects of the store against each other and says what does not\n"
                "fit. Exit status: 0 all is well (or was made so), 1 something is left.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_AUDIT,
    };
    int status = cli_args(&args, &usage, argc, argv);
    if (status < 0) {
        a.age_ms = age_s >= 0 ? age_s * 1000 : args.config.sweep_age_ms;
        status = run(&args.config, &a);
    }
    cli_args_free(&args);
    return status;
}
