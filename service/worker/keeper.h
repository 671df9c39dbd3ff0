/* keeper.h - housekeeping beside the jobs: ended leases and backoffs, what Redis forgot, what nobody refers to. Any
 * number of programs may do it at once; the api does the same, so that neither depends on the other. */
#ifndef LONGANIM_WORKER_KEEPER_H
#define LONGANIM_WORKER_KEEPER_H

#include "base/config.h"
#include "ledger/ledger.h"
#include "queue/queue.h"
#include "store/store.h"
#include "worker/scratch.h"

struct keeper;

/* Starts the thread. Everything is borrowed until keeper_stop. */
int keeper_start(struct keeper **out, const struct config *c, struct store *store, const struct scratch *scratch,
                 struct err *e);
void keeper_stop(struct keeper *k); /* NULL is fine */

#endif
