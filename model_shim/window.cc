// window.cc - see window.h.
#include "window.h"

#include <algorithm>
#include <cstring>

namespace mdl
{

Window::Window(const Host &h, int64_t input_frame_bytes, int64_t frame_bytes, Convert c)
    : host(h), convert(std::move(c)), bytes(static_cast<size_t>(frame_bytes)),
      input(static_cast<size_t>(input_frame_bytes))
{
}

uint8_t *Window::move_to(int64_t start, int32_t source, int32_t count)
{
    if (start >= end)
        first = end = start;
    held.resize(std::max(held.size(), static_cast<size_t>(count) * bytes));
    if (end > start && start > first)
        std::memmove(held.data(), held.data() + static_cast<size_t>(start - first) * bytes,
                     static_cast<size_t>(end - start) * bytes);
    first = start;
    for (; end < start + source; end++) {
        host.source(end, input.data());
        convert(input.data(), held.data() + static_cast<size_t>(end - start) * bytes);
    }
    for (int32_t i = source; i < count; i++)
        std::memcpy(held.data() + static_cast<size_t>(i) * bytes, held.data() + static_cast<size_t>(source - 1) * bytes,
                    bytes);
    return held.data();
}

} // namespace mdl
