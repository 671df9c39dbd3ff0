/* A copy of the result for the place that the job names. The service's own store has it already; when the place cannot
 * be had the job waits in the queue, as for any trouble with stores, and everything but this step is soon done again.
 */
#include "worker/run.h"

#include "base/log.h"
#include "job/place.h"

#include <stdio.h>
#include <string.h>

enum { TRIES = 3 };

static int open_place(const struct run *r, struct store **out, struct err *e)
{
    char url[PLACE_URL_MAX];
    if (place_find(r->w->conf->output_to, r->manifest.tenant, r->manifest.params.output_to, url, e) != 0)
        return -1;
    return store_open(out, url, e);
}

enum step run_deliver(struct run *r)
{
    const char *dot = strrchr(r->result.path, '.');
    struct store *place = NULL;
    char key[STORE_KEY_MAX];
    int64_t pause_ms = 0;
    enum step s = STEP_GO_ON;
    if (!r->manifest.params.output_to[0])
        return STEP_GO_ON;
    if (open_place(r, &place, &r->why) != 0)
        return STEP_FAIL;
    snprintf(key, sizeof key, "%s%s", r->lease.job_id, dot ? dot : "");
    for (int i = 1; s == STEP_GO_ON; i++) {
        struct err e = {0};
        if ((s = run_check(r)) != STEP_GO_ON)
            break;
        if (store_put_file(place, key, r->result.path, r->result.sha256, false, &e) == 0) {
            log_event_to(&r->notes, LOG_INFO, "job.delivered", "job", "s", r->lease.job_id, "bytes", "i",
                         r->result.bytes, NULL);
            break;
        }
        if (i == TRIES) {
            err_set(&r->why, ERR_storage_unavailable, "the result cannot be sent to output.to: %.200s", e.detail);
            s = STEP_FAIL;
        } else {
            s = run_patience(r, &e, &pause_ms);
        }
    }
    store_close(place);
    return s;
}
