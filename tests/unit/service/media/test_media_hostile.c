/* A decoder that was taken over: what it says must not harm its reader. This program plays both sides: it copies itself
 * into a folder of its own, where it is found as longanim-probe and behaves as HOSTILE says. */
#include "media/media_wire.h"

#include "base/fs.h"
#include "base/log.h"

#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum mode {
    GARBAGE,
    TOO_LARGE,
    TOO_MANY_FRAMES,
    NEGATIVE_SIZE,
    BAD_CHANNELS,
    BAD_TEXT,
    BAD_SLOT,
    BAD_ORDER,
    TIME_STANDS_STILL,
    ENDLESS_NAME,
    MORE_THAN_ANNOUNCED,
    FEWER_THAN_ANNOUNCED,
    FALSE_BLAME,
    ODD_CODE,
    SILENT_END,
    BUSY_SILENCE,
    MODES
};

/* ---- the decoder ---- */
static struct wire_message message;

static void say(enum wire_type type)
{
    message.type = (int32_t)type;
    if (write(WIRE_CONTROL_FD, &message, sizeof message) < 0)
        _exit(1);
}

static void announce(enum mode mode)
{
    struct media_info *i = &message.info;
    *i = (struct media_info){.kind = MEDIA_VIDEO, .width = 8, .height = 8, .frames = 2, .fps_num = 24, .fps_den = 1};
    message.channels = mode == BAD_CHANNELS ? 300 : 3;
    message.tb_num = message.tb_den = 1;
    if (mode == TOO_LARGE)
        i->width = i->height = 1 << 20;
    if (mode == NEGATIVE_SIZE)
        i->width = -8;
    if (mode == TOO_MANY_FRAMES)
        i->frames = INT64_MAX;
    if (mode == BAD_TEXT)
        memset(i->codec, 'x', sizeof i->codec);
    say(WIRE_INFO);
}

static void send_frames(enum mode mode)
{
    int count = mode == MORE_THAN_ANNOUNCED ? 3 : mode == FEWER_THAN_ANNOUNCED ? 1 : 2;
    for (int i = 0; i < count; i++) {
        message.slot = mode == BAD_SLOT ? 1000000 : i;
        message.index = mode == BAD_ORDER ? 1 - i : i;
        message.pts = mode == TIME_STANDS_STILL ? 5 : i;
        if (mode == ENDLESS_NAME)
            memset(message.name, 'n', sizeof message.name);
        say(WIRE_FRAME);
    }
}

static void blame(enum err_code code)
{
    message.err.code = code;
    memset(message.err.detail, 'd', sizeof message.err.detail);
    if (code == ERR_unauthenticated)
        snprintf(message.err.detail, sizeof message.err.detail, "it was not me");
    say(WIRE_ERROR);
}

static int be_hostile(enum mode mode)
{
    struct wire_request request;
    struct wire_order order;
    if (read(WIRE_CONTROL_FD, &request, sizeof request) != (ssize_t)sizeof request)
        return 1;
    if (mode == SILENT_END)
        return 0;
    if (mode == BUSY_SILENCE)
        for (;;)
            request.alpha++;
    if (mode == GARBAGE)
        return write(WIRE_CONTROL_FD, "garbage", 7) != 7;
    if (mode == FALSE_BLAME || mode == ODD_CODE) {
        blame(mode == FALSE_BLAME ? ERR_unauthenticated : (enum err_code)123456);
    } else {
        announce(mode);
        if (read(WIRE_CONTROL_FD, &order, sizeof order) != (ssize_t)sizeof order)
            return 1;
        send_frames(mode);
        say(WIRE_END);
    }
    while (read(WIRE_CONTROL_FD, &order, sizeof order) > 0)
        ;
    return 0;
}

/* ---- the reader ---- */
static void no_lie_is_believed(void **state)
{
    struct media_limits limits;
    (void)state;
    media_limits_default(&limits);
    limits.cpu_seconds = 1;
    for (int mode = 0; mode < MODES; mode++) {
        char text[16];
        struct media_reader *r = NULL;
        struct media_frame f;
        struct err e = {0};
        int got = -1;
        snprintf(text, sizeof text, "%d", mode);
        setenv("HOSTILE", text, 1);
        if (media_reader_open(&r, "/proc/self/exe", false, &limits, &e) == 0)
            while ((got = media_reader_next(r, &f, &e)) == 1) {
                /* Whatever is handed out can be read. */
                volatile uint8_t sum = 0;
                for (int i = 0; i < f.width * f.height * f.channels; i++)
                    sum = (uint8_t)(sum + f.pixels[i]);
            }
        if (got != -1)
            fail_msg("lie %d was believed", mode);
        assert_int_equal(e.code, mode == BUSY_SILENCE ? ERR_media_decode_timeout : ERR_media_unreadable);
        media_reader_close(r);
    }
}

static int move_to_a_folder_of_our_own(void)
{
    char folder[] = "/tmp/longanim-hostile-XXXXXX", program[PATH_MAX], link_path[PATH_MAX];
    if (!mkdtemp(folder))
        return 1;
    snprintf(program, sizeof program, "%s/test", folder);
    snprintf(link_path, sizeof link_path, "%s/longanim-probe", folder);
    if (fs_copy("/proc/self/exe", program, NULL) != 0 || chmod(program, 0700) != 0 || symlink("test", link_path) != 0)
        return 1;
    execl(program, program, "run", folder, (char *)NULL);
    return 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_lie_is_believed)};
    const char *mode = getenv("HOSTILE");
    if (argc == 2 && mode)
        return be_hostile((enum mode)strtol(mode, NULL, 10));
    if (argc != 3)
        return move_to_a_folder_of_our_own();
    log_init("test", LOG_ERROR);
    signal(SIGPIPE, SIG_IGN);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fs_remove_tree(argv[2], NULL);
    return failed;
}
