#include "probe/slim.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Beginnings of file names. Encoders and audio; displays, fonts and drawing; networks and their secrets. */
static const char *const unneeded[] = {
    "libaom.so",     "libchromaprint", "libcodec2",   "libgme",     "libgomp",       "libgsm",       "libhwy",
    "libjxl",        "libmp3lame",     "libmpg123",   "libnuma",    "libogg",        "libopenjp2",   "libopenmpt",
    "libopus",       "librav1e",       "libshine",    "libsnappy",  "libsoxr",       "libspeex",     "libstdc++",
    "libSvtAv1",     "libswresample",  "libtheora",   "libtwolame", "libvorbis",     "libwebp",      "libx264",
    "libx265",       "libxvidcore",    "libzvbi",     "libacl",     "libblkid",      "libbrotli",    "libcairo",
    "libdatrie",     "libdrm",         "libexpat",    "libffi",     "libfontconfig", "libfreetype",  "libfribidi",
    "libgdk_pixbuf", "libgio",         "libglib",     "libgmodule", "libgobject",    "libgraphite2", "libharfbuzz",
    "libicu",        "libjpeg",        "liblcms2",    "libmfx",     "libmount",      "libOpenCL",    "libpango",
    "libpcre2",      "libpixman",      "libpng",      "librsvg",    "libselinux",    "libthai",      "libva",
    "libvdpau",      "libX",           "libxcb",      "libxml2",    "libbluray",     "libbsd",       "libcjson",
    "libcom_err",    "libgcrypt",      "libgmp",      "libgnutls",  "libgpg-error",  "libgssapi",    "libhogweed",
    "libidn2",       "libk5crypto",    "libkeyutils", "libkrb5",    "libmbedcrypto", "libmd.so",     "libnorm",
    "libp11-kit",    "libpgm",         "librabbitmq", "libresolv",  "librist",       "libsodium",    "libsrt",
    "libssh",        "libssl",         "libtasn1",    "libudfread", "libunistring",  "libzmq",
};

static bool is_unneeded(const char *path)
{
    const char *name = strrchr(path, '/');
    if (!name++)
        return false;
    for (size_t i = 0; i < sizeof unneeded / sizeof *unneeded; i++)
        if (strncmp(name, unneeded[i], strlen(unneeded[i])) == 0)
            return true;
    return false;
}

int slim_down(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    int left_out = 0;
    if (!maps)
        return 0;
    while (fgets(line, sizeof line, maps)) {
        uintptr_t first, end;
        char path[512] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %511s", &first, &end, path) == 3 &&
            is_unneeded(path))
            left_out += madvise((void *)first, end - first, MADV_DONTFORK) == 0;
    }
    fclose(maps);
    return left_out;
}
