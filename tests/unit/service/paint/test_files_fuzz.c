#include "tests/fuzz/fuzz_paint_files.c"

#include "tests/support/fuzz_replay.h"

static void no_input_of_the_corpus_does_harm(void **state)
{
    (void)state;
    fuzz_replay("tests/fuzz/corpus/paint_files", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_input_of_the_corpus_does_harm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
