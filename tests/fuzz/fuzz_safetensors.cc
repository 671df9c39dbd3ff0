// Headers of weight files: a table of tensors inside the file, or an error.
#include "error.h"
#include "io/safetensors.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try {
        for (const auto &[name, entry] : mdl::safetensors_parse({data, size}, "fuzz"))
            if (entry.begin > entry.end || entry.end > size)
                std::abort();
    } catch (const mdl::Error &) {
    }
    return 0;
}
