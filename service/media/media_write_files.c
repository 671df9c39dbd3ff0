/* A folder's frames as the zip of frames that media_reader opens: one sandboxed process for all of them. */
#include "media/media_write.h"

#include "base/fs.h"

#include <string.h>

enum { FILE_MAX_BYTES = 256 << 20 };

static int add_file(struct media_zip_writer *zip, const char *folder, const char *name, struct err *e)
{
    char path[FS_PATH_MAX];
    struct buf b;
    buf_init(&b, FILE_MAX_BYTES);
    int failed = fs_join(path, folder, name, e) != 0 || fs_read(path, &b, e) != 0 ||
                 media__zip_add(zip, name, b.data ? b.data : "", b.size, e) != 0;
    buf_free(&b);
    return failed ? -1 : 0;
}

int media_zip_folder(const char *path, const char *folder, const char *const *names, int count, struct err *e)
{
    struct media_zip_writer *zip;
    if (media__zip_create(&zip, path, e) != 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (add_file(zip, folder, names[i], e) != 0) {
            media__zip_abort(zip);
            return -1;
        }
    return media__zip_finish(zip, e);
}
