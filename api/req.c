#include "req.h"

#include "problem.h"

#include "base/id.h"

#include <string.h>

void req_answer(struct req *r, struct answer *a)
{
    answer_unref(r->answer);
    r->answer = a;
}

void req_problem(struct req *r, const struct err *e)
{
    req_problem_as(r, e, 0);
}

void req_problem_as(struct req *r, const struct err *e, int status)
{
    if (!r->trace_id[0])
        id_random_hex(r->trace_id, 16);
    req_answer(r, problem_answer(e, status, r->target.path ? r->target.path : "/", r->trace_id));
}

void req_done_answer(struct req *r, struct answer *a)
{
    req_answer(r, a);
    req_done(r);
}

void req_done_problem(struct req *r, const struct err *e)
{
    req_problem(r, e);
    req_done(r);
}
