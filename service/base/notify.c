#include "base/notify.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct sockaddr_un to;
    socklen_t to_size; /* 0 = no manager */
    int64_t watchdog_ms;
    const char *alive_file;
} manager;
enum { FILE_MS = 30000 };
static atomic_llong told_ms; /* mono, of the last sign of life */

void notify_init(const char *socket, int64_t watchdog_us, const char *alive_file)
{
    size_t size = strlen(socket);
    manager.alive_file = alive_file;
    manager.to_size = 0;
    if ((socket[0] != '/' && socket[0] != '@') || size < 2 || size >= sizeof manager.to.sun_path)
        return;
    manager.to.sun_family = AF_UNIX;
    memcpy(manager.to.sun_path, socket, size + 1);
    if (socket[0] == '@')
        manager.to.sun_path[0] = '\0';
    manager.to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    manager.watchdog_ms = watchdog_us / 1000;
}

/* A manager that is away or busy is not our trouble. */
static void tell(const char *state)
{
    if (manager.to_size == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    ssize_t sent =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&manager.to, manager.to_size);
    (void)sent;
    close(fd);
}

void notify_ready(void)
{
    tell("READY=1");
}

void notify_stopping(void)
{
    tell("STOPPING=1");
}

int64_t notify_watchdog_ms(void)
{
    if (manager.to_size > 0 && manager.watchdog_ms > 0)
        return manager.watchdog_ms / 3;
    return manager.alive_file && manager.alive_file[0] ? FILE_MS / 3 : 0;
}

void notify_alive(void)
{
    int64_t every_ms = notify_watchdog_ms(), now_ms = clock_mono_ms();
    if (every_ms == 0 || now_ms - atomic_load(&told_ms) < every_ms / 2)
        return;
    atomic_store(&told_ms, now_ms);
    if (manager.watchdog_ms > 0)
        tell("WATCHDOG=1");
    if (!manager.alive_file[0])
        return;
    int fd = open(manager.alive_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd >= 0) {
        futimens(fd, NULL);
        close(fd);
    }
}
