/* problem.h - errors as application/problem+json (RFC 9457). Any thread. */
#ifndef LONGANIM_API_PROBLEM_H
#define LONGANIM_API_PROBLEM_H

#include "answer.h"

/* The problem document of `e` for a request on `path`. Members: type, title, status, detail, instance, code,
 * retryable, trace_id and, when a field is to blame, errors[]. Retryable ones carry Retry-After. status: 0 = the code's
 * own. */
struct answer *problem_answer(const struct err *e, int status, const char *path, const char *trace_id);

#endif
