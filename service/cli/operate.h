/* operate.h - commands that have verbs ("queue pause POOL") and talk to a server. */
#ifndef LONGANIM_CLI_OPERATE_H
#define LONGANIM_CLI_OPERATE_H

#include "cli/remote.h"

struct operate_verb {
    const char *name;
    int min_names, max_names; /* arguments behind it */
    int (*run)(struct remote *r, char **names, int count, void *user, struct err *e);
};

/* Runs the verb that the first argument names (without any, the first of the list); the exit status. */
int operate_run(const struct cli_usage *usage, int argc, char **argv, const struct operate_verb *verbs, int verb_count,
                void *user);

/* One call with a JSON body (NULL = none; the reference is taken); as remote_call. */
int operate_call(struct remote *r, const char *method, const char *path, json_t *take_body, json_t **out,
                 struct err *e);

/* before + name, escaped, + after. */
int operate_path(char out[512], const char *before, const char *name, const char *after, struct err *e);

#endif
