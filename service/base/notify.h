/* notify.h - tells the service manager how the program is: sd_notify(3)'s protocol, one datagram to NOTIFY_SOCKET; and,
 * for probes of managers that know files only, the time of a file. Everything does nothing where there is no manager.
 * Any thread, after notify_init. */
#ifndef LONGANIM_BASE_NOTIFY_H
#define LONGANIM_BASE_NOTIFY_H

#include <stdint.h>

/* `socket`: NOTIFY_SOCKET's value (a path, or '@' and an abstract name; "" = no manager); watchdog_us: WATCHDOG_USEC's;
 * alive_file: is made, and its time renewed every ten seconds ("" = none; borrowed). Before there are threads. */
void notify_init(const char *socket, int64_t watchdog_us, const char *alive_file);

void notify_ready(void);
void notify_stopping(void);

/* How often notify_alive must be called; 0 = nobody watches. */
int64_t notify_watchdog_ms(void);
/* Cheap: more often than needed costs nothing. */
void notify_alive(void);

#endif
