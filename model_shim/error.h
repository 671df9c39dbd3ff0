// error.h - a failure that has a code of its own. guard.h turns it into that code at the C boundary.
#pragma once
#include "model.h"

#include <stdexcept>
#include <string>

namespace mdl
{

struct Error : std::runtime_error {
    int code; // MDL_E*
    Error(int c, const std::string &what) : std::runtime_error(what), code(c)
    {
    }
};

// Throws Error(code, printf-like text); texts over 1,000 bytes are cut.
[[noreturn]] void fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

} // namespace mdl
