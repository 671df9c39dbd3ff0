/* files.h - what a job made: result, segments, preview, receipt, logs. */
#ifndef LONGANIM_API_FILES_H
#define LONGANIM_API_FILES_H

#include "req.h"

void files_result(struct req *r, struct worker *w);
void files_segments(struct req *r, struct worker *w);
void files_segment(struct req *r, struct worker *w);
void files_preview(struct req *r, struct worker *w);
void files_receipt(struct req *r, struct worker *w);
void files_logs(struct req *r, struct worker *w);

#endif
