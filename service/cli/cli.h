/* cli.h - the program people type: a table of commands, how they read their arguments and how they end. */
#ifndef LONGANIM_CLI_CLI_H
#define LONGANIM_CLI_CLI_H

#include "base/config.h"
#include "base/err.h"
#include "job/params.h"

#include <jansson.h>
#include <stdbool.h>

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_REFUSED = 3, CLI_INTERRUPTED = 130 };

/* ---- arguments of one command ---- */

enum cli_kind { CLI_SWITCH, CLI_TEXT, CLI_LIST, CLI_INT, CLI_REAL };
enum { CLI_LIST_MAX = 16 };

struct cli_list {
    const char *items[CLI_LIST_MAX];
    int count;
};

struct cli_option {
    const char *name; /* "--video" */
    char letter;      /* 'o' for -o; 0 = none */
    enum cli_kind kind;
    void *to;          /* bool *, const char **, struct cli_list *, int64_t *, double * */
    const char *value; /* what the value is, for --help */
    const char *doc;
};

/* Parameters of a job, as given; nothing is filled in. */
struct cli_job {
    struct job_params params; /* what they come to */
    struct cli_list fields;   /* "name=value", each once */
    json_t *document;         /* of --params; owned; NULL = none */
};
/* Was this parameter given, as a flag or in the document? */
bool cli_job_gives(const struct cli_job *j, const char *name);

struct cli_usage {
    const char *name, *positional; /* "ID…", "" = none */
    const char *text;              /* a paragraph */
    const struct cli_option *options;
    int option_count;
    bool job;               /* takes the parameters of a job as flags, and --params */
    int config;             /* CONFIG_* whose settings are flags too; 0 = none */
    int min_rest, max_rest; /* positional arguments */
};

struct cli_args {
    struct config config; /* when the usage names one */
    struct cli_job job;
    char **rest;
    int rest_count;
};

/* Reads everything. Returns -1 to go on, or the exit status: --help was asked for, or the arguments are wrong (said on
 * stderr). Free in both cases. */
int cli_args(struct cli_args *out, const struct cli_usage *u, int argc, char **argv);
void cli_args_free(struct cli_args *a);

/* ---- ends ---- */

/* Says it on stderr: "longanim: <detail>". */
void cli_complain(const struct err *e);
/* The exit status that belongs to this error of a job or an input. */
int cli_exit_of(enum err_code code);

/* ---- progress ---- */

/* One line on a terminal's stderr that is drawn over and over, or a JSON line each on stdout. */
struct cli_progress {
    bool bar;
    int width;      /* columns last drawn */
    char last[160]; /* what was told at told_ms, where there is no bar */
    int64_t told_ms;
};
struct cli_state {
    const char *state, *stage; /* "running", "diffusion" */
    double fraction;
    int64_t segments_done, segments_total, step, steps, position; /* position: 0 = none */
    double eta_low_s, eta_high_s;                                 /* < 0 = unknown */
};
void cli_progress_init(struct cli_progress *p);
void cli_progress_show(struct cli_progress *p, const struct cli_state *s);
void cli_progress_clear(struct cli_progress *p);
/* The bar alone, on a terminal: bytes sent or received; things done, such as frames. A total of 0 is not known. */
void cli_progress_bytes(struct cli_progress *p, const char *what, int64_t done, int64_t total);
void cli_progress_count(struct cli_progress *p, const char *what, int64_t done, int64_t total);

/* How a command ends that computed here: takes the progress off the screen, says what failed (an interrupt needs no
 * words), and returns the exit status. */
int cli_end(struct cli_progress *p, bool failed, const struct err *e);

/* Prints a JSON object as one line on stdout; takes the reference. */
void cli_print_json(json_t *o);

/* SIGINT and SIGTERM set this instead of ending the program. */
void cli_catch_interrupts(void);
bool cli_interrupted(void);

#endif
