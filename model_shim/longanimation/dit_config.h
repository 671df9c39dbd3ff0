// dit_config.h - transformer/config.json of CogVideoX 1.0 and 1.5; SketchDiT's config has the same keys.
// (diffusers CogVideoXTransformer3DModel)
#pragma once
#include "io/json.h"
#include "nn/layers.h"

#include <cstdint>

namespace mdl
{

struct DitConfig {
    int64_t heads = 30, head_dim = 64, layers = 30;
    int64_t in_channels = 16, out_channels = 16;
    int64_t patch = 2, patch_t = 0; // patch_t 0: no temporal patches (1.0), the patch projection is a convolution
    bool patch_bias = true;         // of that convolution only
    int64_t time_dim = 512, ofs_dim = 0, text_dim = 4096, max_text_tokens = 226; // ofs_dim 0: no such input
    int64_t sample_height = 60, sample_width = 90;                               // latent pixels
    int64_t sample_frames = 49, temporal_ratio = 4;                              // pixel frames
    double spatial_scale = 1.875, temporal_scale = 1.0;                          // of absolute positions
    bool rotary = false, learned_positions = false;
    bool flip_sin_to_cos = true;
    double freq_shift = 0;
    nn::Activation activation = nn::Activation::gelu_tanh, time_activation = nn::Activation::silu;
    bool norm_affine = true, attention_bias = true;
    double norm_eps = 1e-5;

    static DitConfig parse(const Json &config);

    int64_t width() const
    {
        return heads * head_dim;
    }
    bool absolute_positions() const
    {
        return !rotary || learned_positions;
    }
    // Elements of a token before the patch projection, and after the output projection.
    int64_t patch_elements(int64_t channels) const
    {
        return channels * patch * patch * (patch_t ? patch_t : 1);
    }
};

} // namespace mdl
