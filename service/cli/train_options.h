/* train_options.h - the arguments of `longanim train`: what was given, and what the stage's defaults make of it. */
#ifndef LONGANIM_CLI_TRAIN_OPTIONS_H
#define LONGANIM_CLI_TRAIN_OPTIONS_H

#include "cli/cli.h"
#include "engine/model_lib.h"
#include "train/shots.h"

/* As given: NULL, a negative number or NAN where the stage's own value holds. */
struct train_options {
#define TRAIN_TEXT(field, flag, letter, value, doc) const char *field;
#define TRAIN_SWITCH(field, flag, doc) bool field;
#define TRAIN_COUNT(field, flag, doc) int64_t field;
#define TRAIN_STEPS(field, flag, doc) int64_t field;
#define TRAIN_REAL(field, flag, doc) double field;
#define TRAIN_OWN_COUNT(field, flag, fallback, doc) int64_t field;
#define TRAIN_OWN_SHARE(field, flag, fallback, doc) double field;
#include "cli/train_options_table.h"
};

/* Reads the arguments and checks what can be checked without a model. -1 to go on, or the exit status; cli_args_free in
 * both cases. Texts are borrowed from argv. */
int train_options_read(struct train_options *out, struct cli_args *args, int argc, char **argv);

/* The stage's defaults, and over them what was given. params_invalid. */
int train_options_settings(const struct train_options *o, const struct model_lib *lib, struct mdl_train_settings *out,
                           struct err *e);

/* --lines, and --store (MDL_STORE_*). params_invalid. */
int train_options_lines(const struct train_options *o, enum train_lines *out, struct err *e);
int train_options_store(const struct train_options *o, int32_t *out, struct err *e);

#endif
