/* videos.h - the same jobs in the shape of OpenAI's videos API, for clients that speak only that.
 *
 * A form of POST /videos has the line art as the file `video` and the coloured picture as the file `input_reference`;
 * either may be named as a finished upload instead (`video[upload_id]`). All parameters of POST /jobs are taken. */
#ifndef LONGANIM_API_VIDEOS_H
#define LONGANIM_API_VIDEOS_H

#include "job/job.h"
#include "req.h"

int videos_take(struct req *r, struct taker *out, struct err *e); /* POST /videos */
void videos_list(struct req *r, struct worker *w);                /* GET /videos */
void videos_get(struct req *r, struct worker *w);                 /* GET /videos/{id} */
void videos_delete(struct req *r, struct worker *w);              /* DELETE /videos/{id} */
void videos_content(struct req *r, struct worker *w);             /* GET /videos/{id}/content */

/* A job object of ours as a video object; takes the reference. */
struct answer *videos_answer(json_t *take_job, int status);

/* "input_reference[]" is our "reference", "output[format]" our "output.format". */
void videos_part_name(const char *name, char out[64]);

/* The JSON body of POST /videos as one of POST /jobs; takes the reference, gives a new one. */
json_t *videos_reshape(json_t *take);

#endif
