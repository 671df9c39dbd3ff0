// tap.h - a look inside a run, for parity: called with what came out at a named place. Empty in production, and nothing
// is computed for its sake then. Names and layouts are those of a model folder's expected/ (docs/model.md).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>

namespace mdl
{

// segment -1: the same for all segments.
using RunTap = std::function<void(int32_t segment, const std::string &name, const at::Tensor &t)>;

} // namespace mdl
