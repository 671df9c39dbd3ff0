/* config.h - settings: defaults <- file <- environment (LONGANIM_*) <- flags, read once into a const struct.
 * The table config_table.h is the only list; from it come this struct's fields, the parser, range checks, `--help`
 * and docs/config.md. No getenv outside config.c. */
#ifndef LONGANIM_BASE_CONFIG_H
#define LONGANIM_BASE_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct config {
#define CONFIG_STR(field, env, flag, fallback, who, doc) char *field;
#define CONFIG_WORD(field, env, flag, fallback, choices, who, doc) char *field;
#define CONFIG_INT(field, env, flag, fallback, min, max, who, doc) int64_t field;
#define CONFIG_PIXELS(field, env, flag, fallback, min, max, who, doc) int64_t field; /* "4096x4096" or an integer */
#include "base/config_table.h"
};

/* Programs of `who`. */
enum {
    CONFIG_API = 1,
    CONFIG_WORKER = 2,
    CONFIG_TOOL = 4,
    CONFIG_SERVE = 8,
    CONFIG_PROBE = 16,
    CONFIG_AUDIT = 32,
    CONFIG_REMOTE = 64
};

/* argv[0] is the program. `--flag value` or `--flag=value`; LONGANIM_CONFIG or --config names a file of NAME=value
 * lines with the environment's names. An empty value means "not set". Without allow_rest, unknown flags (with the
 * nearest known one) and positional arguments are refused; with it they are left in argv (compacted, *argc adjusted,
 * argv[argc] NULL) and so is everything after "--". params_invalid on any bad value; the detail names the setting and
 * where it came from. */
int config_read(struct config *out, int who, int *argc, char **argv, bool allow_rest, struct err *e);
void config_free(struct config *c);

/* Writes to a FILE *: the flags and settings of `who` with defaults and meaning; all settings as docs/config.md. */
void config_help(int who, FILE *file);
void config_doc(FILE *file);

/* The effective settings as one JSON object text, user and password in URLs replaced by "***"; malloc'ed. */
char *config_text(const struct config *c, int who);
/* The same as a line of the log, at level debug. */
void config_log(const struct config *c, int who);

/* A secret that only the environment may carry ("AWS_SECRET_ACCESS_KEY", …); NULL when not set or empty. Borrowed. */
const char *config_secret(const char *env_name);

/* Sets an environment variable that a library reads, unless it is set already; whether it was this that set it. Not
 * safe with other threads: for the start of main. */
bool config_library_default(const char *name, const char *value);

#endif
