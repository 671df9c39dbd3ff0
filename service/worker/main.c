/* longanim-worker: the supervisor, or with --engine the child of it that holds the model. */
#include "base/config.h"
#include "base/fault.h"
#include "base/log.h"
#include "engine/model_lib.h"
#include "worker/engine_child.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **copy_arguments(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    if (!copy)
        abort();
    memcpy(copy, argv, (size_t)argc * sizeof *copy);
    return copy;
}

/* Takes `flag` out of argv when it is the next argument. */
static bool take(int *argc, char **argv, const char *flag)
{
    if (*argc < 2 || strcmp(argv[1], flag) != 0)
        return false;
    memmove(&argv[1], &argv[2], (size_t)(*argc - 1) * sizeof *argv);
    (*argc)--;
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--engine") == 0)
        model_lib_prepare(argv);
    struct config conf = {0};
    struct err e = {0};
    bool engine = take(&argc, argv, "--engine"), low_memory = take(&argc, argv, "--low-memory");
    if (take(&argc, argv, "--help")) {
        printf("usage: longanim-worker [FLAG…]\nColours queued jobs, one at a time.\n\n");
        config_help(CONFIG_WORKER, stdout);
        return 0;
    }
    char **arguments = copy_arguments(argc, argv);
    int argument_count = argc;
    log_init(engine ? "engine" : "worker", LOG_INFO);
    if (config_read(&conf, CONFIG_WORKER, &argc, argv, false, &e) != 0 ||
        fault_arm(conf.fault, conf.fault_enable, &e) != 0) {
        fprintf(stderr, "longanim-worker: %s\n", e.detail);
        config_free(&conf);
        free(arguments);
        return 2;
    }
    log_init(engine ? "engine" : "worker", (enum log_level)log_level_by_name(conf.log_level));
    int status = engine ? engine_child(&conf, low_memory) : worker_run(&conf, arguments, argument_count);
    config_free(&conf);
    free(arguments);
    return status;
}
