#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/operate.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct key {
    const char *scopes, *id, *expires;
    int64_t overlap_s;
};

enum { KEYS_MAX = 100 };

static int check(const struct key *k, struct err *e)
{
    static const char *const known[] = {"submit", "read", "admin"};
    int64_t when;
    for (const char *s = k->scopes; *s;) {
        size_t size = strcspn(s, ",");
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= strlen(known[i]) == size && memcmp(known[i], s, size) == 0;
        if (!found)
            return err_set(e, ERR_params_invalid, "the scope \"%.*s\" is not submit, read or admin", (int)size, s);
        s += size + (s[size] == ',');
    }
    for (const char *c = k->id ? k->id : ""; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            return err_set(e, ERR_params_invalid, "an id has letters, digits, '-' and '_' only");
    if (!k->scopes[0] || (k->id && (!k->id[0] || strlen(k->id) > 40)))
        return err_set(e, ERR_params_invalid, "an id has 1 to 40 characters, and there is at least one scope");
    if (k->expires && clock_parse(k->expires, &when) != 0)
        return err_set(e, ERR_params_invalid, "--expires is a time like 2027-01-31T00:00:00Z");
    return 0;
}

static int make(const struct key *k)
{
    char random[65], id[48], secret[160], sha256[HASH_HEX_SIZE];
    struct err e = {0};
    if (check(k, &e) != 0) {
        cli_complain(&e);
        return CLI_USAGE;
    }
    id_random_hex(random, 4);
    snprintf(id, sizeof id, "%.40s", k->id ? k->id : random);
    id_random_hex(random, 32);
    snprintf(secret, sizeof secret, "la_%s_%s", id, random);
    hash_bytes(secret, strlen(secret), sha256);
    printf("secret: %s\n", secret);
    printf("line:   %s %s %s%s%s\n", id, sha256, k->scopes, k->expires ? " " : "", k->expires ? k->expires : "");
    return CLI_DONE;
}

/* ---- a server's keys ---- */

static void print_key(const json_t *key)
{
    const char *id = "", *source = "", *expires = NULL, *revoked = NULL;
    char scopes[64] = "";
    json_t *scope;
    size_t i, used = 0;
    json_array_foreach(json_object_get(key, "scopes"), i, scope) used +=
        (size_t)snprintf(scopes + used, sizeof scopes - used, "%s%.8s", i ? "," : "", json_string_value(scope));
    json_opt_str(key, "id", &id, NULL);
    json_opt_str(key, "source", &source, NULL);
    expires = json_string_value(json_object_get(key, "expires_at"));
    revoked = json_string_value(json_object_get(key, "revoked_at"));
    printf("%-40s %-4s %-18s %s%s\n", id, source, scopes,
           revoked   ? "revoked "
           : expires ? "until "
                     : "",
           revoked   ? revoked
           : expires ? expires
                     : "");
}

static int list_keys(struct remote *r, char **names, int count, void *user, struct err *e)
{
    json_t *answer = NULL, *key;
    size_t i;
    (void)names, (void)count, (void)user;
    if (operate_call(r, "GET", "/keys", NULL, &answer, e) != 0)
        return -1;
    json_array_foreach(json_object_get(answer, "data"), i, key) print_key(key);
    json_decref(answer);
    return 0;
}

static void print_secret(json_t *take)
{
    const char *secret = json_string_value(json_object_get(take, "secret"));
    print_key(take);
    if (secret)
        printf("secret: %s\n", secret);
    json_decref(take);
}

static int create_key(struct remote *r, char **names, int count, void *user, struct err *e)
{
    const struct key *k = user;
    json_t *body = json_object(), *scopes = json_array(), *answer = NULL;
    (void)names, (void)count;
    for (const char *s = k->scopes; *s;) {
        size_t size = strcspn(s, ",");
        json_array_append_new(scopes, json_stringn(s, size));
        s += size + (s[size] == ',');
    }
    json_put(body, "scopes", scopes);
    if (k->id)
        json_put_str(body, "id", k->id);
    if (k->expires)
        json_put_str(body, "expires_at", k->expires);
    if (operate_call(r, "POST", "/keys", body, &answer, e) != 0)
        return -1;
    print_secret(answer);
    return 0;
}

static int rotate_key(struct remote *r, char **names, int count, void *user, struct err *e)
{
    const struct key *k = user;
    json_t *body = json_object(), *answer = NULL;
    char path[512];
    (void)count;
    json_put_int(body, "overlap_seconds", k->overlap_s);
    if (operate_path(path, "/keys/", names[0], "/rotate", e) != 0) {
        json_decref(body);
        return -1;
    }
    if (operate_call(r, "POST", path, body, &answer, e) != 0)
        return -1;
    print_secret(answer);
    return 0;
}

static int revoke_keys(struct remote *r, char **names, int count, void *user, struct err *e)
{
    (void)user;
    for (int i = 0; i < count; i++) {
        char path[512];
        if (operate_path(path, "/keys/", names[i], "/revoke", e) != 0 ||
            operate_call(r, "POST", path, NULL, NULL, e) != 0)
            return -1;
        printf("%s revoked\n", names[i]);
    }
    return 0;
}

int cli_key(int argc, char **argv)
{
    static const struct operate_verb verbs[] = {{"list", 0, 0, list_keys},
                                                {"create", 0, 0, create_key},
                                                {"rotate", 1, 1, rotate_key},
                                                {"revoke", 1, KEYS_MAX, revoke_keys}};
    struct key k = {.scopes = "submit,read"};
    const struct cli_option options[] = {
        {"--scopes", 0, CLI_TEXT, &k.scopes, "LIST", "of submit, read and admin; submit,read when not given"},
        {"--id", 0, CLI_TEXT, &k.id, "NAME", "how the key is called in logs; drawn when not given"},
        {"--expires", 0, CLI_TEXT, &k.expires, "TIME", "RFC 3339; never when not given"},
        {"--overlap", 0, CLI_INT, &k.overlap_s, "SECONDS", "rotate: how long the old secret still works (0)"},
    };
    const struct cli_usage usage = {
        .name = "key",
        .positional = "new | list | create | rotate ID | revoke ID…",
        .text = "new makes an API key without a server: the secret is printed once and is stored nowhere, the line "
                "goes into "
                "the file that LONGANIM_KEYS names. The others ask a server, with a key that has the scope admin: they "
                "list its keys, create one, give one a new secret, or end it. Callers send a secret as\n"
                "\"Authorization: Bearer SECRET\".",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .config = CONFIG_REMOTE,
        .min_rest = 1,
        .max_rest = KEYS_MAX + 1,
    };
    struct cli_args a;
    int status = cli_args(&a, &usage, argc, argv);
    bool local = status < 0 && strcmp(a.rest[0], "new") == 0;
    bool extra = local && a.rest_count > 1;
    cli_args_free(&a);
    if (status >= 0)
        return status;
    if (!local)
        return operate_run(&usage, argc, argv, verbs, sizeof verbs / sizeof *verbs, &k);
    if (extra)
        fprintf(stderr, "longanim key: new takes no name; see --id\n");
    return extra ? CLI_USAGE : make(&k);
}
