/* commands.h - every command: name, function, whether it computes with the networks, one line. A function gets its name
 * as argv[0] and returns the exit status. */
#ifndef LONGANIM_CLI_COMMANDS_H
#define LONGANIM_CLI_COMMANDS_H

#define CLI_COMMANDS(X)                                                                                                \
    X("serve", cli_serve, false, "run everything on this machine: queue, API, one worker, a folder as store")          \
    X("colorize", cli_colorize, true, "colour one shot here and now, without a server")                                \
    X("paint", cli_paint, false, "exact paint: snap any coloured version of a shot to its line art")                   \
    X("evaluate", cli_evaluate, false, "measure a coloured shot against the true one")                                 \
    X("submit", cli_submit, false, "send a shot to a server; prints the job's id")                                     \
    X("status", cli_status, false, "show a job")                                                                       \
    X("watch", cli_watch, false, "follow a job to its end")                                                            \
    X("get", cli_get, false, "save a job's result, or what lies beside it")                                            \
    X("cancel", cli_cancel, false, "cancel jobs")                                                                      \
    X("list", cli_list, false, "list jobs")                                                                            \
    X("train", cli_train, true, "train a model's networks on shots of one's own")                                      \
    X("model", cli_model, true, "check a model folder")                                                                \
    X("parity", cli_parity, true, "check this build and device against golden numbers")                                \
    X("retry", cli_retry, false, "queue failed jobs again (operators)")                                                \
    X("dead", cli_dead, false, "failed jobs of all keys: list, queue again, delete (operators)")                       \
    X("queue", cli_queue, false, "pools: list, pause, resume (operators)")                                             \
    X("key", cli_key, false, "API keys: make one for a file, or create, rotate and revoke a server's")                 \
    X("audit", cli_audit, false, "hold queue and store against each other, and repair them")

#define CLI_DECLARE(name, function, networks, doc) int function(int argc, char **argv);
CLI_COMMANDS(CLI_DECLARE)
#undef CLI_DECLARE

#endif
