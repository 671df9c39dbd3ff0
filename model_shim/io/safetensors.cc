#include "io/safetensors.h"
#include "error.h"
#include "io/json.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mdl
{

namespace
{

constexpr uint64_t header_max_bytes = 100'000'000;
constexpr size_t rank_max = 16;

// The sub-byte types of the format (F4, F6_*) are left out on purpose: no network here is stored in them.
const struct {
    const char *name;
    c10::ScalarType dtype;
} dtypes[] = {
    {"F32", c10::ScalarType::Float},
    {"F16", c10::ScalarType::Half},
    {"BF16", c10::ScalarType::BFloat16},
    {"F64", c10::ScalarType::Double},
    {"I64", c10::ScalarType::Long},
    {"I32", c10::ScalarType::Int},
    {"I16", c10::ScalarType::Short},
    {"I8", c10::ScalarType::Char},
    {"U8", c10::ScalarType::Byte},
    {"U16", c10::ScalarType::UInt16},
    {"U32", c10::ScalarType::UInt32},
    {"U64", c10::ScalarType::UInt64},
    {"BOOL", c10::ScalarType::Bool},
    {"C64", c10::ScalarType::ComplexFloat},
    {"F8_E4M3", c10::ScalarType::Float8_e4m3fn},
    {"F8_E5M2", c10::ScalarType::Float8_e5m2},
    {"F8_E4M3FNUZ", c10::ScalarType::Float8_e4m3fnuz},
    {"F8_E5M2FNUZ", c10::ScalarType::Float8_e5m2fnuz},
    {"F8_E8M0", c10::ScalarType::Float8_e8m0fnu},
};

[[noreturn]] void refuse(const std::string &what, const std::string &why)
{
    throw Error(MDL_EWEIGHTS, what + ": " + why);
}

c10::ScalarType dtype_by_name(const Json &value, const std::string &what)
{
    if (!value.is_string())
        refuse(what, "dtype is no string");
    const auto &name = value.get_ref<const std::string &>();
    for (const auto &row : dtypes)
        if (name == row.name)
            return row.dtype;
    refuse(what, "unknown dtype \"" + name.substr(0, 40) + "\"");
}

uint64_t unsigned_member(const Json &value, const std::string &what, const char *key)
{
    if (!value.is_number_unsigned())
        refuse(what, std::string(key) + " holds something else than a natural number");
    return value.get<uint64_t>();
}

// Bytes of a tensor. Dimensions of 0 must not hide a product that overflows: strides are computed from the others.
uint64_t size_of(const std::vector<int64_t> &shape, c10::ScalarType dtype, const std::string &what)
{
    uint64_t bytes = c10::elementSize(dtype);
    bool empty = false;
    for (int64_t size : shape) {
        empty |= size == 0;
        if (size != 0 && __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes))
            refuse(what, "its shape overflows");
    }
    if (bytes > INT64_MAX)
        refuse(what, "its shape overflows");
    return empty ? 0 : bytes;
}

SafetensorsEntry parse_entry(const Json &value, const std::string &what, uint64_t buffer_bytes)
{
    if (!value.is_object() || value.size() != 3)
        refuse(what, "expected dtype, shape and data_offsets");
    SafetensorsEntry entry;
    entry.dtype = dtype_by_name(json_need(value, "dtype"), what);
    const Json &shape = json_need(value, "shape");
    if (!shape.is_array() || shape.size() > rank_max)
        refuse(what, "shape is no list of at most 16 sizes");
    for (const Json &size : shape) {
        uint64_t n = unsigned_member(size, what, "shape");
        if (n > INT64_MAX)
            refuse(what, "its shape overflows");
        entry.shape.push_back(static_cast<int64_t>(n));
    }
    const Json &offsets = json_need(value, "data_offsets");
    if (!offsets.is_array() || offsets.size() != 2)
        refuse(what, "data_offsets is no pair");
    entry.begin = unsigned_member(offsets[0], what, "data_offsets");
    entry.end = unsigned_member(offsets[1], what, "data_offsets");
    if (entry.begin > entry.end || entry.end > buffer_bytes)
        refuse(what, "lies outside of the file (truncated?)");
    if (entry.end - entry.begin != size_of(entry.shape, entry.dtype, what))
        refuse(what, "shape and data_offsets disagree");
    return entry;
}

// The byte buffer must be covered exactly: no holes, no overlap.
void check_cover(const std::map<std::string, SafetensorsEntry> &entries, uint64_t buffer_bytes, const std::string &what)
{
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    ranges.reserve(entries.size());
    for (const auto &[name, entry] : entries)
        ranges.emplace_back(entry.begin, entry.end);
    std::sort(ranges.begin(), ranges.end());
    uint64_t covered = 0;
    for (const auto &[begin, end] : ranges) {
        if (begin != covered)
            refuse(what, begin < covered ? "tensors overlap" : "bytes between tensors belong to none");
        covered = end;
    }
    if (covered != buffer_bytes)
        refuse(what, "bytes after the last tensor belong to none");
}

void check_metadata(const Json &value, const std::string &what)
{
    if (!value.is_object())
        refuse(what, "__metadata__ is no object");
    for (const Json &item : value)
        if (!item.is_string())
            refuse(what, "__metadata__ holds something else than strings");
}

} // namespace

std::map<std::string, SafetensorsEntry> safetensors_parse(std::span<const uint8_t> file, const std::string &what)
{
    if (file.size() < 10)
        refuse(what, "too short for a safetensors file");
    uint64_t header_bytes = 0;
    for (int i = 7; i >= 0; i--)
        header_bytes = header_bytes << 8 | file[static_cast<size_t>(i)];
    if (header_bytes > header_max_bytes)
        refuse(what, "header of " + std::to_string(header_bytes) + " bytes is over the limit");
    if (header_bytes < 2 || header_bytes > file.size() - 8)
        refuse(what, "header is longer than the file (truncated?)");
    const uint64_t data_start = 8 + header_bytes, buffer_bytes = file.size() - data_start;
    std::string_view text(reinterpret_cast<const char *>(file.data()) + 8, header_bytes);
    if (text.front() != '{')
        refuse(what, "header does not start with {");
    const Json header = json_parse(text, what, {.bytes = header_max_bytes, .depth = 4, .unique_keys = true});
    std::map<std::string, SafetensorsEntry> entries;
    for (const auto &[name, value] : header.items()) {
        if (name == "__metadata__")
            check_metadata(value, what);
        else
            entries.emplace(name, parse_entry(value, what + ": " + name, buffer_bytes));
    }
    check_cover(entries, buffer_bytes, what);
    for (auto &[name, entry] : entries) {
        entry.begin += data_start;
        entry.end += data_start;
    }
    return entries;
}

struct Safetensors::Map {
    const uint8_t *data = nullptr;
    size_t size_bytes = 0;
    Map() = default;
    Map(const Map &) = delete;
    Map &operator=(const Map &) = delete;
    ~Map()
    {
        if (data)
            munmap(const_cast<uint8_t *>(data), size_bytes);
    }
};

std::shared_ptr<const Safetensors> Safetensors::open(const std::string &path)
{
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        refuse(path, std::string("cannot be opened: ") + std::strerror(errno));
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0) {
        close(fd);
        refuse(path, "no file with anything in it");
    }
    auto map = std::make_shared<Map>();
    void *data = mmap(nullptr, static_cast<size_t>(st.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        throw Error(MDL_ENOMEM, path + ": cannot be mapped");
    map->data = static_cast<const uint8_t *>(data);
    map->size_bytes = static_cast<size_t>(st.st_size);
    auto file = std::make_shared<Safetensors>();
    file->path_ = path;
    file->entries_ = safetensors_parse({map->data, map->size_bytes}, path);
    file->map_ = std::move(map);
    return file;
}

uint64_t Safetensors::size_bytes() const
{
    return map_->size_bytes;
}

at::Tensor Safetensors::tensor(const std::string &name) const
{
    auto it = entries_.find(name);
    if (it == entries_.end())
        refuse(path_, "no tensor \"" + name + "\"");
    const SafetensorsEntry &entry = it->second;
    const auto options = at::TensorOptions().dtype(entry.dtype);
    if (entry.begin == entry.end)
        return at::empty(entry.shape, options);
    const uint8_t *data = map_->data + entry.begin;
    if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(entry.dtype)) {
        at::Tensor copy = at::empty(entry.shape, options);
        std::memcpy(copy.mutable_data_ptr(), data, entry.end - entry.begin);
        return copy;
    }
    // The map is read-only: writing into such a tensor is a bug and faults.
    return at::from_blob(
        const_cast<uint8_t *>(data), entry.shape, [map = map_](void *) {}, options);
}

} // namespace mdl
