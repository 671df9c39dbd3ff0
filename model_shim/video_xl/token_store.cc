#include "video_xl/token_store.h"
#include "error.h"

#include <ATen/ATen.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace mdl
{

namespace
{

[[noreturn]] void fail(const char *what)
{
    throw Error(MDL_ENOMEM, std::string("temporary file of the video memory: ") + what + ": " + std::strerror(errno));
}

// A file without a name: it is gone with the process, however that ends.
int open_unnamed()
{
    const std::filesystem::path folder = std::filesystem::temp_directory_path();
    int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) { // not every file system can
        std::string name = folder / "longanim-tokens-XXXXXX";
        file = mkostemp(name.data(), O_CLOEXEC);
        if (file >= 0)
            unlink(name.c_str());
    }
    if (file < 0)
        fail("cannot be made");
    return file;
}

// `move` is pread or pwrite; moves all of it.
template <class F, class Byte> void all_of(F move, int file, Byte *bytes, size_t size, int64_t offset, const char *what)
{
    while (size > 0) {
        const ssize_t n = move(file, bytes, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail(what);
        bytes += n;
        size -= static_cast<size_t>(n);
        offset += n;
    }
}

} // namespace

TokenStore::TokenStore(int64_t memory_bytes) : memory_bytes_(memory_bytes)
{
}

TokenStore::TokenStore(TokenStore &&other) noexcept
    : memory_bytes_(other.memory_bytes_), kept_bytes_(std::exchange(other.kept_bytes_, 0)),
      spilled_(std::exchange(other.spilled_, 0)), kept_(std::exchange(other.kept_, {})),
      file_(std::exchange(other.file_, -1))
{
}

TokenStore &TokenStore::operator=(TokenStore &&other) noexcept
{
    std::swap(memory_bytes_, other.memory_bytes_);
    std::swap(kept_bytes_, other.kept_bytes_);
    std::swap(spilled_, other.spilled_);
    std::swap(kept_, other.kept_);
    std::swap(file_, other.file_);
    return *this;
}

TokenStore::~TokenStore()
{
    if (file_ >= 0)
        close(file_);
}

void TokenStore::append(const at::Tensor &tokens)
{
    const at::Tensor own = tokens.cpu().contiguous();
    if (!kept_.empty() && (own.sizes() != kept_[0].sizes() || own.scalar_type() != kept_[0].scalar_type()))
        throw Error(MDL_EINTERNAL, "frames of a shot have one number of visual tokens");
    const auto bytes = static_cast<int64_t>(own.nbytes());
    // The first frame always stays: it remembers shape and type.
    if (kept_.empty() || (spilled_ == 0 && kept_bytes_ + bytes <= memory_bytes_)) {
        kept_.push_back(own.is_alias_of(tokens) ? own.clone() : own);
        kept_bytes_ += bytes;
        return;
    }
    if (file_ < 0)
        file_ = open_unnamed();
    all_of(pwrite, file_, static_cast<const char *>(own.const_data_ptr()), own.nbytes(), spilled_ * bytes,
           "cannot be written");
    spilled_++;
}

at::Tensor TokenStore::frame(int64_t index) const
{
    if (index < 0 || index >= frames())
        throw Error(MDL_EINTERNAL, "no visual tokens of frame " + std::to_string(index));
    const auto in_memory = static_cast<int64_t>(kept_.size());
    if (index < in_memory)
        return kept_[static_cast<size_t>(index)];
    at::Tensor tokens = at::empty_like(kept_[0]);
    all_of(pread, file_, static_cast<char *>(tokens.mutable_data_ptr()), tokens.nbytes(),
           (index - in_memory) * static_cast<int64_t>(tokens.nbytes()), "cannot be read");
    return tokens;
}

} // namespace mdl
