/* jobs.h - /jobs and /jobs/{id}. */
#ifndef LONGANIM_API_JOBS_H
#define LONGANIM_API_JOBS_H

#include "cache.h"
#include "job/manifest.h"
#include "req.h"

/* The job that a request names, if its tenant may see it; from the cache or the queue. job_not_found (also for other
 * tenants' jobs, word for word), job_purged, dependency_redis. Returns a reference. */
int jobs_read(struct req *r, struct worker *w, struct snapshot **out, struct err *e);

/* Answers a creation (the request is suspended): 202 with the job, or waits up to wait_s for its end. replay_id: the
 * job of an earlier request; "" = m's. */
void jobs_created(struct req *r, struct worker *w, const char *replay_id, const struct manifest *m, int64_t wait_s);

bool jobs_get_now(struct req *r);
void jobs_get(struct req *r, struct worker *w);
void jobs_list(struct req *r, struct worker *w);
void jobs_cancel(struct req *r, struct worker *w);
/* Deletes the job of the route, if it has ended. */
int jobs_remove(struct req *r, struct worker *w, struct err *e);

void jobs_delete(struct req *r, struct worker *w);
void jobs_retry(struct req *r, struct worker *w);

#endif
