/* The reader's side of decoding: starts the child, shares memory with it, watches its time, and believes it nothing but
 * the colour of pixels. No libav here. */
#include "media/media_wire.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"
#include "media/media_int.h"
#include "media/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct media_reader {
    struct media_limits limits;
    struct media_info info;
    pid_t child;
    int control, memory_fd;
    uint8_t *memory;
    size_t memory_size;
    int64_t frame_bytes, next_index, last_pts;
    int32_t channels, tb_num, tb_den;
    int lent_slot; /* what the caller looks at now; -1 = none */
    bool ended;
    struct wire_message message;
};

static double cpu_used(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The child ended without a word. */
static int lost(struct media_reader *r, struct err *e)
{
    int status = 0;
    r->ended = true;
    if (proc_wait(r->child, 5000, &status) != 1)
        status = proc_stop(r->child, 0);
    r->child = 0;
    if (sandbox_verdict(status, e) == 0)
        return err_set(e, ERR_media_unreadable, "decoding ended without an answer");
    return -1;
}

/* Waits for a message, for as long as the child works on it within its time: cpu_seconds for one message, and twenty
 * times that by the clock on the wall for machines that are busy with other things. */
static int await(struct media_reader *r, struct err *e)
{
    double cpu_start = cpu_used(r->child);
    int64_t start_ms = clock_mono_ms();
    for (;;) {
        struct pollfd p = {.fd = r->control, .events = POLLIN};
        int ready = poll(&p, 1, 500);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return err_set(e, ERR_internal, "poll: %s", strerror(errno));
        if (cpu_used(r->child) - cpu_start > (double)r->limits.cpu_seconds ||
            clock_mono_ms() - start_ms > r->limits.cpu_seconds * 20000) {
            kill(r->child, SIGKILL);
            proc_wait(r->child, 5000, NULL);
            r->child = 0;
            r->ended = true;
            return err_set(e, ERR_media_decode_timeout, "decoding one frame took longer than is allowed");
        }
    }
}

/* An error of the child counts only when it is one that a file can cause. */
static int child_error(const struct err *said, struct err *e)
{
    bool known = said->code > ERR_none && said->code < ERR_COUNT && memchr(said->detail, 0, sizeof said->detail);
    if (known && (err_info(said->code)->class == ERR_CLASS_MEDIA || said->code == ERR_payload_too_large ||
                  said->code == ERR_internal))
        return err_set(e, said->code, "%s", said->detail);
    return err_set(e, ERR_media_unreadable, "decoding failed on this file");
}

static int receive(struct media_reader *r, struct err *e)
{
    if (await(r, e) != 0)
        return -1;
    ssize_t got = recv(r->control, &r->message, sizeof r->message, 0);
    if (got != (ssize_t)sizeof r->message)
        return lost(r, e);
    if (r->message.type == WIRE_ERROR) {
        r->ended = true;
        return child_error(&r->message.err, e);
    }
    return 0;
}

static int send_order(struct media_reader *r, const struct wire_order *order, struct err *e)
{
    if (send(r->control, order, sizeof *order, MSG_NOSIGNAL) != (ssize_t)sizeof *order)
        return lost(r, e);
    return 0;
}

static int start_child(struct media_reader *r, int file, struct err *e)
{
    char folder[FS_PATH_MAX], program[FS_PATH_MAX];
    char *argv[] = {(char[]){"longanim-probe"}, (char[]){"--decode"}, NULL};
    int pair[2];
    if (fs_program_dir(folder, e) != 0 || fs_join(program, folder, "longanim-probe", e) != 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(e, ERR_internal, "socketpair: %s", strerror(errno));
    struct proc_fd fds[] = {{file, WIRE_FILE_FD}, {pair[1], WIRE_CONTROL_FD}, {r->memory_fd, WIRE_MEMORY_FD}};
    int result = proc_spawn(&r->child, program, argv, NULL, fds, 3, SIGKILL, e);
    close(pair[1]);
    r->control = pair[0];
    return result;
}

/* Checks what the child announced and gives it memory that it cannot resize. */
static int make_room(struct media_reader *r, struct err *e)
{
    const struct wire_message *m = &r->message;
    if (m->type != WIRE_INFO || !media__info_sane(&m->info, &r->limits) || (m->channels != 3 && m->channels != 4) ||
        m->tb_num <= 0 || m->tb_den <= 0)
        return err_set(e, ERR_media_unreadable, "decoding failed on this file");
    r->info = m->info;
    r->channels = m->channels;
    r->tb_num = m->tb_num;
    r->tb_den = m->tb_den;
    r->frame_bytes = (int64_t)r->info.width * r->info.height * r->channels;
    r->memory_size = (size_t)r->frame_bytes * WIRE_SLOTS + WIRE_SLACK_BYTES;
    if (ftruncate(r->memory_fd, (off_t)r->memory_size) != 0 ||
        fcntl(r->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return err_set(e, ERR_internal, "memory for frames: %s", strerror(errno));
    r->memory = mmap(NULL, r->memory_size, PROT_READ, MAP_SHARED, r->memory_fd, 0);
    if (r->memory == MAP_FAILED) {
        r->memory = NULL;
        return err_set(e, ERR_internal, "memory for frames: %s", strerror(errno));
    }
    struct wire_order go = {.type = WIRE_GO, .frame_bytes = r->frame_bytes};
    return send_order(r, &go, e);
}

static int open_with(struct media_reader **out, const char *path, struct wire_request *request, struct err *e)
{
    int result = -1, file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct media_reader *r = calloc(1, sizeof *r);
    if (!r || file < 0) {
        err_set(e, ERR_internal, "cannot open %s: %s", path, strerror(errno));
        goto out;
    }
    *r = (struct media_reader){.limits = request->limits, .control = -1, .lent_slot = -1, .last_pts = INT64_MIN};
    r->memory_fd = memfd_create("frames", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (r->memory_fd < 0) {
        err_set(e, ERR_internal, "memfd_create: %s", strerror(errno));
        goto out;
    }
    if (start_child(r, file, e) != 0)
        goto out;
    if (send(r->control, request, sizeof *request, MSG_NOSIGNAL) != (ssize_t)sizeof *request) {
        lost(r, e);
        goto out;
    }
    if (receive(r, e) != 0 || make_room(r, e) != 0)
        goto out;
    *out = r;
    r = NULL;
    result = 0;
out:
    if (file >= 0)
        close(file);
    media_reader_close(r);
    return result;
}

int media_reader_open(struct media_reader **out, const char *path, bool alpha, const struct media_limits *l,
                      struct err *e)
{
    struct wire_request request;
    memset(&request, 0, sizeof request);
    request.alpha = alpha;
    request.limits = *l;
    return open_with(out, path, &request, e);
}

const struct media_info *media_reader_info(const struct media_reader *r)
{
    return &r->info;
}

void media_reader_time_base(const struct media_reader *r, int32_t *num, int32_t *den)
{
    *num = r->tb_num;
    *den = r->tb_den;
}

/* A frame must be the next one, within its slot, and later than the one before. */
static bool is_next(const struct media_reader *r, const struct wire_message *m)
{
    bool timed = r->info.kind == MEDIA_VIDEO;
    return m->type == WIRE_FRAME && m->slot >= 0 && m->slot < WIRE_SLOTS && m->index == r->next_index &&
           m->index < r->info.frames && (!timed || m->pts > r->last_pts) && memchr(m->name, 0, sizeof m->name);
}

int media_reader_next(struct media_reader *r, struct media_frame *out, struct err *e)
{
    const struct wire_message *m = &r->message;
    if (r->ended)
        return 0;
    if (r->lent_slot >= 0) {
        struct wire_order release = {.type = WIRE_RELEASE, .slot = r->lent_slot};
        r->lent_slot = -1;
        /* The child may have sent its last frame and ended: its end is read below, not guessed here. */
        if (send(r->control, &release, sizeof release, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
            return err_set(e, ERR_internal, "send: %s", strerror(errno));
    }
    if (receive(r, e) != 0)
        return -1;
    if (m->type == WIRE_END && r->next_index == r->info.frames) {
        r->ended = true;
        return 0;
    }
    if (!is_next(r, m))
        return err_set(e, ERR_media_unreadable, "decoding failed on this file");
    r->next_index++;
    r->last_pts = m->pts;
    r->lent_slot = m->slot;
    *out = (struct media_frame){.pixels = r->memory + m->slot * r->frame_bytes,
                                .width = r->info.width,
                                .height = r->info.height,
                                .channels = r->channels,
                                .index = m->index,
                                .pts = m->pts,
                                .duration = m->duration,
                                .name = m->name[0] ? m->name : NULL};
    return 1;
}

void media_reader_close(struct media_reader *r)
{
    if (!r)
        return;
    if (r->control >= 0)
        close(r->control);
    if (r->child > 0) {
        kill(r->child, SIGKILL);
        proc_wait(r->child, 5000, NULL);
    }
    if (r->memory)
        munmap(r->memory, r->memory_size);
    if (r->memory_fd > 0)
        close(r->memory_fd);
    free(r);
}

int media_still_read(const char *path, int channels, const struct media_limits *l, uint8_t **out_pixels,
                     int32_t *out_width, int32_t *out_height, struct err *e)
{
    struct media_reader *r = NULL;
    struct media_frame f;
    struct wire_request request;
    int result = -1;
    memset(&request, 0, sizeof request);
    request.still = 1;
    request.channels = channels == 4 ? 4 : 3;
    request.limits = *l;
    if (open_with(&r, path, &request, e) != 0)
        return -1;
    int got = media_reader_next(r, &f, e);
    if (got == 0)
        err_set(e, ERR_media_unreadable, "the picture cannot be decoded");
    if (got == 1) {
        uint8_t *copy = malloc((size_t)r->frame_bytes);
        if (copy) {
            memcpy(copy, f.pixels, (size_t)r->frame_bytes);
            *out_pixels = copy;
            *out_width = f.width;
            *out_height = f.height;
            result = 0;
        } else {
            err_set(e, ERR_internal, "no memory for a picture of %d x %d pixels", f.width, f.height);
        }
    }
    media_reader_close(r);
    return result;
}
