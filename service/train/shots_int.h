/* shots_int.h - what the files of shots share. */
#ifndef LONGANIM_TRAIN_SHOTS_INT_H
#define LONGANIM_TRAIN_SHOTS_INT_H

#include "base/fs.h"
#include "train/shots.h"

/* Names in a folder that `want` takes (it gets folder and name), sorted; free with train__names_free. */
int train__names(const char *folder, int (*want)(const char *, const char *), char ***out, int *count, struct err *e);
void train__names_free(char **names, int count);

/* Where the frames of `source` lie in the cache: the name depends on path, size, time and on the size of the samples.
 */
int train__cache_path(char out[FS_PATH_MAX], const struct train_shots_conf *c, const char *source, const char *kind,
                      struct err *e);
/* Decodes a video or a folder of frames into `path`: packed RGB, or grey for lines, at the size of the samples. */
int train__decode(const struct train_shots_conf *c, const char *source, bool lines, const char *path, struct err *e);

#endif
