/* operator.h - what operators do to queues and to jobs of any key. All need the scope admin. */
#ifndef LONGANIM_API_OPERATOR_H
#define LONGANIM_API_OPERATOR_H

#include "req.h"

void operator_queues(struct req *r, struct worker *w);     /* GET /queues */
void operator_pause(struct req *r, struct worker *w);      /* POST /queues/{pool}/pause */
void operator_resume(struct req *r, struct worker *w);     /* POST /queues/{pool}/resume */
void operator_dead(struct req *r, struct worker *w);       /* GET /dead */
void operator_redrive(struct req *r, struct worker *w);    /* POST /dead/redrive */
void operator_purge_dead(struct req *r, struct worker *w); /* POST /dead/purge */
void operator_purge_job(struct req *r, struct worker *w);  /* POST /jobs/{id}/purge */

#endif
