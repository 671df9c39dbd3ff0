/* body.h - the small JSON body of a request. */
#ifndef LONGANIM_API_BODY_H
#define LONGANIM_API_BODY_H

#include "req.h"

#include <jansson.h>

/* The body as an object with no members but `known` (NULL-terminated); a new reference. `optional`: no body at all is
 * an empty object. unsupported_media_type, bad_request, params_invalid naming the member. */
int body_object(struct req *r, bool optional, const char *const *known, json_t **out, struct err *e);

#endif
