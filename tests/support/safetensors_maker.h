// safetensors_maker.h - files with any header, right or wrong, and a scratch folder for them.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace maker
{

// 8 bytes of length, the header, the data.
inline std::string file(const std::string &header, const std::string &data, uint64_t claimed_bytes = UINT64_MAX)
{
    const uint64_t n = claimed_bytes == UINT64_MAX ? header.size() : claimed_bytes;
    std::string bytes;
    for (int i = 0; i < 8; i++)
        bytes += static_cast<char>(n >> (8 * i) & 0xff);
    return bytes + header + data;
}

inline std::string entry(const std::string &name, const std::string &dtype, const std::string &shape, uint64_t begin,
                         uint64_t end)
{
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
}

// One tensor "a" of two float32.
inline std::string small()
{
    return file("{" + entry("a", "F32", "[2]", 0, 8) + "}", std::string("\0\0\x80\x3f\0\0\0\x40", 8));
}

class Folder
{
  public:
    Folder()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "safetensors-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    ~Folder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;

    std::string put(const std::string &name, const std::string &bytes) const
    {
        const std::string path = path_ + "/" + name;
        std::FILE *f = std::fopen(path.c_str(), "wb");
        if (!f || std::fwrite(bytes.data(), 1, bytes.size(), f) != bytes.size() || std::fclose(f))
            std::abort();
        return path;
    }
    const std::string &path() const
    {
        return path_;
    }

  private:
    std::string path_;
};

} // namespace maker
