/* meta.h - what the service says about itself: /capabilities, /openapi.json, /docs, /problems/{code}. */
#ifndef LONGANIM_API_META_H
#define LONGANIM_API_META_H

#include "req.h"

void meta_capabilities(struct req *r, struct worker *w);
bool meta_openapi(struct req *r);
bool meta_docs(struct req *r);
bool meta_problem(struct req *r);

#endif
