/* engine_child.h - the process that holds the model: `longanim-worker --engine`. It knows neither Redis nor the store,
 * and may crash, hang or be killed at any time. */
#ifndef LONGANIM_WORKER_ENGINE_CHILD_H
#define LONGANIM_WORKER_ENGINE_CHILD_H

#include "base/config.h"

enum { ENGINE_CHILD_FD = 3 };

/* Serves runs over descriptor ENGINE_CHILD_FD until it is closed; returns the exit status. low_memory: plan for half
 * of the device memory that the model would like. */
int engine_child(const struct config *c, bool low_memory);

#endif
