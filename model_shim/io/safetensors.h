// safetensors.h - weight files: header checked in full against the file's size, tensors mapped, by name.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mdl
{

struct SafetensorsEntry {
    c10::ScalarType dtype;
    std::vector<int64_t> shape;
    uint64_t begin, end; // bytes, from the start of the file
};

// Checks the header of a whole file and gives its tensors; `what` names the file in messages. Throws
// Error(MDL_EWEIGHTS) for anything that the format forbids: a header longer than 100 MB or the file, keys given twice,
// unknown types, sizes that do not multiply, overlapping tensors, bytes that belong to none.
std::map<std::string, SafetensorsEntry> safetensors_parse(std::span<const uint8_t> file, const std::string &what);

// An open file. Immutable; any thread. Tensors keep the mapping alive. The file must not be cut short while mapped.
class Safetensors
{
  public:
    static std::shared_ptr<const Safetensors> open(const std::string &path);

    const std::map<std::string, SafetensorsEntry> &entries() const
    {
        return entries_;
    }
    const std::string &path() const
    {
        return path_;
    }
    uint64_t size_bytes() const;
    // The stored tensor on the CPU, read-only: a view of the map (a copy where the file leaves it misaligned).
    at::Tensor tensor(const std::string &name) const;

  private:
    struct Map;
    std::string path_;
    std::shared_ptr<const Map> map_;
    std::map<std::string, SafetensorsEntry> entries_;
};

} // namespace mdl
