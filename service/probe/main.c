/* longanim-probe - looks at strangers' media files, and decodes them, in sandboxed processes.
 *
 * --serve   for longanim-api: requests with descriptors on 3, one sandboxed child each
 * --decode  for a media_reader: this process itself goes into the sandbox (media/media_wire.h)
 * FILE…     for people: one line of JSON for each file */
#include "base/config.h"
#include "base/json.h"
#include "base/log.h"
#include "media/media_wire.h"
#include "probe/probe_wire.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: longanim-probe [--still] FILE...\n"
    "  Says what each file is, or why it would be refused, as one line of JSON.\n"
    "  --still  the files are reference pictures, not videos\n"
    "Exit status: 0 all accepted, 1 a file cannot be opened, 2 wrong usage, 3 a file is refused.\n";

static json_t *describe(const struct media_info *i)
{
    static const char *const kinds[] = {"video", "still", "frames_zip"};
    char rate[32];
    snprintf(rate, sizeof rate, "%d/%d", i->fps_num, i->fps_den);
    json_t *o = json_object();
    json_put_str(o, "kind", kinds[i->kind]);
    json_put_str(o, "container", i->container);
    json_put_str(o, "codec", i->codec);
    json_put_str(o, "pixel_format", i->pixel_format);
    json_put_int(o, "width", i->width);
    json_put_int(o, "height", i->height);
    json_put_int(o, "frames", i->frames);
    json_put_str(o, "fps", i->fps_num ? rate : NULL);
    json_put_bool(o, "variable_rate", i->variable_rate);
    json_put_bool(o, "has_alpha", i->has_alpha);
    json_put_bool(o, "has_audio", i->has_audio);
    json_put_int(o, "rotation", i->rotation);
    json_put_int(o, "start_us", i->start_us);
    json_put_int(o, "duration_us", i->duration_us);
    return o;
}

static int probe_file(const char *path, bool as_still)
{
    struct media_limits limits;
    struct media_info info;
    struct err e = {0};
    media_limits_default(&limits);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    json_t *line = json_object();
    json_put(line, "file", json_safe_string(path));
    int result = probe_once(fd, as_still, &limits, &info, &e);
    if (result == 0) {
        json_put(line, "info", describe(&info));
    } else {
        json_put_str(line, "code", err_info(e.code)->name);
        json_put_str(line, "detail", e.detail);
    }
    char *text = json_text(line, false);
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(line);
    close(fd);
    return result == 0 ? 0 : 3;
}

/* What the sandboxed children of this process need from the outside, asked for before any of them exists. libarchive
 * turns names into the locale's encoding and in any but UTF-8 loses them; this process prints no numbers in words of
 * a language, so only the character type is set. And it turns DOS times into local ones, for which the C library would
 * open files. */
static void settle_environment(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "en_US.UTF-8");
    setenv("TZ", "UTC0", 1);
    tzset();
    signal(SIGPIPE, SIG_IGN);
}

static int probe_files(int argc, char **argv)
{
    bool as_still = argc > 1 && strcmp(argv[1], "--still") == 0;
    int first = as_still ? 2 : 1, worst = 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (first >= argc || argv[first][0] == '-') {
        fputs(usage, stderr);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        int status = probe_file(argv[i], as_still);
        worst = status > worst ? status : worst;
    }
    return worst;
}

int main(int argc, char **argv)
{
    struct config c;
    struct err e = {0};
    settle_environment();
    log_init("probe", LOG_WARN);
    if (argc == 2 && strcmp(argv[1], "--decode") == 0)
        return media_decode_child();
    if (argc != 2 || strcmp(argv[1], "--serve") != 0)
        return probe_files(argc, argv);
    if (config_read(&c, CONFIG_PROBE, &argc, argv, true, &e) != 0) {
        fprintf(stderr, "longanim-probe: %s\n", e.detail);
        return 2;
    }
    log_init("probe", (enum log_level)log_level_by_name(c.log_level));
    config_free(&c);
    return probe_serve(PROBE_SOCKET_FD);
}
