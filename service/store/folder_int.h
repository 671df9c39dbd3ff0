/* folder_int.h - what the files of the folder store share. */
#ifndef LONGANIM_STORE_FOLDER_INT_H
#define LONGANIM_STORE_FOLDER_INT_H

#include "store/store.h"

#include <sys/stat.h>

/* Opens a path below the folder `root`; no component may be a link, none may lead outside. -1 with errno. */
int store__open_below(int root, const char *path, int flags);

void store__folder_info(const struct stat *st, struct store_info *out);

/* store_list over the folder. */
int store__folder_list(int root, const char *prefix, const char *after, store_list_fn fn, void *user, struct err *e);

#endif
