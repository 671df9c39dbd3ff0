#include "base/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { LEVEL = 4, GZIP_WINDOW = 15 + 16, MEMORY = 8 };

int gzip_bytes(const void *data, size_t size, char **out, size_t *out_size)
{
    z_stream z = {0};
    char *bytes = size > 0 && size < INT_MAX ? malloc(size) : NULL;
    int rc = -1;
    if (!bytes || deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(bytes);
        return -1;
    }
    z.next_in = (Bytef *)(size_t)data;
    z.avail_in = (uInt)size;
    z.next_out = (Bytef *)bytes;
    z.avail_out = (uInt)size; /* what does not fit here is not worth sending */
    if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
        *out = bytes;
        *out_size = size - z.avail_out;
        bytes = NULL;
        rc = 0;
    }
    deflateEnd(&z);
    free(bytes);
    return rc;
}
