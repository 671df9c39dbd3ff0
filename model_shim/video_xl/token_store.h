// token_store.h - visual tokens of every frame of a shot, by frame: computed once, read as often as the memory is
// sampled anew. The first gigabyte stays in memory, the rest goes to an unnamed file in the temporary folder, so that
// the memory needed does not grow with the length of the shot.
//
// One thread. Move-only.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace mdl
{

class TokenStore
{
  public:
    explicit TokenStore(int64_t memory_bytes = int64_t{1} << 30);
    TokenStore(TokenStore &&other) noexcept;
    TokenStore &operator=(TokenStore &&other) noexcept;
    ~TokenStore();

    // Tokens of the next frame, (tokens, width); all frames have the same shape and type. Kept on the CPU.
    void append(const at::Tensor &tokens);
    // Tokens of one frame, on the CPU.
    at::Tensor frame(int64_t index) const;
    int64_t frames() const
    {
        return static_cast<int64_t>(kept_.size()) + spilled_;
    }

  private:
    int64_t memory_bytes_, kept_bytes_ = 0, spilled_ = 0;
    std::vector<at::Tensor> kept_; // frames 0..; those after them are in the file
    int file_ = -1;
};

} // namespace mdl
