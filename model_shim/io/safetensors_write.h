// safetensors_write.h - writing weight files.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace mdl
{

// A temporary file beside `path`, synced, then renamed: `path` is whole or as it was. Tensors of float32, float16,
// bfloat16, int64 or uint8; in the order of their names. Throws Error(MDL_EINVAL) when it cannot be written.
void safetensors_write(const std::string &path, const std::map<std::string, at::Tensor> &tensors);

// The same durability for a small text.
void text_write(const std::string &path, const std::string &text);

} // namespace mdl
