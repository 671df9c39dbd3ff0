#include "train/shots.h"

#include "train/shots_int.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROMPT_MAX = 2000, EXTRACT_FRAMES = 8 };

/* ---- finding ---- */

static const char *const endings[] = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".zip"};

/* Length of the name without a video's ending; 0 when it has none. */
static size_t stem_of(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i]);
        if (length > end && strcasecmp(name + length - end, endings[i]) == 0)
            return length - end;
    }
    return 0;
}

static bool ends_in_lines(const char *name, size_t stem)
{
    return stem > 6 && strncmp(name + stem - 6, ".lines", 6) == 0;
}

static int is_shot(const char *folder, const char *name)
{
    char path[FS_PATH_MAX];
    struct stat st;
    if (name[0] == '.' || fs_join(path, folder, name, NULL) != 0 || stat(path, &st) != 0)
        return 0;
    size_t stem = S_ISDIR(st.st_mode) ? strlen(name) : S_ISREG(st.st_mode) ? stem_of(name) : 0;
    return stem > 0 && !ends_in_lines(name, stem);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of a folder that `want` takes, sorted. */
int train__names(const char *folder, int (*want)(const char *, const char *), char ***out, int *count, struct err *e)
{
    DIR *dir = opendir(folder);
    char **names = NULL;
    int n = 0, room = 0;
    if (!dir)
        return err_set(e, ERR_params_invalid, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!want(folder, entry->d_name))
            continue;
        if (n == room) {
            room = room ? 2 * room : 64;
            names = realloc(names, (size_t)room * sizeof *names);
        }
        if (!names || !(names[n++] = strdup(entry->d_name)))
            abort();
    }
    closedir(dir);
    if (n > 0)
        qsort(names, (size_t)n, sizeof *names, by_name);
    *out = names;
    *count = n;
    return 0;
}

void train__names_free(char **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* The path of a shot's lines, or "" when there are none. */
static void find_lines(char out[FS_PATH_MAX], const char *folder, const char *stem)
{
    struct stat st;
    char name[512];
    out[0] = 0;
    for (int i = -1; i < (int)(sizeof endings / sizeof endings[0]); i++) {
        snprintf(name, sizeof name, "%s.lines%s", stem, i < 0 ? "" : endings[i]);
        if (fs_join(out, folder, name, NULL) == 0 && stat(out, &st) == 0)
            return;
    }
    out[0] = 0;
}

/* The first line of NAME.txt, when there is one. */
static int read_prompt(const char *folder, const char *stem, char **out, struct err *e)
{
    char name[512], path[FS_PATH_MAX];
    struct buf b;
    struct err why = {0};
    snprintf(name, sizeof name, "%s.txt", stem);
    if (fs_join(path, folder, name, e) != 0)
        return -1;
    if (access(path, F_OK) != 0)
        return 0;
    buf_init(&b, PROMPT_MAX);
    int failed = fs_read(path, &b, &why);
    size_t length = b.data ? strcspn(b.data, "\r\n") : 0;
    if (failed || !text_utf8_valid(b.data ? b.data : "", length)) {
        buf_free(&b);
        return err_set(e, ERR_params_invalid, "its prompt %s: %s", name, failed ? why.detail : "the text is not UTF-8");
    }
    if (length > 0) {
        b.data[length] = 0;
        *out = buf_take(&b, NULL);
    }
    buf_free(&b);
    return 0;
}

/* ---- looking at one shot ---- */

static int open_cached(const char *path, int64_t frame_bytes, int64_t *frames)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size % frame_bytes == 0) {
        *frames = st.st_size / frame_bytes;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static int cached(const struct train_shots_conf *c, const char *source, bool lines, char path[FS_PATH_MAX], int *fd,
                  int64_t *frames, struct err *e)
{
    int64_t bytes = (int64_t)c->width * c->height * (lines ? 1 : 3);
    if (train__cache_path(path, c, source, lines ? "lines" : "color", e) != 0)
        return -1;
    if ((*fd = open_cached(path, bytes, frames)) >= 0)
        return 0;
    if (train__decode(c, source, lines, path, e) != 0)
        return -1;
    if ((*fd = open_cached(path, bytes, frames)) < 0)
        return err_set(e, ERR_internal, "%s cannot be read back", path);
    return 0;
}

static int look(const struct train_shots_conf *c, struct train_shot *s, const char *name, struct err *e)
{
    char source[FS_PATH_MAX], lines[FS_PATH_MAX], path[FS_PATH_MAX], stem[256];
    int64_t line_frames;
    size_t length = stem_of(name);
    s->color_fd = s->lines_fd = -1;
    if (snprintf(stem, sizeof stem, "%.*s", (int)(length ? length : strlen(name)), name) >= (int)sizeof stem)
        return err_set(e, ERR_params_invalid, "the name is too long");
    if (fs_join(source, c->data, name, e) != 0 || cached(c, source, false, path, &s->color_fd, &s->frames, e) != 0)
        return -1;
    if (s->frames < c->min_frames)
        return err_set(e, ERR_params_invalid, "it has %lld frames; this stage needs %lld", (long long)s->frames,
                       (long long)c->min_frames);
    find_lines(lines, c->data, stem);
    bool given = lines[0] && (c->lines == TRAIN_LINES_AUTO || c->lines == TRAIN_LINES_GIVEN);
    if (c->lines == TRAIN_LINES_GIVEN && !given)
        return err_set(e, ERR_params_invalid, "it has no line art beside it (%s.lines)", stem);
    if (given && cached(c, lines, true, path, &s->lines_fd, &line_frames, e) != 0)
        return -1;
    if (given && line_frames != s->frames)
        return err_set(e, ERR_params_invalid, "it has %lld frames, its line art %lld", (long long)s->frames,
                       (long long)line_frames);
    if (!given) {
        const char *kind = c->lines == TRAIN_LINES_BORDERS ? "borders" : "network";
        if (train__cache_path(path, c, source, kind, e) != 0)
            return -1;
        s->lines_fd = open_cached(path, (int64_t)c->width * c->height, &line_frames);
    }
    s->lines_path = strdup(path);
    s->name = strdup(name);
    if (read_prompt(c->data, stem, &s->prompt, e) != 0)
        return -1;
    return s->lines_path && s->name ? 0 : err_set(e, ERR_internal, "no memory");
}

static void shot_fini(struct train_shot *s)
{
    free(s->name);
    free(s->prompt);
    free(s->lines_path);
    if (s->color_fd >= 0)
        close(s->color_fd);
    if (s->lines_fd >= 0)
        close(s->lines_fd);
}

/* ---- all shots, by several threads ---- */

struct survey {
    const struct train_shots_conf *c;
    char **names;
    int count, next, done;
    bool stop;
    struct train_shot *items;
    bool *usable;
    pthread_mutex_t lock;
};

static void *survey_thread(void *argument)
{
    struct survey *v = argument;
    pthread_mutex_lock(&v->lock);
    while (v->next < v->count && !v->stop) {
        struct err why = {0};
        int i = v->next++;
        pthread_mutex_unlock(&v->lock);
        bool usable = look(v->c, &v->items[i], v->names[i], &why) == 0;
        if (!usable)
            shot_fini(&v->items[i]);
        pthread_mutex_lock(&v->lock);
        v->usable[i] = usable;
        v->done++;
        if (v->c->on_shot && v->c->on_shot(v->c->user, v->names[i], usable ? NULL : &why, v->done, v->count) != 0)
            v->stop = true;
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

static void survey_all(struct survey *v)
{
    pthread_t threads[64];
    int wanted = v->c->threads < 1 ? 1 : v->c->threads > 64 ? 64 : v->c->threads, started = 0;
    while (started < wanted - 1 && pthread_create(&threads[started], NULL, survey_thread, v) == 0)
        started++;
    survey_thread(v);
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

int train_shots_open(struct train_shots *out, const struct train_shots_conf *c, struct err *e)
{
    struct survey v = {.c = c, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct train_shots s = {.width = c->width, .height = c->height};
    if (fs_mkdirs(c->cache, e) != 0 || train__names(c->data, is_shot, &v.names, &v.count, e) != 0)
        return -1;
    v.items = calloc((size_t)v.count + 1, sizeof *v.items);
    v.usable = calloc((size_t)v.count + 1, sizeof *v.usable);
    if (!v.items || !v.usable)
        abort();
    survey_all(&v);
    for (int i = 0; i < v.count; i++)
        if (v.usable[i])
            v.items[s.count++] = v.items[i];
    s.items = v.items;
    s.bad = v.done - s.count;
    free(v.usable);
    train__names_free(v.names, v.count);
    if (v.stop)
        err_set(e, ERR_canceled_by_user, "interrupted");
    else if (s.count == 0)
        err_set(e, ERR_params_invalid, "%s: no shot in it can be used (%d looked at)", c->data, v.count);
    if (v.stop || s.count == 0) {
        train_shots_free(&s);
        return -1;
    }
    *out = s;
    return 0;
}

void train_shots_free(struct train_shots *s)
{
    for (int i = 0; i < s->count; i++)
        shot_fini(&s->items[i]);
    free(s->items);
    *s = (struct train_shots){0};
}

/* ---- reading ---- */

static void mirror(uint8_t *pixels, int32_t width, int32_t height, int channels)
{
    for (int32_t y = 0; y < height; y++) {
        uint8_t *row = pixels + (size_t)y * (size_t)width * (size_t)channels;
        for (int32_t a = 0, b = width - 1; a < b; a++, b--)
            for (int k = 0; k < channels; k++) {
                uint8_t kept = row[a * channels + k];
                row[a * channels + k] = row[b * channels + k];
                row[b * channels + k] = kept;
            }
    }
}

static int read_frame(int fd, int64_t frame, size_t bytes, uint8_t *to, const char *name, struct err *e)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t n = pread(fd, to + got, bytes - got, (off_t)((int64_t)bytes * frame + (int64_t)got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, ERR_internal, "%s: frame %lld cannot be read from the cache: %s", name, (long long)frame,
                           n < 0 ? strerror(errno) : "the file is too short");
        got += (size_t)n;
    }
    return 0;
}

int train_shot_color(const struct train_shots *s, int shot, int64_t frame, bool mirrored, uint8_t *rgb, struct err *e)
{
    const struct train_shot *t = &s->items[shot];
    if (read_frame(t->color_fd, frame, (size_t)s->width * (size_t)s->height * 3, rgb, t->name, e) != 0)
        return -1;
    if (mirrored)
        mirror(rgb, s->width, s->height, 3);
    return 0;
}

int train_shot_lines(const struct train_shots *s, int shot, int64_t frame, bool mirrored, uint8_t *grey, struct err *e)
{
    const struct train_shot *t = &s->items[shot];
    if (read_frame(t->lines_fd, frame, (size_t)s->width * (size_t)s->height, grey, t->name, e) != 0)
        return -1;
    if (mirrored)
        mirror(grey, s->width, s->height, 1);
    return 0;
}

/* ---- lines that nobody gave ---- */

static int extract(struct train_shots *s, struct train_shot *t, train_lines_fn fn, void *user, struct err *e)
{
    size_t pixels = (size_t)s->width * (size_t)s->height;
    uint8_t *rgb = malloc(pixels * 3 * EXTRACT_FRAMES), *lines = malloc(pixels * EXTRACT_FRAMES);
    char part[FS_PATH_MAX];
    int fd = -1, failed = -1;
    if (!rgb || !lines || snprintf(part, sizeof part, "%s.partial", t->lines_path) >= (int)sizeof part) {
        err_set(e, ERR_internal, "no memory for lines");
        goto out;
    }
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int64_t first = 0; fd >= 0 && first < t->frames; first += EXTRACT_FRAMES) {
        int32_t n = t->frames - first < EXTRACT_FRAMES ? (int32_t)(t->frames - first) : EXTRACT_FRAMES;
        for (int32_t i = 0; i < n; i++)
            if (read_frame(t->color_fd, first + i, pixels * 3, rgb + pixels * 3 * (size_t)i, t->name, e) != 0)
                goto out;
        if (fn(user, rgb, n, lines, e) != 0)
            goto out;
        if (fs_write_all(fd, lines, pixels * (size_t)n) != 0)
            break;
        failed = first + n == t->frames ? 0 : -1;
    }
    if (failed || rename(part, t->lines_path) != 0) {
        failed = err_set(e, ERR_storage_full, "%s: %s", t->lines_path, strerror(errno));
        goto out;
    }
    t->lines_fd = open(t->lines_path, O_RDONLY | O_CLOEXEC);
    failed = t->lines_fd < 0 ? err_set(e, ERR_internal, "%s cannot be read back", t->lines_path) : 0;
out:
    if (fd >= 0)
        close(fd);
    free(rgb);
    free(lines);
    return failed;
}

int train_shots_extract(struct train_shots *s, train_lines_fn fn, void *user, struct err *e)
{
    for (int i = 0; i < s->count; i++)
        if (s->items[i].lines_fd < 0 && extract(s, &s->items[i], fn, user, e) != 0)
            return -1;
    return 0;
}
