#include "media/media_zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { NAME_BYTES_MAX = 1024, BLOCK_BYTES = 64 << 10 };

struct zip_frame {
    char *name;
    int64_t stored; /* position among all entries of the archive */
};

struct media_zip {
    int fd;
    int64_t size, at; /* of the archive's bytes */
    int64_t frame_bytes_max;
    struct archive *archive;
    struct archive_entry *entry; /* the one read last; borrowed from archive */
    int64_t next;                /* how many entries were read since the archive was opened */
    struct zip_frame *frames;    /* by name */
    int64_t count, capacity;
    int64_t *in_archive_order;
    uint8_t *data;
    size_t data_capacity;
    uint8_t block[BLOCK_BYTES];
};

static la_ssize_t read_block(struct archive *a, void *user, const void **out)
{
    struct media_zip *z = user;
    ssize_t got = media__read_at(z->fd, z->at, z->block, sizeof z->block);
    if (got < 0) {
        archive_set_error(a, errno, "read");
        return ARCHIVE_FATAL;
    }
    z->at += got;
    *out = z->block;
    return got;
}

static la_int64_t seek_to(struct archive *a, void *user, la_int64_t offset, int whence)
{
    struct media_zip *z = user;
    (void)a;
    int64_t base = whence == SEEK_CUR ? z->at : whence == SEEK_END ? z->size : 0;
    if (offset < -base || offset > INT64_MAX - base)
        return ARCHIVE_FATAL;
    return z->at = base + offset;
}

static int fail(struct media_zip *z, struct err *e)
{
    const char *why = z->archive ? archive_error_string(z->archive) : NULL;
    if (z->archive && archive_errno(z->archive) == ENOMEM)
        return err_set(e, ERR_media_decode_memory, "the archive takes more memory than is allowed");
    return err_set(e, ERR_media_unreadable, "the archive cannot be read: %s", why ? why : "no reason given");
}

static int rewind_archive(struct media_zip *z, struct err *e)
{
    archive_read_free(z->archive);
    z->archive = archive_read_new();
    z->entry = NULL;
    z->at = z->next = 0;
    struct archive *a = z->archive;
    if (!a)
        return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
    /* The seekable reader needs the directory at the end, so a file that was cut is noticed. */
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_set_read_callback(a, read_block) != 0 || archive_read_set_seek_callback(a, seek_to) != 0 ||
        archive_read_set_callback_data(a, z) != 0)
        return fail(z, e);
    if (archive_read_open1(a) != ARCHIVE_OK)
        return err_set(e, ERR_media_truncated, "the archive ends early: its directory is missing or damaged");
    return 0;
}

/* The next entry: 1, 0 at the end, -1. */
static int next_entry(struct media_zip *z, struct err *e)
{
    int rc = archive_read_next_header(z->archive, &z->entry);
    if (rc == ARCHIVE_EOF)
        return 0;
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
        return fail(z, e);
    z->next++;
    return 1;
}

/* Length of the extension of a frame's name, its dot included; 0 when it has none that we know. */
static size_t extension(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot || strchr(dot, '/'))
        return 0;
    return strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ? strlen(dot)
                                                                                                         : 0;
}

/* The path behind the next slash, or NULL. */
static const char *next_part(const char *path)
{
    const char *slash = strchr(path, '/');
    return slash ? slash + 1 : NULL;
}

static int check_name(const char *name, struct err *e)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_BYTES_MAX)
        return err_set(e, ERR_media_unreadable, "a name in the archive is empty or longer than %d bytes",
                       NAME_BYTES_MAX);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return err_set(e, ERR_media_unreadable, "a name in the archive has control characters");
    if (name[0] == '/' || strchr(name, '\\') || (name[1] == ':' && name[2] == '/'))
        return err_set(e, ERR_media_unreadable, "the name %s is not a relative path with slashes", name);
    for (const char *part = name; part; part = next_part(part))
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return err_set(e, ERR_media_unreadable, "the name %s leads out of the archive", name);
    return 0;
}

/* What file managers leave behind: resource forks, and names that begin with a dot anywhere on the path. */
static bool is_ignored(const char *name)
{
    if (strncmp(name, "__MACOSX/", 9) == 0)
        return true;
    for (const char *part = name; part; part = next_part(part))
        if (part[0] == '.' && part[1] != '/')
            return true;
    return false;
}

static int add_frame(struct media_zip *z, const char *name, const struct media_limits *l, struct err *e)
{
    if (z->count >= l->frames)
        return err_set(e, ERR_media_too_many_frames, "the archive has more than %lld frames", (long long)l->frames);
    if (z->count == z->capacity) {
        int64_t capacity = z->capacity ? z->capacity * 2 : 256;
        struct zip_frame *grown = realloc(z->frames, (size_t)capacity * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
        z->frames = grown;
        z->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy)
        return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
    z->frames[z->count++] = (struct zip_frame){copy, z->next - 1};
    return 0;
}

static int look_at_entry(struct media_zip *z, const struct media_limits *l, struct err *e)
{
    const char *name = archive_entry_pathname(z->entry);
    mode_t type = archive_entry_filetype(z->entry);
    if (!name)
        return err_set(e, ERR_media_unreadable, "a name in the archive is not text");
    if (check_name(name, e) != 0)
        return -1;
    if (type != AE_IFREG && type != AE_IFDIR)
        return err_set(e, ERR_media_unreadable, "%s is a link or a special file", name);
    if (type == AE_IFDIR || is_ignored(name))
        return 0;
    if (archive_entry_is_encrypted(z->entry))
        return err_set(e, ERR_media_unreadable, "%s is encrypted", name);
    if (archive_entry_size_is_set(z->entry) && archive_entry_size(z->entry) > z->frame_bytes_max)
        return err_set(e, ERR_media_too_many_pixels, "%s is larger than any picture that is allowed", name);
    if (archive_entry_size_is_set(z->entry) && archive_entry_size(z->entry) == 0)
        return err_set(e, ERR_media_unreadable, "%s is empty", name);
    return add_frame(z, name, l, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct zip_frame *)a)->name, ((const struct zip_frame *)b)->name);
}

/* Without its extension, as the name of a result would be. */
static int by_stem(const void *a, const void *b)
{
    const char *x = (*(const struct zip_frame *const *)a)->name, *y = (*(const struct zip_frame *const *)b)->name;
    size_t m = strlen(x) - extension(x), n = strlen(y) - extension(y);
    int order = memcmp(x, y, m < n ? m : n);
    return order ? order : (m > n) - (m < n);
}

static int check_collisions(const struct media_zip *z, struct err *e)
{
    int result = 0;
    const struct zip_frame **order = malloc((size_t)z->count * sizeof *order);
    if (!order)
        return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
    for (int64_t i = 0; i < z->count; i++)
        order[i] = &z->frames[i];
    qsort(order, (size_t)z->count, sizeof *order, by_stem);
    for (int64_t i = 1; i < z->count && result == 0; i++)
        if (by_stem(&order[i - 1], &order[i]) == 0)
            result = err_set(e, ERR_media_unreadable, "%s and %s would have the same name in a result",
                             order[i - 1]->name, order[i]->name);
    free(order);
    return result;
}

static const struct media_zip *sorting; /* qsort has no argument for its callback; one thread */
static int by_position(const void *a, const void *b)
{
    int64_t x = sorting->frames[*(const int64_t *)a].stored, y = sorting->frames[*(const int64_t *)b].stored;
    return (x > y) - (x < y);
}

static int order_frames(struct media_zip *z, struct err *e)
{
    qsort(z->frames, (size_t)z->count, sizeof *z->frames, by_name);
    if (check_collisions(z, e) != 0)
        return -1;
    z->in_archive_order = malloc((size_t)z->count * sizeof *z->in_archive_order);
    if (!z->in_archive_order)
        return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
    for (int64_t i = 0; i < z->count; i++)
        z->in_archive_order[i] = i;
    sorting = z;
    qsort(z->in_archive_order, (size_t)z->count, sizeof *z->in_archive_order, by_position);
    return 0;
}

int media__zip_open(struct media_zip **out, int fd, int64_t size, const struct media_limits *l, struct err *e)
{
    enum { EMPTY_BYTES = 22 }; /* an end record and nothing else */
    int more = 1;
    if (size == EMPTY_BYTES)
        return err_set(e, ERR_media_no_video, "the archive is empty");
    if (media__zip_check_names(fd, size, e) != 0)
        return -1;
    struct media_zip *z = calloc(1, sizeof *z);
    if (!z)
        return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
    z->fd = fd;
    z->size = size;
    /* No PNG of the largest size is larger than its raw pixels and a little; JPEG is smaller. */
    z->frame_bytes_max = l->pixels * 8 + (1 << 20);
    if (z->frame_bytes_max > l->memory_bytes / 2)
        z->frame_bytes_max = l->memory_bytes / 2;
    if (rewind_archive(z, e) != 0)
        goto fail;
    while ((more = next_entry(z, e)) == 1) {
        if (z->next > 4 * l->frames + 1000) {
            err_set(e, ERR_media_too_many_frames, "the archive has more than %lld entries", (long long)z->next - 1);
            goto fail;
        }
        if (look_at_entry(z, l, e) != 0)
            goto fail;
    }
    if (more < 0)
        goto fail;
    if (z->count == 0) {
        err_set(e, ERR_media_no_video, "the archive has no frames");
        goto fail;
    }
    if (order_frames(z, e) != 0 || rewind_archive(z, e) != 0)
        goto fail;
    *out = z;
    return 0;
fail:
    media__zip_close(z);
    return -1;
}

void media__zip_close(struct media_zip *z)
{
    if (!z)
        return;
    archive_read_free(z->archive);
    for (int64_t i = 0; i < z->count; i++)
        free(z->frames[i].name);
    free(z->frames);
    free(z->in_archive_order);
    free(z->data);
    free(z);
}

int64_t media__zip_count(const struct media_zip *z)
{
    return z->count;
}

const char *media__zip_name(const struct media_zip *z, int64_t i)
{
    return z->frames[i].name;
}

int64_t media__zip_stored(const struct media_zip *z, int64_t i)
{
    return z->in_archive_order[i];
}

static int make_room(struct media_zip *z, size_t wanted, struct err *e)
{
    if (wanted <= z->data_capacity)
        return 0;
    size_t capacity = wanted + wanted / 2;
    uint8_t *grown = realloc(z->data, capacity);
    if (!grown)
        return err_set(e, ERR_media_decode_memory, "no memory to read the archive");
    z->data = grown;
    z->data_capacity = capacity;
    return 0;
}

int media__zip_read(struct media_zip *z, int64_t i, const uint8_t **out_data, size_t *out_size, struct err *e)
{
    const struct zip_frame *f = &z->frames[i];
    size_t size = 0;
    if (f->stored < z->next && rewind_archive(z, e) != 0)
        return -1;
    while (z->next <= f->stored) {
        int more = next_entry(z, e);
        if (more <= 0)
            return more == 0 ? err_set(e, ERR_media_unreadable, "the archive changed while it was read") : -1;
    }
    for (;;) {
        if (make_room(z, size + BLOCK_BYTES, e) != 0)
            return -1;
        la_ssize_t got = archive_read_data(z->archive, z->data + size, z->data_capacity - size);
        if (got < 0)
            return fail(z, e);
        if (got == 0)
            break;
        size += (size_t)got;
        if ((int64_t)size > z->frame_bytes_max)
            return err_set(e, ERR_media_too_many_pixels, "%s is larger than any picture that is allowed", f->name);
    }
    *out_data = z->data;
    *out_size = size;
    return 0;
}
