/* Any bytes as a media file: looking at them ends in a description that is possible or in an error that a file can
 * cause. In process, without the sandbox, so that sanitizers see what happens; the libraries of the system are not
 * instrumented, our parsing of boxes, chunks, names and headers is. */
#include "media/media_int.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static const struct media_limits limits = {.bytes = 1 << 20,
                                               .pixels = 1 << 18,
                                               .frames = 100,
                                               .seconds = 600,
                                               .still_pixels = 1 << 18,
                                               .memory_bytes = 128 << 20,
                                               .cpu_seconds = 10};
    if (fd < 0 && (fd = memfd_create("fuzz", MFD_CLOEXEC)) < 0)
        abort();
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    enum media_container c = media__sniff(data, size);
    bool still = c == MEDIA_IN_PNG || c == MEDIA_IN_JPEG || c == MEDIA_IN_WEBP;
    struct media_info info = {0};
    struct err e = {0};
    if (media_probe_fd(fd, still, &limits, &info, &e) == 0) {
        if (!media__info_sane(&info, &limits))
            abort();
    } else if (e.code != ERR_payload_too_large && err_info(e.code)->class != ERR_CLASS_MEDIA) {
        abort();
    }
    return 0;
}
