/* beside.h - test programs lie in build/tests/..., but the programs that they start are looked for beside them: this
 * puts a link there. For C tests only. */
#ifndef LONGANIM_TESTS_BESIDE_H
#define LONGANIM_TESTS_BESIDE_H

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Links build/<program> beside the running test. build/ is the folder above "tests". */
static inline void beside_link(const char *program)
{
    char self[PATH_MAX], folder[PATH_MAX], target[PATH_MAX * 2], link_path[PATH_MAX * 2];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0)
        abort();
    self[size] = '\0';
    snprintf(folder, sizeof folder, "%s", dirname(self));
    snprintf(link_path, sizeof link_path, "%s/%s", folder, program);
    char *tests = strstr(folder, "/tests/");
    if (!tests)
        abort();
    *tests = '\0';
    snprintf(target, sizeof target, "%s/%s", folder, program);
    if (symlink(target, link_path) != 0 && errno != EEXIST)
        abort();
}

#endif
