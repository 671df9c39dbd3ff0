// checkpoint.h - a training run on disk: work/state.json names a step, the settings it was made with, and the
// safetensors file that holds weights, averages and the optimiser's moments of that step. state.json is replaced last,
// so a crash at any time leaves the checkpoint before.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace mdl
{

using NamedTensors = std::map<std::string, at::Tensor>;

// Throws Error(MDL_EINVAL).
void checkpoint_write(const std::string &work, int64_t step, const std::string &settings, const NamedTensors &tensors);

// The step that the run in `work` stands at, its tensors copied into those given; 0 and nothing changed when there is
// no checkpoint. Throws Error(MDL_EINVAL) when it was made with other settings or another model, or is damaged.
int64_t checkpoint_read(const std::string &work, const std::string &settings, const NamedTensors &tensors);

} // namespace mdl
