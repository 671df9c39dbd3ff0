// recall.cc - see recall.h.
#include "longanimation/recall.h"

#include <ATen/ATen.h>

namespace mdl
{

Recall::Recall(const Manifest &m, const Settings &s)
    : active_(!m.video_encoder.empty() && (s.global_memory || s.local_memory)), global_(s.global_memory),
      local_(s.local_memory), memory_({.ratio = m.compression_ratio,
                                       .global_frames = s.global_frames,
                                       .local_frames = s.local_memory ? s.local_frames : 0})
{
}

void Recall::add(const at::Tensor &frames)
{
    if (!active_)
        return;
    frames_.push_back(frames.clone());
    waiting_ += frames.size(0);
}

void Recall::absorb(const VideoXl &net)
{
    if (frames_.empty())
        return;
    memory_.append(net, at::cat(frames_));
    frames_.clear();
    waiting_ = 0;
}

Memories Recall::build(const VideoXl &net)
{
    absorb(net);
    Memories m;
    if (global_)
        m.global = memory_.global(net);
    if (local_)
        m.local = memory_.local(net);
    return m;
}

} // namespace mdl
