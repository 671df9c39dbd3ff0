// vae.h - the causal 3-D VAE of CogVideoX: pixels (B, 3, T, H, W) in [-1, 1] <-> latents (B, 16, t, H/8, W/8),
// T = 4 (t - 1) + 1. (diffusers AutoencoderKLCogVideoX)
//
//   215.6 M parameters: encoder 128-256-256-512 with 3 ResNets a level, decoder 512-256-256-128 with 4.
//
// Video goes through in temporal slices of 8 frames (2 latents); group norms see one slice (and tile) at a time and
// causal convolutions carry their last two frames over, so slices and tiles are part of the numbers.
#pragma once
#include "io/json.h"
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

namespace mdl
{

struct VaeConfig {
    int64_t in_channels = 3, out_channels = 3, latent_channels = 16;
    std::vector<int64_t> channels = {128, 256, 256, 512}; // of the levels, finest first
    int64_t layers = 3;                                   // ResNets a level in the encoder; one more in the decoder
    int64_t groups = 32;
    double norm_eps = 1e-6; // of the encoder's ResNets; all other norms have 1e-6
    nn::Activation activation = nn::Activation::silu;
    int64_t temporal_ratio = 4;
    int64_t sample_height = 480, sample_width = 720;
    double scaling_factor = 1.15258426;
    bool invert_scale_latents = false;

    static VaeConfig parse(const Json &config);

    int64_t spatial_ratio() const
    {
        return int64_t{1} << (channels.size() - 1);
    }
    bool compresses_time(size_t level) const // the level's down- or upsampling also acts on time
    {
        return int64_t{1} << (level + 1) <= temporal_ratio;
    }
};

// Tiles of pixels with an overlap, blended. Used where a picture is larger than a tile.
struct VaeTiling {
    bool enabled = false;
    int64_t tile_height = 240, tile_width = 360; // pixels
    double overlap_height = 1.0 / 6, overlap_width = 1.0 / 5;

    static VaeTiling half_sample(const VaeConfig &config); // enabled, with tiles of half the sample size
};

class VaeEncoder;
class VaeDecoder;

// One thread at a time.
class Vae
{
  public:
    // frames (B, 3, n, H, W), `first` counts pixel frames from 0. Called in order.
    using OnFrames = std::function<void(const at::Tensor &frames, int64_t first)>;

    Vae(const VaeConfig &config, Weights &w);
    ~Vae();
    Vae(Vae &&) noexcept;

    const VaeConfig &config() const
    {
        return c_;
    }
    // Moments (B, 2 * latent channels, t, h, w): mean, then log-variance before clamping.
    at::Tensor encode(const at::Tensor &video, const VaeTiling &tiling = {}) const;
    at::Tensor decode(const at::Tensor &latents, const VaeTiling &tiling = {}) const;
    // Hands the frames out slice by slice, so that no more than one slice is in memory; all at once when tiled.
    void decode(const at::Tensor &latents, const VaeTiling &tiling, const OnFrames &on_frames) const;
    // Pixel frames that t latent frames become, and the other way round.
    int64_t frames_of(int64_t latent_frames) const;
    int64_t latents_of(int64_t frames) const;

  private:
    VaeConfig c_;
    std::unique_ptr<VaeEncoder> encoder_;
    std::unique_ptr<VaeDecoder> decoder_;
};

// mean + exp(log-variance / 2) * noise, log-variance clamped to [-30, 20]; noise has the shape of the mean. Undefined
// noise gives the mean.
at::Tensor vae_sample(const at::Tensor &moments, const at::Tensor &noise);

} // namespace mdl
