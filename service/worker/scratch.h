/* scratch.h - folders for one process' temporary files, under the data folder or TMPDIR. A locked file inside says
 * that the owner lives, so that what a killed process left is found and removed. */
#ifndef LONGANIM_WORKER_SCRATCH_H
#define LONGANIM_WORKER_SCRATCH_H

#include "base/err.h"
#include "base/fs.h"

struct scratch {
    char path[FS_PATH_MAX]; /* ours */
    char parent[FS_PATH_MAX];
    int lock_fd;
};

/* Makes "<parent>/longanim-<random>" and locks it. */
int scratch_make(struct scratch *s, const char *parent, struct err *e);
void scratch_remove(struct scratch *s);

/* Removes the folders of dead owners beside ours. Returns how many. */
int scratch_sweep(const struct scratch *s);

#endif
