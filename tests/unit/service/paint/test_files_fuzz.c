/* Runs the corpus of the fuzz target, and every file of it cut short and with single bytes changed. */
#include "tests/fuzz/fuzz_paint_files.c"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void replay(const uint8_t *data, size_t size)
{
    uint8_t changed[4096];
    LLVMFuzzerTestOneInput(data, size);
    for (size_t i = 0; i < size; i++) {
        LLVMFuzzerTestOneInput(data, i);
        memcpy(changed, data, size);
        changed[i] ^= 0x11;
        LLVMFuzzerTestOneInput(changed, size);
        changed[i] = 0xff;
        LLVMFuzzerTestOneInput(changed, size);
    }
}

static void no_input_of_the_corpus_does_harm(void **state)
{
    DIR *dir = opendir("tests/fuzz/corpus/paint_files");
    struct dirent *entry;
    int files = 0;
    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[512];
        uint8_t data[4096];
        snprintf(path, sizeof path, "tests/fuzz/corpus/paint_files/%.255s", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        replay(data, size);
        files++;
    }
    closedir(dir);
    assert_true(files > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_input_of_the_corpus_does_harm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
