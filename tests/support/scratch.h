/* scratch.h - folders for tests: in TMPDIR, or in memory where a test is not about disks. */
#ifndef LONGANIM_TESTS_SCRATCH_H
#define LONGANIM_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int make_scratch_in(const char *parent, char *out, size_t size)
{
    snprintf(out, size, "%s/longanim-test.XXXXXX", parent);
    return mkdtemp(out) ? 0 : -1;
}

static inline int make_scratch(char *out, size_t size)
{
    const char *parent = getenv("TMPDIR");
    return make_scratch_in(parent && parent[0] ? parent : "/tmp", out, size);
}

/* fsync costs nothing there. */
static inline int make_fast_scratch(char *out, size_t size)
{
    if (access("/dev/shm", W_OK) == 0 && make_scratch_in("/dev/shm", out, size) == 0)
        return 0;
    return make_scratch(out, size);
}

#endif
