// shot_memory.h - what Video-XL remembers of the frames of one shot, growing with it.
//
// Before a segment the memory module wants two tensors: the global memory over everything shown so far (at most
// `global_frames` frames, evenly sampled) and the local memory over the last `local_frames` of those.
//
//   vision      each frame once, its tokens kept (TokenStore)
//   language    whole windows once: the memory behind prefix and whole windows is kept and continued. The unfinished
//               last window and the suffix are run again every time, on a copy; closing a window early would change
//               every later row. The result equals a run from the start bit for bit.
//   sampled     with more frames than `global_frames` the sample changes with every segment, so all windows are run
//               anew over kept tokens: a constant cost per segment.
//
// The cost of a shot is linear in its length, memory is bounded. One thread.
#pragma once
#include "video_xl/encoder.h"
#include "video_xl/token_store.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace mdl
{

struct ShotMemoryConfig {
    int64_t ratio = 8;                      // visual tokens per summary token
    int64_t global_frames = 650;            // most frames of the global memory
    int64_t local_frames = 20;              // 0 = the local memory is never asked for
    int64_t token_bytes = int64_t{1} << 30; // of visual tokens kept in memory, see TokenStore
};

class ShotMemory
{
  public:
    explicit ShotMemory(const ShotMemoryConfig &config);

    // The next frames of the shot, uint8 (F, h, w, 3) on the CPU.
    void append(const VideoXl &net, const at::Tensor &frames);
    int64_t frames() const
    {
        return tokens_.frames();
    }

    // (1, 2 (keys, values), layers, rows, kv_width) of all frames so far, in the type and on the device of `net`.
    // Throws Error(MDL_EINVAL) when there are none.
    at::Tensor global(const VideoXl &net);
    at::Tensor local(const VideoXl &net) const;

  private:
    std::vector<int64_t> sampled() const;
    // Visual tokens from_token..to_token-1 of these frames, one after the other.
    at::Tensor visual(const VideoXl &net, const std::vector<int64_t> &frames, int64_t from_token,
                      int64_t to_token) const;
    // Runs the windows of these frames from window `first` on, the unfinished one included if `closing`. Gives the
    // number of the first window that was not run.
    int64_t run_windows(const VideoXl &net, BeaconMemory &memory, const std::vector<int64_t> &frames, int64_t first,
                        bool closing) const;
    BeaconMemory started(const VideoXl &net) const;
    at::Tensor finished(const VideoXl &net, BeaconMemory memory) const;
    at::Tensor fresh(const VideoXl &net, const std::vector<int64_t> &frames) const;

    ShotMemoryConfig c_;
    TokenStore tokens_;
    BeaconMemory whole_;  // behind prefix and whole windows, parked on the CPU; empty before the first one
    int64_t windows_ = 0; // in whole_
};

} // namespace mdl
