/* ops.h - the ops listener: /livez, /readyz, /startupz, /metrics, /drain, /scale. No authentication: its port is not
 * for the internet. */
#ifndef LONGANIM_API_OPS_H
#define LONGANIM_API_OPS_H

#include "req.h"

bool ops_live(struct req *r);
bool ops_ready(struct req *r);
bool ops_startup(struct req *r);
bool ops_drain(struct req *r);
void ops_metrics(struct req *r, struct worker *w);
void ops_scale(struct req *r, struct worker *w);

#endif
