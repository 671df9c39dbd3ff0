#include "video_xl/shot_memory.h"
#include "error.h"
#include "longanimation/plan.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mdl
{

ShotMemory::ShotMemory(const ShotMemoryConfig &config) : c_(config), tokens_(config.token_bytes)
{
    if (c_.ratio < 1 || c_.global_frames < 1 || c_.local_frames < 0)
        throw Error(MDL_EINVAL, "memory: the compression ratio and the number of global frames are positive");
}

void ShotMemory::append(const VideoXl &net, const at::Tensor &frames)
{
    const int64_t per_frame = net.config().tokens_per_frame();
    constexpr int64_t at_once = 64; // frames whose tokens are on the device together
    for (int64_t f = 0; f < frames.size(0); f += at_once) {
        const int64_t n = std::min(at_once, frames.size(0) - f);
        const at::Tensor tokens = net.visual_tokens(frames.narrow(0, f, n)).cpu();
        for (int64_t i = 0; i < n; i++)
            tokens_.append(tokens.narrow(0, i * per_frame, per_frame));
    }
}

std::vector<int64_t> ShotMemory::sampled() const
{
    if (frames() == 0)
        throw Error(MDL_EINVAL, "memory: no frame was shown yet");
    return plan_memory_frames(frames(), c_.global_frames);
}

at::Tensor ShotMemory::visual(const VideoXl &net, const std::vector<int64_t> &frames, int64_t from_token,
                              int64_t to_token) const
{
    const int64_t per_frame = net.config().tokens_per_frame(), first = from_token / per_frame;
    std::vector<at::Tensor> parts;
    for (int64_t i = first; i * per_frame < to_token; i++)
        parts.push_back(tokens_.frame(frames.at(static_cast<size_t>(i))));
    return at::cat(parts).narrow(0, from_token - first * per_frame, to_token - from_token).to(net.prefix().options());
}

int64_t ShotMemory::run_windows(const VideoXl &net, BeaconMemory &memory, const std::vector<int64_t> &frames,
                                int64_t first, bool closing) const
{
    const int64_t window = net.config().language.window;
    const int64_t tokens = static_cast<int64_t>(frames.size()) * net.config().tokens_per_frame();
    int64_t w = first;
    for (; w * window < tokens; w++) {
        const int64_t end = std::min(tokens, (w + 1) * window);
        if (end - w * window < window && !closing)
            break;
        net.language().window(memory, visual(net, frames, w * window, end), c_.ratio);
    }
    return w;
}

BeaconMemory ShotMemory::started(const VideoXl &net) const
{
    BeaconMemory memory;
    net.language().text(memory, net.prefix());
    return memory;
}

at::Tensor ShotMemory::finished(const VideoXl &net, BeaconMemory memory) const
{
    net.language().text(memory, net.suffix());
    return net.language().stack(memory, net.memory_layers());
}

at::Tensor ShotMemory::fresh(const VideoXl &net, const std::vector<int64_t> &frames) const
{
    BeaconMemory memory = started(net);
    run_windows(net, memory, frames, 0, true);
    return finished(net, std::move(memory));
}

at::Tensor ShotMemory::global(const VideoXl &net)
{
    const std::vector<int64_t> sample = sampled();
    if (static_cast<int64_t>(sample.size()) < frames()) { // the kept windows are of no use any more
        whole_ = {};
        windows_ = 0;
        return fresh(net, sample);
    }
    BeaconMemory memory = windows_ == 0 ? started(net) : whole_.to(net.device());
    const int64_t whole = run_windows(net, memory, sample, windows_, false);
    if (whole > windows_) {
        whole_ = memory.to(at::kCPU);
        windows_ = whole;
    }
    run_windows(net, memory, sample, windows_, true);
    return finished(net, std::move(memory));
}

at::Tensor ShotMemory::local(const VideoXl &net) const
{
    std::vector<int64_t> sample = sampled();
    const auto n = std::min<size_t>(sample.size(), static_cast<size_t>(c_.local_frames));
    if (n == 0)
        throw Error(MDL_EINVAL, "memory: local_frames is 0");
    sample.erase(sample.begin(), sample.end() - static_cast<std::ptrdiff_t>(n));
    return fresh(net, sample);
}

} // namespace mdl
