// backend.h - what a model back end gives the shim, in C++. Nothing here is seen from C.
#pragma once
#include "model.h"

#include <memory>
#include <string>

namespace mdl
{

// Parameters and options arrive complete (fields that an older caller lacks hold their defaults) and with pointers
// that are never NULL where model.h says so. Failures are thrown (error.h).
struct Backend {
    virtual ~Backend() = default;
    virtual const std::string &describe() const = 0;
    virtual mdl_plan plan(const mdl_params &p) = 0;
    virtual void run(const mdl_params &p) = 0;
};

struct BackendEntry {
    const char *name;
    std::unique_ptr<Backend> (*open)(const std::string &dir, const mdl_options &o);
};

// Ends with a null name. A table, not static constructors: a linker drops those from an archive.
extern const BackendEntry backends[];

} // namespace mdl
