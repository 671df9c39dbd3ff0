/* courier.h - delivers webhooks: takes what is due out of the outbox that the queue's scripts fill, signs it (Standard
 * Webhooks), posts it, and puts it back for later when that fails. Any number of programs may do so side by side. */
#ifndef LONGANIM_API_COURIER_H
#define LONGANIM_API_COURIER_H

#include "base/err.h"

struct app;
struct courier;

int courier_start(struct courier **out, struct app *app, struct err *e);
void courier_stop(struct courier *c); /* NULL is fine */

#endif
