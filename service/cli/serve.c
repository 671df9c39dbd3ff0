/* `longanim serve`: a Redis, the API, a worker and a folder as store, under one roof. Children are restarted with a
 * growing pause; on SIGINT or SIGTERM the API and the worker end first, Redis last. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/serve_child.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/text.h"
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REDIS_START_MS = 60000, /* a long append-only file takes time to load */
    TICK_MS = 100,
    STOP_MS = 18000,
    REDIS_STOP_MS = 5000,
    ENV_MAX = 64,
};

struct serve {
    const struct config *conf;
    char data[FS_PATH_MAX]; /* absolute */
    char redis_dir[FS_PATH_MAX], store_dir[FS_PATH_MAX], socket[sizeof((struct sockaddr_un){0}.sun_path)];
    char socket_dir[64]; /* "" = the socket is inside the data folder */
    int lock_fd, signal_fd;
    int signals;
    char *env[ENV_MAX]; /* of api and worker; owned */
    int env_count;
    struct serve_child redis, api, worker;
    bool announced;
};

/* ---- folders and settings ---- */

static int open_data(struct serve *s, struct err *e)
{
    char path[FS_PATH_MAX];
    if (!s->conf->data[0])
        return err_set(e, ERR_params_invalid, "--data DIR is needed");
    if (fs_mkdirs(s->conf->data, e) != 0)
        return -1;
    char *real = realpath(s->conf->data, NULL);
    int failed = !real || text_copy(s->data, sizeof s->data, real) != 0;
    free(real);
    if (failed)
        return err_set(e, ERR_params_invalid, "%s: %s", s->conf->data, strerror(errno));
    if (fs_join(path, s->data, "lock", e) != 0)
        return -1;
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return err_set(e, ERR_internal, "%s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, ERR_internal, "another longanim serve is using %s", s->data);
    if (fs_join(s->redis_dir, s->data, "redis", e) != 0 || fs_join(s->store_dir, s->data, "store", e) != 0 ||
        fs_mkdirs(s->redis_dir, e) != 0 || fs_mkdirs(s->store_dir, e) != 0)
        return -1;
    static const char *const stale[] = {"api.addr", "ops.addr"};
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++)
        if (fs_join(path, s->data, stale[i], NULL) == 0)
            unlink(path);
    return 0;
}

/* A socket's path has at most 107 bytes; below a deep data folder it goes to a short one of its own. */
static int place_socket(struct serve *s, struct err *e)
{
    char path[FS_PATH_MAX];
    if (fs_join(path, s->data, "redis.sock", e) != 0)
        return -1;
    if (text_copy(s->socket, sizeof s->socket, path) == 0)
        return 0;
    snprintf(s->socket_dir, sizeof s->socket_dir, "/tmp/longanim-XXXXXX");
    if (!mkdtemp(s->socket_dir))
        return err_set(e, ERR_internal, "%s: %s", s->socket_dir, strerror(errno));
    snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->socket_dir);
    return 0;
}

/* Sets a variable; a later value replaces an earlier one. */
static void add_env(struct serve *s, const char *name, const char *value)
{
    char *row = NULL;
    size_t length = strlen(name);
    int i = 0;
    while (i < s->env_count && (strncmp(s->env[i], name, length) != 0 || s->env[i][length] != '='))
        i++;
    if (i == ENV_MAX - 1 || asprintf(&row, "%s=%s", name, value) < 0)
        abort();
    free(s->env[i]);
    s->env[i] = row;
    s->env_count += i == s->env_count;
}

static void add_int(struct serve *s, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    add_env(s, name, text);
}

/* What serve was told by file and flags, its children are told by environment. */
static int make_env(struct serve *s, struct err *e)
{
    const struct config *c = s->conf;
    struct engine_model models[ENGINE_MODELS_MAX];
    char url[FS_PATH_MAX + 8], shipped[ENGINE_PATH_MAX + 80];
    if (engine_models_parse(c->models, models, e) < 0)
        return -1;
#define CONFIG_STR(field, env_name, flag, fallback, who, doc)                                                          \
    if (((who)&CONFIG_SERVE) && env_name[0])                                                                           \
        add_env(s, env_name, c->field);
#define CONFIG_INT(field, env_name, flag, fallback, min, max, who, doc)                                                \
    if ((who)&CONFIG_SERVE)                                                                                            \
        add_int(s, env_name, c->field);
#define CONFIG_PIXELS(field, env_name, flag, fallback, min, max, who, doc)                                             \
    if ((who)&CONFIG_SERVE)                                                                                            \
        add_int(s, env_name, c->field);
#include "base/config_table.h"
    if (!c->models[0]) { /* said in so many words, so that the API knows the name before the worker is up */
        snprintf(shipped, sizeof shipped, "%s=%s", models[0].name, models[0].dir);
        add_env(s, "LONGANIM_MODELS", shipped);
    }
    add_env(s, "LONGANIM_DATA", s->data);
    snprintf(url, sizeof url, "unix:%s", s->socket);
    add_env(s, "LONGANIM_REDIS", url);
    snprintf(url, sizeof url, "file:%s", s->store_dir);
    add_env(s, "LONGANIM_STORE", url);
    return 0;
}

/* ---- redis ---- */

static int start_redis(struct serve *s, struct err *e)
{
    char *argv[] = {"env",
                    "redis-server",
                    "--port",
                    "0",
                    "--unixsocket",
                    s->socket,
                    "--unixsocketperm",
                    "700",
                    "--dir",
                    s->redis_dir,
                    "--appendonly",
                    "yes",
                    "--appendfsync",
                    "always",
                    "--save",
                    "",
                    "--maxmemory-policy",
                    "noeviction",
                    "--daemonize",
                    "no",
                    "--loglevel",
                    "warning",
                    "--aof-load-truncated",
                    "yes",
                    "--protected-mode",
                    "yes",
                    NULL};
    return serve_child_start(&s->redis, "/usr/bin/env", argv, NULL, e);
}

/* Says PING; true when Redis answers PONG (and not that it is loading). */
static bool redis_answers(const struct serve *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 1};
    char answer[8] = "";
    memcpy(to.sun_path, s->socket, sizeof to.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool up = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && fs_write_all(fd, "PING\r\n", 6) == 0 &&
              fs_read_all(fd, answer, 5) == 5 && memcmp(answer, "+PONG", 5) == 0;
    close(fd);
    return up;
}

/* ---- supervising ---- */

static void read_signals(struct serve *s, int timeout_ms)
{
    struct pollfd p = {.fd = s->signal_fd, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&p, 1, timeout_ms) <= 0)
        return;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGHUP)
            s->signals++;
        else if (s->api.pid > 0)
            kill(s->api.pid, SIGHUP);
}

static int await_redis(struct serve *s, struct err *e)
{
    int64_t until_ms = clock_mono_ms() + REDIS_START_MS;
    while (!redis_answers(s)) {
        if (s->signals > 0)
            return err_set(e, ERR_canceled_by_user, "stopped");
        if (serve_child_ended(&s->redis))
            return err_set(e, ERR_dependency_redis, "redis-server cannot be started (is it installed?)");
        if (clock_mono_ms() > until_ms)
            return err_set(e, ERR_dependency_redis, "redis-server does not answer");
        read_signals(s, 20);
    }
    return 0;
}

static int start_program(struct serve *s, struct serve_child *child, const char *program, struct err *e)
{
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    if (fs_program_dir(folder, e) != 0 || fs_join(path, folder, program, e) != 0)
        return -1;
    char *argv[] = {path, NULL};
    return serve_child_start(child, path, argv, s->env, e);
}

/* Port 0 means any, but only once: a restarted API keeps the address that was told to people. */
static void keep_address(struct serve *s)
{
    static const struct {
        const char *file, *env;
    } rows[] = {{"api.addr", "LONGANIM_LISTEN"}, {"ops.addr", "LONGANIM_OPS_LISTEN"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[FS_PATH_MAX];
        struct buf b;
        buf_init(&b, 300);
        if (fs_join(path, s->data, rows[i].file, NULL) == 0 && access(path, R_OK) == 0 &&
            fs_read(path, &b, NULL) == 0 && b.size > 0) {
            b.data[strcspn(b.data, "\n")] = 0;
            add_env(s, rows[i].env, b.data);
        }
        buf_free(&b);
    }
}

static int start_again(struct serve *s, struct serve_child *child, struct err *e)
{
    if (child == &s->redis)
        return start_redis(s, e);
    if (child == &s->api) {
        keep_address(s);
        return start_program(s, child, "longanim-api", e);
    }
    return start_program(s, child, "longanim-worker", e);
}

static void announce(struct serve *s)
{
    char path[FS_PATH_MAX];
    struct buf b;
    if (s->announced || fs_join(path, s->data, "api.addr", NULL) != 0 || access(path, R_OK) != 0)
        return;
    buf_init(&b, 300);
    if (fs_read(path, &b, NULL) == 0 && b.size > 0) {
        printf("longanim serves http://%.*s from %s; Ctrl-C stops it\n", (int)strcspn(b.data, "\n"), b.data, s->data);
        fflush(stdout);
        s->announced = true;
    }
    buf_free(&b);
}

/* Until a signal comes, or the API cannot be started at all (its address is taken, a setting is wrong). */
static int supervise(struct serve *s, struct err *e)
{
    struct serve_child *all[] = {&s->redis, &s->api, &s->worker};
    while (s->signals == 0) {
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            struct err why = {0};
            bool ended = serve_child_ended(all[i]);
            if (ended && all[i] != &s->redis && !s->announced && all[i]->status != 0 && WIFEXITED(all[i]->status))
                return err_set(e, WEXITSTATUS(all[i]->status) == CLI_USAGE ? ERR_params_invalid : ERR_internal,
                               "%s could not be started", all[i]->name);
            if (serve_child_due(all[i]) && start_again(s, all[i], &why) != 0)
                log_err(LOG_ERROR, "serve.cannot_start", NULL, &why);
        }
        announce(s);
        read_signals(s, s->announced ? TICK_MS : 20);
    }
    return 0;
}

static void stop(struct serve *s)
{
    struct serve_child *first[] = {&s->worker, &s->api};
    int64_t until_ms = clock_mono_ms() + STOP_MS;
    int told = 0;
    do {
        for (; told < (s->signals > 1 ? 2 : 1); told++)
            for (int i = 0; i < 2; i++)
                if (first[i]->pid > 0)
                    kill(first[i]->pid, SIGTERM);
        bool running = false;
        for (int i = 0; i < 2; i++)
            running |= first[i]->pid > 0 && !serve_child_ended(first[i]);
        if (!running)
            break;
        read_signals(s, 20);
    } while (clock_mono_ms() < until_ms);
    for (int i = 0; i < 2; i++)
        serve_child_stop(first[i], 0);
    serve_child_stop(&s->redis, REDIS_STOP_MS);
}

static int run(struct serve *s, struct err *e)
{
    if (open_data(s, e) != 0 || place_socket(s, e) != 0 || proc_signals(&s->signal_fd, e) != 0)
        return -1;
    int failed = make_env(s, e) != 0 || start_redis(s, e) != 0 || await_redis(s, e) != 0 ||
                 start_program(s, &s->api, "longanim-api", e) != 0 ||
                 start_program(s, &s->worker, "longanim-worker", e) != 0 || supervise(s, e) != 0;
    if (failed && s->signals > 0)
        failed = 0; /* stopped before it was up */
    stop(s);
    return failed ? -1 : 0;
}

static int serve(const struct config *c)
{
    struct serve s = {.conf = c, .lock_fd = -1, .signal_fd = -1};
    struct err e = {0};
    serve_child_init(&s.redis, "redis-server");
    serve_child_init(&s.api, "longanim-api");
    serve_child_init(&s.worker, "longanim-worker");
    int failed = run(&s, &e);
    if (failed)
        cli_complain(&e);
    for (int i = 0; i < s.env_count; i++)
        free(s.env[i]);
    if (s.socket_dir[0])
        fs_remove_tree(s.socket_dir, NULL);
    if (s.lock_fd >= 0)
        close(s.lock_fd);
    if (s.signal_fd >= 0)
        close(s.signal_fd);
    return !failed ? CLI_DONE : e.code == ERR_params_invalid ? CLI_USAGE : CLI_FAILED;
}

int cli_serve(int argc, char **argv)
{
    struct cli_args a;
    const struct cli_usage usage = {
        .name = "serve",
        .positional = "",
        .text =
            "Runs everything on this machine until SIGINT or SIGTERM: redis-server, the API, one worker, and a folder "
            "as\n"
            "store, all below --data. A running job is given back at its last segment and goes on at the next start.\n"
            "DIR/api.addr and DIR/ops.addr hold the addresses once they listen.",
        .config = CONFIG_SERVE,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0) {
        log_init("serve", (enum log_level)log_level_by_name(a.config.log_level));
        status = serve(&a.config);
    }
    cli_args_free(&a);
    return status;
}
