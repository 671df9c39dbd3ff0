#include "io/safetensors_write.h"

#include "error.h"
#include "io/json.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace mdl
{

namespace
{

// A file on its way: removed unless kept.
class Partial
{
  public:
    explicit Partial(const std::string &path) : path_(path), partial_(path + ".partial")
    {
        fd_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd_ < 0)
            trouble();
    }
    ~Partial()
    {
        if (fd_ >= 0)
            close(fd_);
        if (!kept_)
            unlink(partial_.c_str());
    }
    Partial(const Partial &) = delete;
    Partial &operator=(const Partial &) = delete;

    void write(const void *data, size_t size)
    {
        const char *from = static_cast<const char *>(data);
        while (size > 0) {
            const ssize_t n = ::write(fd_, from, std::min(size, size_t{1} << 30));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                trouble();
            from += n;
            size -= static_cast<size_t>(n);
        }
    }

    void keep()
    {
        if (fdatasync(fd_) != 0)
            trouble();
        const int closed = close(fd_);
        fd_ = -1;
        if (closed != 0 || rename(partial_.c_str(), path_.c_str()) != 0)
            trouble();
        kept_ = true;
    }

  private:
    [[noreturn]] void trouble() const
    {
        fail(MDL_EINVAL, "%s cannot be written: %s", path_.c_str(), std::strerror(errno));
    }

    std::string path_, partial_;
    int fd_ = -1;
    bool kept_ = false;
};

const char *type_name(c10::ScalarType t)
{
    switch (t) {
    case at::kFloat:
        return "F32";
    case at::kHalf:
        return "F16";
    case at::kBFloat16:
        return "BF16";
    case at::kLong:
        return "I64";
    case at::kByte:
        return "U8";
    default:
        throw Error(MDL_EINTERNAL, "a tensor of a type that is never stored");
    }
}

} // namespace

void safetensors_write(const std::string &path, const std::map<std::string, at::Tensor> &tensors)
{
    Json header = Json::object();
    uint64_t end = 0;
    for (const auto &[name, tensor] : tensors) {
        const uint64_t begin = end;
        end += tensor.nbytes();
        header[name] = {{"dtype", type_name(tensor.scalar_type())},
                        {"shape", tensor.sizes().vec()},
                        {"data_offsets", {begin, end}}};
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    const uint64_t size = text.size(); // little-endian, as every machine that we build for
    Partial file(path);
    file.write(&size, sizeof size);
    file.write(text.data(), text.size());
    for (const auto &[name, tensor] : tensors) {
        const at::Tensor flat = tensor.detach().to(at::kCPU).contiguous();
        file.write(flat.const_data_ptr(), flat.nbytes());
    }
    file.keep();
}

void text_write(const std::string &path, const std::string &text)
{
    Partial file(path);
    file.write(text.data(), text.size());
    file.keep();
}

} // namespace mdl
