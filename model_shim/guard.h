// guard.h - the one place where C++ exceptions become C error codes.
#pragma once
#include "model.h"

namespace mdl
{

// Writes code and text into the caller's struct (NULL is fine) and returns the code. Allocates nothing.
int report(mdl_error *e, int code, const char *text) noexcept;

// Call inside a catch block: the code of the exception in flight, its text in `e`. Allocates nothing, so it also
// works when memory is out. Back ends use it too, where a failure has to be looked at before it travels on.
int translate(mdl_error *e) noexcept;

// Every extern "C" body that can fail runs in here.
template <class F> int guard(mdl_error *e, F &&body) noexcept
{
    try {
        body();
        return MDL_OK;
    } catch (...) {
        return translate(e);
    }
}

} // namespace mdl
