// recall.h - what a run remembers of the frames that it has delivered, for the memory module: the video encoder's keys
// and values for the shot so far (global) and for its last frames (local).
//
// Frames wait here until the encoder is on the device again: at most one segment of them, since a resumed run takes its
// history in portions.
#pragma once
#include "longanimation/manifest.h"
#include "longanimation/pipeline.h"
#include "longanimation/settings.h"
#include "video_xl/shot_memory.h"

#include <vector>

namespace mdl
{

class Recall
{
  public:
    Recall(const Manifest &m, const Settings &s);

    // Does this run remember anything? Not without a video encoder, nor with both memories switched off. When it does,
    // a resumed run has to add every frame delivered before.
    bool active() const
    {
        return active_;
    }
    // Delivered frames, uint8 [n,H,W,3], in order.
    void add(const at::Tensor &frames);
    int64_t waiting_frames() const
    {
        return waiting_;
    }

    // Both need the encoder, so the recall phase has to be entered.
    void absorb(const VideoXl &net); // the waiting frames
    Memories build(const VideoXl &net);

  private:
    bool active_, global_, local_;
    ShotMemory memory_;
    std::vector<at::Tensor> frames_;
    int64_t waiting_ = 0;
};

} // namespace mdl
