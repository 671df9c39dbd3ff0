/* config.h - settings: defaults <- file <- environment (LONGANIM_*) <- flags, read once into a const struct.
 * The table config_table.h is the only list; from it come this struct's fields, the parser, range checks, `--help`
 * and docs/config.md. No getenv outside config.c. */
#ifndef LONGANIM_BASE_CONFIG_H
#define LONGANIM_BASE_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct config {
#define CONFIG_STR(field, env, flag, fallback, who, doc) char *field;
#define CONFIG_INT(field, env, flag, fallback, min, max, who, doc) int64_t field;
#define CONFIG_PIXELS(field, env, flag, fallback, min, max, who, doc) int64_t field; /* "4096x4096" or an integer */
#include "base/config_table.h"
};

/* Programs of `who`. */
enum { CONFIG_API = 1, CONFIG_WORKER = 2, CONFIG_TOOL = 4, CONFIG_SERVE = 8, CONFIG_PROBE = 16 };

/* argv[0] is the program; flags of other programs are refused with the nearest known one. Positional arguments are
 * left in argv (compacted, *argc adjusted) when allow_rest, else refused. params_invalid on any bad value; the detail
 * names the setting and where it came from. */
int config_read(struct config *out, int who, int *argc, char **argv, bool allow_rest, struct err *e);
void config_free(struct config *c);
void config_help(int who, void *file); /* a FILE *; the flags with defaults and meaning */

/* The effective settings as one JSON object text, secrets replaced by "***"; malloc'ed. */
char *config_text(const struct config *c, int who);

#endif
