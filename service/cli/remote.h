/* remote.h - the commands' view of a server: one call, one JSON answer, one exit status. */
#ifndef LONGANIM_CLI_REMOTE_H
#define LONGANIM_CLI_REMOTE_H

#include "base/http.h"
#include "cli/cli.h"

struct remote {
    struct http *http;
    char base[512]; /* "http://host:port/v1" */
    char authorization[512];
    const char *headers[8]; /* those of every request; NULL-terminated, room for two more */
};

/* From the settings: server and LONGANIM_API_KEY. params_invalid. */
int remote_open(struct remote *r, const struct config *c, struct err *e);
void remote_close(struct remote *r);

/* Fills r's part of a request: url, headers, error codes. `url` holds the result. */
void remote_prepare(const struct remote *r, struct http_request *q, char url[1024], const char *method,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Sends it; a success (below 300) gives its JSON body (NULL when it has none), anything else an error out of the
 * problem document, whose detail is fit to be shown. */
int remote_call(struct remote *r, struct http_request *q, json_t **out, struct err *e);

/* The error that a problem document tells of. */
void remote_problem(int status, const struct buf *body, struct err *e);

/* GET /jobs/{id}. */
int remote_job(struct remote *r, const char *id, json_t **out, struct err *e);

/* The state of a job object for the progress display; strings borrowed from it. */
void remote_state(const json_t *job, struct cli_state *out);
/* Exit status of a job that has ended: done, failed, or refused when it was the input; says why on stderr. */
int remote_verdict(const json_t *job);

/* The exit status for an error of the server or of the way to it. */
int remote_exit_of(const struct err *e);
/* The same for a command that sends no input: what the server refuses then is how it was used. */
int remote_exit_of_question(const struct err *e);

/* watch.c: follows a job to its end; the exit status. */
int cli_follow(struct remote *r, const char *id);

#endif
