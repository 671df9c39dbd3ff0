/* longanim: `longanim COMMAND …`. A command is one row here and one file beside. */
#include "base/log.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "engine/model_lib.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    bool networks; /* computes with them */
    const char *doc;
};

/* clang-format off */
static const struct command commands[] = {
#define CLI_ROW(name, function, networks, doc) {name, function, networks, doc},
    CLI_COMMANDS(CLI_ROW)
#undef CLI_ROW
};
/* clang-format on */
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(FILE *to)
{
    fprintf(to, "usage: longanim COMMAND [ARGUMENT…]\n\n"
                "Colours line-art video from a reference picture.\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].doc);
    fprintf(to, "\nlonganim COMMAND --help says more. Exit status: 0 done, 1 failed, 2 wrong usage, 3 the input was "
                "refused,\n130 interrupted.\n");
}

int main(int argc, char **argv)
{
    log_init("longanim", LOG_WARN);
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        if (argc > 2 && strcmp(name, "help") == 0)
            return main(3, (char *[]){argv[0], argv[2], "--help", NULL});
        help(argc > 1 ? stdout : stderr);
        return argc > 1 ? CLI_DONE : CLI_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("longanim %s\n", LONGANIM_VERSION);
        return CLI_DONE;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        if (commands[i].networks)
            model_lib_prepare(argv);
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "longanim: there is no command \"%s\"; longanim --help lists them\n", name);
    return CLI_USAGE;
}
