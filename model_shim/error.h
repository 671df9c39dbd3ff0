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

} // namespace mdl
