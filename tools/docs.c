/* Writes the pages that are made from tables: `docs config` and `docs errors`, on stdout. Used by make docs. */
#include "base/config.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const char *class_text(enum err_class class)
{
    static const char *const texts[] = {[ERR_CLASS_CLIENT] = "the request", [ERR_CLASS_RETRY] = "the request, later",
                                        [ERR_CLASS_MEDIA] = "the files",    [ERR_CLASS_TRANSIENT] = "us, for now",
                                        [ERR_CLASS_STORAGE] = "the store",  [ERR_CLASS_OOM] = "device memory",
                                        [ERR_CLASS_FATAL] = "us, for good"};
    return texts[class];
}

static void errors(void)
{
    printf(
        "# Errors\n\n"
        "Made from `service/base/err.h` by `make docs`; do not edit. Every error answer is a problem document (RFC "
        "9457)\n"
        "with these codes; a failed job carries one in `error`. Retryable: the same request or job may work later.\n\n"
        "| code | status | whose | retryable | title |\n|---|---|---|---|---|\n");
    for (int code = 1; code < ERR_COUNT; code++) {
        const struct err_info *i = err_info((enum err_code)code);
        printf("| %s | %d | %s | %s | %s |\n", i->name, i->http_status, class_text(i->class),
               err_retryable((enum err_code)code) ? "yes" : "no", i->title);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "config") == 0)
        config_doc(stdout);
    else if (argc == 2 && strcmp(argv[1], "errors") == 0)
        errors();
    else
        return 2;
    return fflush(stdout) == 0 ? 0 : 1;
}
