/* fs.h - files and folders. Any thread; paths are borrowed for the call.
 * Errors: storage_full on ENOSPC/EDQUOT, else internal, with the path and strerror in the detail. */
#ifndef LONGANIM_BASE_FS_H
#define LONGANIM_BASE_FS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FS_PATH_MAX 4096

/* Writes dir + "/" + name into out; err internal when too long. */
int fs_join(char out[FS_PATH_MAX], const char *dir, const char *name, struct err *e);

int fs_mkdirs(const char *path, struct err *e);                /* like mkdir -p, mode 0700 */
int fs_remove_tree(const char *path, struct err *e);           /* a missing path is fine; does not follow links */
int fs_read(const char *path, struct buf *out, struct err *e); /* out's ceiling bounds it */
int fs_copy(const char *from, const char *to, struct err *e);  /* reflink or copy_file_range where possible */

/* Temporary file beside `path`, then rename; nothing is synced: for address files and caches. */
int fs_write_atomic(const char *path, const void *data, size_t size, struct err *e);

int fs_write_all(int fd, const void *data, size_t size); /* 0, or -1 with errno */
ssize_t fs_read_all(int fd, void *data, size_t size);    /* bytes read (short at end of file), or -1 with errno */

/* Folder of the running program (from /proc/self/exe), without a final slash. */
int fs_program_dir(char out[FS_PATH_MAX], struct err *e);

#endif
