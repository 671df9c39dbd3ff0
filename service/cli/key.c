#include "cli/cli.h"
#include "cli/commands.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct key {
    const char *scopes, *id, *expires;
};

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

int cli_key(int argc, char **argv)
{
    struct key k = {.scopes = "submit,read"};
    struct cli_args a;
    const struct cli_option options[] = {
        {"--scopes", 0, CLI_TEXT, &k.scopes, "LIST", "of submit, read and admin; submit,read when not given"},
        {"--id", 0, CLI_TEXT, &k.id, "NAME", "how the key is called in logs; drawn when not given"},
        {"--expires", 0, CLI_TEXT, &k.expires, "TIME", "RFC 3339; never when not given"},
    };
    const struct cli_usage usage = {
        .name = "key",
        .positional = "new",
        .text = "Makes an API key. The secret is printed once and is stored nowhere; callers send it as\n"
                "\"Authorization: Bearer SECRET\". The line goes into the file that LONGANIM_KEYS names.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_rest = 1,
        .max_rest = 1,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0 && strcmp(a.rest[0], "new") != 0) {
        fprintf(stderr, "longanim key: there is no \"%s\", only \"new\"\n", a.rest[0]);
        status = CLI_USAGE;
    }
    if (status < 0)
        status = make(&k);
    cli_args_free(&a, &usage);
    return status;
}
