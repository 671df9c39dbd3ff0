/* events.h - GET /jobs/{id}/events: server-sent events (WHATWG HTML 9.2). */
#ifndef LONGANIM_API_EVENTS_H
#define LONGANIM_API_EVENTS_H

#include "req.h"

void events_open(struct req *r, struct worker *w);

#endif
