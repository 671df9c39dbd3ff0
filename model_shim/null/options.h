// options.h - what the null back end is told in place of a model folder: "name=value,name=value,…".
#pragma once
#include <cstdint>
#include <string>

namespace mdl::null
{

// What goes wrong on purpose.
enum class Fault {
    none,
    oom,       // Error(MDL_ENOMEM)
    nan,       // Error(MDL_ENAN)
    device,    // Error(MDL_EDEVICE)
    weights,   // Error(MDL_EWEIGHTS)
    internal,  // Error(MDL_EINTERNAL)
    bad_alloc, // std::bad_alloc
    logic,     // std::logic_error
    integer,   // an int
    torch,     // c10::Error
    torch_oom, // c10::OutOfMemoryError
    torch_gpu, // c10::Error with the words of a lost CUDA context
    crash,     // the process aborts
    hang       // never returns
};

struct Options {
    int32_t width = 96, height = 64; // native size
    int32_t segment = 25, overlap = 16;
    int32_t steps = 4;
    int32_t delay_ms = 0;        // per denoising step
    int64_t device_bytes = 0;    // claimed need; a smaller vram budget refuses the run
    Fault fail = Fault::none;    // what happens …
    int32_t fail_at_segment = 0; // … in this segment
    int32_t fail_at_step = 0;    // … before this step
    std::string fault_file;      // when set: only while this file does not exist, and it is made then
    std::string text;            // as given
};

// Throws Error(MDL_EINVAL) naming what is not known or out of range. crash_at_segment=N and hang_at_segment=N are short
// for fail=crash,fail_at_segment=N and fail=hang,….
Options parse(const std::string &text);

// The fault, if it is due here. Does not return for crash and hang.
void maybe_fail(const Options &o, int32_t segment, int32_t step);

} // namespace mdl::null
