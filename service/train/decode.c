/* decode.c - a shot's frames, from whatever they are stored in, to raw pixels in the cache. */
#include "train/shots_int.h"

#include "base/hash.h"
#include "base/id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct decoding {
    const struct train_shots_conf *c;
    bool lines;
    int fd;
    uint8_t *opaque, *fitted; /* a frame over white; a frame at the size of the samples */
    int64_t opaque_bytes, frames;
};

static int is_picture(const char *folder, const char *name)
{
    (void)folder;
    const char *end = strrchr(name, '.');
    return name[0] != '.' && end &&
           (strcasecmp(end, ".png") == 0 || strcasecmp(end, ".jpg") == 0 || strcasecmp(end, ".jpeg") == 0);
}

int train__cache_path(char out[FS_PATH_MAX], const struct train_shots_conf *c, const char *source, const char *kind,
                      struct err *e)
{
    char text[FS_PATH_MAX + 128], hex[HASH_HEX_SIZE], name[HASH_HEX_SIZE + 16];
    struct stat st;
    if (stat(source, &st) != 0)
        return err_set(e, ERR_params_invalid, "%s: %s", source, strerror(errno));
    snprintf(text, sizeof text, "%s|%lld|%lld.%09ld|%dx%d", source, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec, c->width, c->height);
    hash_bytes(text, strlen(text), hex);
    snprintf(name, sizeof name, "%.24s.%s", hex, kind);
    return fs_join(out, c->cache, name, e);
}

static const uint8_t *over_white(struct decoding *d, const uint8_t *rgba, int64_t pixels)
{
    if (d->opaque_bytes < 3 * pixels) {
        free(d->opaque);
        d->opaque = malloc((size_t)(3 * pixels));
        d->opaque_bytes = d->opaque ? 3 * pixels : 0;
        if (!d->opaque)
            return NULL;
    }
    for (int64_t i = 0; i < pixels; i++)
        for (int k = 0; k < 3; k++)
            d->opaque[3 * i + k] =
                (uint8_t)((rgba[4 * i + k] * rgba[4 * i + 3] + 255 * (255 - rgba[4 * i + 3]) + 127) / 255);
    return d->opaque;
}

static void to_grey(uint8_t *pixels, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)((299 * pixels[3 * i] + 587 * pixels[3 * i + 1] + 114 * pixels[3 * i + 2] + 500) / 1000);
}

static int put(struct decoding *d, const uint8_t *pixels, int32_t width, int32_t height, int channels, struct err *e)
{
    const struct train_shots_conf *c = d->c;
    int64_t all = (int64_t)c->width * c->height;
    if (channels == 4 && !(pixels = over_white(d, pixels, (int64_t)width * height)))
        return err_set(e, ERR_internal, "no memory for a frame");
    if (width == c->width && height == c->height)
        memcpy(d->fitted, pixels, (size_t)all * 3);
    else if (media_scale(pixels, width, height, 3, d->fitted, c->width, c->height, e) != 0)
        return -1;
    if (d->lines)
        to_grey(d->fitted, all);
    if (fs_write_all(d->fd, d->fitted, (size_t)all * (d->lines ? 1 : 3)) != 0)
        return err_set(e, errno == ENOSPC ? ERR_storage_full : ERR_internal, "the cache cannot be written: %s",
                       strerror(errno));
    d->frames++;
    return 0;
}

static int decode_video(struct decoding *d, const char *path, struct err *e)
{
    struct media_reader *reader = NULL;
    struct media_frame f;
    int got = 1;
    if (media_reader_open(&reader, path, true, &d->c->limits, e) != 0)
        return -1;
    while (got == 1 && (got = media_reader_next(reader, &f, e)) == 1)
        if (put(d, f.pixels, f.width, f.height, f.channels, e) != 0)
            got = -1;
    media_reader_close(reader);
    return got;
}

/* One zip of all frames costs one sandboxed process; a process for every frame would cost more than decoding it. */
static int decode_folder(struct decoding *d, const char *folder, const char *part, struct err *e)
{
    char **names, zip[FS_PATH_MAX];
    int count;
    if (train__names(folder, is_picture, &names, &count, e) != 0)
        return -1;
    int failed = 0;
    if (snprintf(zip, sizeof zip, "%s.zip", part) >= (int)sizeof zip)
        failed = err_set(e, ERR_params_invalid, "the path of the cache is too long");
    else if (count > 0) {
        failed =
            media_zip_folder(zip, folder, (const char *const *)names, count, e) != 0 || decode_video(d, zip, e) != 0;
        unlink(zip);
    }
    train__names_free(names, count);
    return failed ? -1 : 0;
}

int train__decode(const struct train_shots_conf *c, const char *source, bool lines, const char *path, struct err *e)
{
    struct decoding d = {.c = c, .lines = lines, .fd = -1};
    char part[FS_PATH_MAX], random[17];
    struct stat st;
    int failed = -1;
    id_random_hex(random, 8);
    if (snprintf(part, sizeof part, "%s.%s.partial", path, random) >= (int)sizeof part)
        return err_set(e, ERR_params_invalid, "the path of the cache is too long");
    d.fitted = malloc((size_t)c->width * (size_t)c->height * 3);
    d.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (!d.fitted || d.fd < 0) {
        err_set(e, ERR_internal, "%s: %s", part, strerror(errno));
        goto out;
    }
    bool folder = stat(source, &st) == 0 && S_ISDIR(st.st_mode);
    if ((folder ? decode_folder(&d, source, part, e) : decode_video(&d, source, e)) != 0)
        goto out;
    if (d.frames == 0) {
        err_set(e, ERR_media_no_video, "%s", folder ? "no PNG or JPEG is in it" : "it has no frame");
        goto out;
    }
    failed = rename(part, path) != 0 ? err_set(e, ERR_internal, "%s: %s", path, strerror(errno)) : 0;
out:
    if (d.fd >= 0)
        close(d.fd);
    if (failed)
        unlink(part);
    free(d.opaque);
    free(d.fitted);
    return failed;
}
