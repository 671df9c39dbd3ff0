// backends.cc - the list of model back ends: one line each, the only lines outside their folders.
#include "backend.h"

namespace mdl
{

std::unique_ptr<Backend> open_longanimation(const std::string &dir, const mdl_options &o);
std::unique_ptr<Backend> open_null(const std::string &dir, const mdl_options &o);

const BackendEntry backends[] = {
    {"longanimation", open_longanimation},
    {"null", open_null},
    {nullptr, nullptr},
};

} // namespace mdl
