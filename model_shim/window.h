// window.h - the input frames of one segment at network size, read in order from the caller and kept while the next
// segment still needs them.
#pragma once
#include "host.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace mdl
{

class Window
{
  public:
    // Turns one input frame into `frame_bytes` at network size.
    using Convert = std::function<void(const uint8_t *input, uint8_t *out)>;
    Window(const Host &host, int64_t input_frame_bytes, int64_t frame_bytes, Convert convert);

    // Frames [start, start + count) of the shot, packed; `source` of them are read, the last one is repeated for the
    // rest. Segments come in order and overlap; the first call decides where reading starts. Valid until the next call.
    uint8_t *move_to(int64_t start, int32_t source, int32_t count);

  private:
    const Host &host;
    Convert convert;
    size_t bytes;
    int64_t first = 0, end = 0; // frames held: [first, end)
    std::vector<uint8_t> input, held;
};

} // namespace mdl
