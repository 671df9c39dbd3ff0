/* files.h - what a job made: result, segments, preview, receipt, logs. */
#ifndef LONGANIM_API_FILES_H
#define LONGANIM_API_FILES_H

#include "cache.h"
#include "req.h"

void files_result(struct req *r, struct worker *w);
void files_segments(struct req *r, struct worker *w);
void files_segment(struct req *r, struct worker *w);
void files_preview(struct req *r, struct worker *w);
void files_receipt(struct req *r, struct worker *w);
void files_logs(struct req *r, struct worker *w);

/* The job, when it may be read and has a result; job_has_no_result and result_not_ready when not. */
int files_need_result(struct req *r, struct worker *w, struct snapshot **out, struct err *e);

#endif
