#include "base/fault.h"

#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct point {
    const char *name, *doc;
} points[] = {
#define FAULT_POINT(name, doc) {name, doc},
#define FAULT_SCRIPT(name)                                                                                             \
    {"redis." name ".before", "the script was not sent"},                                                              \
        {"redis." name ".after", "the script was carried out, its answer is lost"},
#include "base/fault_table.h"
};
enum { POINTS = sizeof points / sizeof *points };

static const char *const actions[] = {"die", "stall", "error"};
enum action { DIE, STALL, ERROR, ACTIONS };

bool fault__armed;
static struct {
    const char *point; /* of the table */
    enum action action;
    char file[256]; /* "" = none */
    pthread_mutex_t lock;
    long left; /* passings until it strikes; guarded by lock */
} armed = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* True once, when it is time. */
static bool is_due(void)
{
    pthread_mutex_lock(&armed.lock);
    bool due = armed.left > 0 && --armed.left == 0;
    pthread_mutex_unlock(&armed.lock);
    if (!due || !armed.file[0])
        return due;
    int fd = open(armed.file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int fault__pass(const char *point)
{
    if (strcmp(point, armed.point) != 0 || !is_due())
        return 0;
    log_event(LOG_WARN, "fault.strikes", "point", "s", point, "action", "s", actions[armed.action], NULL);
    if (armed.action == DIE)
        kill(getpid(), SIGKILL);
    if (armed.action == STALL)
        kill(getpid(), SIGSTOP);
    return armed.action == ERROR;
}

static const char *find_point(const char *name, size_t size)
{
    for (int i = 0; i < POINTS; i++)
        if (strlen(points[i].name) == size && memcmp(points[i].name, name, size) == 0)
            return points[i].name;
    return NULL;
}

static int unknown_point(const char *name, size_t size, struct err *e)
{
    const char *names[POINTS];
    char wanted[64];
    for (int i = 0; i < POINTS; i++)
        names[i] = points[i].name;
    snprintf(wanted, sizeof wanted, "%.*s", (int)(size < 63 ? size : 63), name);
    return err_set_field(e, ERR_params_invalid, "LONGANIM_FAULT", "no point \"%s\"; the nearest is %s", wanted,
                         text_nearest(wanted, names, POINTS));
}

int fault_arm(const char *setting, bool enabled, struct err *e)
{
    size_t name_size = strcspn(setting, ":@");
    const char *rest = setting + name_size;
    int action = -1;
    if (!setting[0])
        return 0;
    if (!enabled)
        return err_set_field(e, ERR_params_invalid, "LONGANIM_FAULT",
                             "faults are for tests; nothing starts with one unless LONGANIM_FAULT_ENABLE=1 is set too");
    const char *point = find_point(setting, name_size);
    if (!point)
        return unknown_point(setting, name_size, e);
    size_t action_size = *rest == ':' ? strcspn(++rest, ":@") : 0;
    for (int i = 0; i < ACTIONS; i++)
        if (strlen(actions[i]) == action_size && memcmp(actions[i], rest, action_size) == 0)
            action = i;
    rest += action_size;
    char *end = (char *)(uintptr_t)rest;
    long nth = *rest == ':' ? strtol(rest + 1, &end, 10) : 1;
    if (action < 0 || nth < 1 || (*end && *end != '@') ||
        text_copy(armed.file, sizeof armed.file, *end ? end + 1 : "") != 0)
        return err_set_field(e, ERR_params_invalid, "LONGANIM_FAULT",
                             "give point:die, point:stall or point:error, then :nth and @file if wanted");
    armed.point = point;
    armed.action = (enum action)action;
    armed.left = nth;
    fault__armed = true;
    log_event(LOG_WARN, "fault.armed", "point", "s", point, "action", "s", actions[action], "nth", "i", (int64_t)nth,
              NULL);
    return 0;
}

void fault_each(void (*fn)(void *user, const char *point, const char *doc), void *user)
{
    for (int i = 0; i < POINTS; i++)
        fn(user, points[i].name, points[i].doc);
}
