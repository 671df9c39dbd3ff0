// error.cc - formatting of error texts.
#include "error.h"

#include <cstdarg>
#include <cstdio>

namespace mdl
{

void fail(int code, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    throw Error(code, text);
}

} // namespace mdl
