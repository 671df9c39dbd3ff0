/* The fuzzer's corpus, replayed: every file in it once surprised somebody or opens a door for the next one. */
#include "tests/fuzz/fuzz_media_probe.c"

#include "base/buf.h"
#include "base/fs.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char folder[] = "tests/fuzz/corpus/media_probe";

static void no_file_of_the_corpus_surprises(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    int count = 0;
    assert_non_null(d); /* tests run in the folder of the project */
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[FS_PATH_MAX];
        struct buf data;
        if (entry->d_name[0] == '.')
            continue;
        buf_init(&data, 1 << 20);
        assert_int_equal(fs_join(path, folder, entry->d_name, NULL), 0);
        assert_int_equal(fs_read(path, &data, NULL), 0);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)(data.data ? data.data : ""), data.size), 0);
        /* Cut anywhere, too: half of what arrives over bad lines is this. */
        for (size_t end = 0; end < data.size; end += data.size / 8 + 1)
            assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data.data, end), 0);
        buf_free(&data);
        count++;
    }
    closedir(d);
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_file_of_the_corpus_surprises)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
