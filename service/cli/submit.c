#include "cli/commands.h"
#include "cli/remote.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 5, RETRY_MS = 1000 };

struct submit {
    const char *video, *idempotency_key, *palette, *timesheet;
    struct cli_list references;
    bool watch;
    struct cli_progress progress;
};

static int on_upload(void *user, int64_t sent, int64_t to_send, int64_t received, int64_t to_receive)
{
    struct submit *s = user;
    (void)received;
    (void)to_receive;
    if (sent < to_send)
        cli_progress_bytes(&s->progress, "sending", sent, to_send);
    return cli_interrupted();
}

/* The parts of the form. The names of fields are copied into `names`, their values point behind the '='. */
static int form(const struct submit *s, const struct cli_job *job, const char *document, char (*names)[128],
                struct http_part *parts)
{
    int n = 0;
    parts[n++] = (struct http_part){.name = "video", .path = s->video};
    for (int i = 0; i < s->references.count; i++)
        parts[n++] = (struct http_part){.name = "reference", .path = s->references.items[i]};
    if (s->palette)
        parts[n++] = (struct http_part){.name = "palette", .path = s->palette};
    if (s->timesheet)
        parts[n++] = (struct http_part){.name = "timesheet", .path = s->timesheet};
    if (document)
        parts[n++] = (struct http_part){.name = "params", .text = document, .content_type = "application/json"};
    for (int i = 0; i < job->fields.count; i++) {
        const char *equals = strchr(job->fields.items[i], '=');
        snprintf(names[i], sizeof names[i], "%.*s", (int)(equals - job->fields.items[i]), job->fields.items[i]);
        parts[n++] = (struct http_part){.name = names[i], .text = equals + 1};
    }
    return n;
}

/* Posts under an idempotency key, so that a try whose answer was lost may be repeated without making a second job. */
static int post(struct submit *s, struct remote *r, const struct cli_job *job, json_t **out, struct err *e)
{
    struct http_part parts[2 * CLI_LIST_MAX + 4];
    char names[CLI_LIST_MAX][128], header[160], random[33], url[1024];
    char *document = job->document ? json_text(job->document, false) : NULL;
    int count = form(s, job, document, names, parts), failed = -1;
    id_random_hex(random, 16);
    snprintf(header, sizeof header, "Idempotency-Key: %.120s", s->idempotency_key ? s->idempotency_key : random);
    const char *headers[] = {header, r->headers[0], NULL};
    for (int i = 0; i < TRIES && failed && !cli_interrupted(); i++) {
        struct http_request q;
        struct err why = {0};
        if (i > 0)
            clock_sleep_ms(RETRY_MS);
        remote_prepare(r, &q, url, "POST", "/jobs");
        q.headers = headers;
        q.parts = parts;
        q.part_count = count;
        q.on_progress = on_upload;
        q.user = s;
        failed = remote_call(r, &q, out, &why);
        if (failed && e)
            *e = why;
        if (failed && why.code != ERR_overloaded && err_info(why.code)->http_status != 503)
            break;
    }
    free(document);
    return failed ? -1 : 0;
}

/* The library that sends them would only say that some file could not be read. */
static int check_file(const char *path, struct err *e)
{
    struct stat st;
    if (path && (access(path, R_OK) != 0 || stat(path, &st) != 0))
        return err_set(e, ERR_internal, "cannot open %s: %s", path, strerror(errno));
    return path && !S_ISREG(st.st_mode) ? err_set(e, ERR_internal, "%s is not a file", path) : 0;
}

static int check_files(const struct submit *s, struct err *e)
{
    for (int i = 0; i < s->references.count; i++)
        if (check_file(s->references.items[i], e) != 0)
            return -1;
    return check_file(s->video, e) != 0 || check_file(s->palette, e) != 0 ? -1 : check_file(s->timesheet, e);
}

static int submit(struct submit *s, struct cli_args *a)
{
    struct remote r;
    struct err e = {0};
    json_t *job = NULL;
    const char *id = NULL;
    if (!s->video || s->references.count == 0) {
        fprintf(stderr, "longanim submit: --video and --reference are needed\n");
        return CLI_USAGE;
    }
    if (check_files(s, &e) != 0) {
        cli_complain(&e);
        return CLI_FAILED;
    }
    if (remote_open(&r, &a->config, &e) != 0) {
        cli_complain(&e);
        return CLI_USAGE;
    }
    cli_catch_interrupts();
    cli_progress_init(&s->progress);
    int failed = post(s, &r, &a->job, &job, &e) != 0 || json_need_str(job, "id", &id, &e) != 0;
    cli_progress_clear(&s->progress);
    if (!failed)
        printf("%s\n", id);
    fflush(stdout);
    int status = failed ? remote_exit_of(&e) : s->watch ? cli_follow(&r, id) : CLI_DONE;
    if (failed && status != CLI_INTERRUPTED)
        cli_complain(&e);
    json_decref(job);
    remote_close(&r);
    return status;
}

int cli_submit(int argc, char **argv)
{
    struct submit s = {0};
    struct cli_args a;
    const struct cli_option options[] = {
        {"--video", 0, CLI_TEXT, &s.video, "FILE",
         "the line art: mp4, mov, mkv, webm, avi, or a zip of PNG or JPEG frames"},
        {"--reference", 0, CLI_LIST, &s.references, "FILE", "a coloured picture: PNG, JPEG or WebP; up to four times"},
        {"--palette", 0, CLI_TEXT, &s.palette, "FILE",
         "paint with these colours: JSON list of {name, rgb}, .gpl or .ase"},
        {"--timesheet", 0, CLI_TEXT, &s.timesheet, "FILE", "an XDTS exposure sheet"},
        {"--idempotency-key", 0, CLI_TEXT, &s.idempotency_key, "TEXT",
         "sending the same again under the same key gives the same job; drawn when not given"},
        {"--watch", 0, CLI_SWITCH, &s.watch, NULL, "follow the job to its end"},
    };
    const struct cli_usage usage = {
        .name = "submit",
        .positional = "",
        .text =
            "Sends a shot to a server and prints the job's id. The exit status is 3 when the server refuses the input.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .job = true,
        .config = CONFIG_REMOTE,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0)
        status = submit(&s, &a);
    cli_args_free(&a);
    return status;
}
