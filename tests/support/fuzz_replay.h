/* fuzz_replay.h - the corpus of a fuzz target as an ordinary test, without a fuzzing engine: every file as it is, cut
 * short at every byte, and with single bytes changed. Include it behind the target's source, which defines
 * LLVMFuzzerTestOneInput and aborts on what must not be. */
#ifndef LONGANIM_TESTS_FUZZ_REPLAY_H
#define LONGANIM_TESTS_FUZZ_REPLAY_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FUZZ_REPLAY_MAX = 4096 /* bytes of a file */ };

static void fuzz_replay_one(const uint8_t *data, size_t size)
{
    static const uint8_t flips[] = {0x07, 0x11, 0xff};
    uint8_t changed[FUZZ_REPLAY_MAX];

    LLVMFuzzerTestOneInput(data, size);
    memcpy(changed, data, size);
    for (size_t i = 0; i < size; i++) {
        LLVMFuzzerTestOneInput(data, i);
        for (size_t f = 0; f < sizeof flips; f++) {
            changed[i] = data[i] ^ flips[f];
            LLVMFuzzerTestOneInput(changed, size);
        }
        changed[i] = data[i];
    }
}

/* At least so many files, or the corpus was not found. Tests run in the folder of the project. */
static void fuzz_replay(const char *folder, int at_least)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int files = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[512];
        uint8_t data[FUZZ_REPLAY_MAX];
        snprintf(path, sizeof path, "%s/%.255s", folder, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        fuzz_replay_one(data, size);
        files++;
    }
    closedir(dir);
    assert_true(files >= at_least);
}

#endif
