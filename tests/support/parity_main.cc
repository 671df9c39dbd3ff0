// parity_main.cc - build/tests/parity PATH...: the golden numbers without the C boundary, for work on the networks.
#include "parity/parity.h"

#include <cstdio>

int main(int argc, char **argv)
{
    const auto print = [](const std::string &line) { return std::puts(line.c_str()) >= 0; };
    const mdl::ParityCounts counts = mdl::parity_run({argv + 1, argv + argc}, {}, print);
    std::printf("%d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped);
    return counts.failed ? 1 : 0;
}
