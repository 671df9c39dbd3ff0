/* journal.h - what is written down of a training run: a JSON object a line in log.jsonl, and the losses as a picture,
 * loss.svg. Lines are only ever added; a run that goes on from an older checkpoint adds its steps again, and a picture
 * shows the last word on every step. */
#ifndef LONGANIM_TRAIN_JOURNAL_H
#define LONGANIM_TRAIN_JOURNAL_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

struct journal;

/* folder: exists. Reads the steps of an earlier run. */
int journal_open(struct journal **out, const char *folder, struct err *e);
/* Adds a line with its time; takes the reference. Lines with "step" and "loss" become points of the picture (and
 * "reward", if it is there, another curve). */
int journal_add(struct journal *j, json_t *line, struct err *e);
int journal_plot(const struct journal *j, struct err *e);
void journal_close(struct journal *j); /* NULL is fine */

#endif
