/* artifacts.h - files beside a job's result: palette.json, planes, contact sheet. What there is says the receipt. */
#ifndef LONGANIM_API_ARTIFACTS_H
#define LONGANIM_API_ARTIFACTS_H

#include "req.h"

void artifacts_list(struct req *r, struct worker *w);
void artifacts_get(struct req *r, struct worker *w);

#endif
