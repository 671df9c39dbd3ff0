// vae_tiles.h - cutting a video into overlapping tiles and blending what comes out (private to vae*.cc).
#pragma once
#include "longanimation/vae.h"

namespace mdl
{

// All sizes in the units of the side that they belong to: the input (pixels or latents) or the output.
class VaeTilePlan
{
  public:
    static VaeTilePlan encoding(const VaeConfig &config, const VaeTiling &tiling);
    static VaeTilePlan decoding(const VaeConfig &config, const VaeTiling &tiling);

    bool needed(const at::Tensor &video) const;
    // Blending uses the neighbours above and to the left as they are after their own blending.
    at::Tensor run(const at::Tensor &video, const std::function<at::Tensor(const at::Tensor &)> &network) const;

  private:
    struct Axis {
        int64_t tile = 0, step = 0;  // of the input
        int64_t blend = 0, keep = 0; // of the output
    };

    static Axis axis(int64_t tile_in, int64_t tile_out, double overlap);

    bool enabled_ = false;
    Axis y_, x_;
};

} // namespace mdl
