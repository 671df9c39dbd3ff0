// clip_vision.h - CLIP vision tower up to the hidden state that Video-XL reads. (HF CLIPVisionModel)
//
//   ViT-L/14-336: 24 layers, width 1024, 16 heads, MLP 4096, quick-GELU, 577 positions. Video-XL selects hidden state
//   -2: the output of the last layer but one, without a final norm. Later layers are neither loaded nor run.
#pragma once
#include "io/json.h"
#include "io/weights.h"
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mdl
{

struct ClipVisionConfig {
    int64_t width = 1024, heads = 16, hidden = 4096, layers = 24, image = 336, patch = 14, channels = 3;
    double norm_eps = 1e-5;
    nn::Activation activation = nn::Activation::quick_gelu;

    // A vision config, or a CLIP config that holds one as "vision_config".
    static ClipVisionConfig from_json(const Json &json);

    int64_t grid() const // patches along a side
    {
        return image / patch;
    }
    // mm_vision_select_layer -> how many layers have to run; -1 is the last layer's output. Throws when out of range.
    int64_t layers_for(int64_t select_layer) const;
};

class ClipVision
{
  public:
    // Called with the hidden states, class token first: 0 after the first norm, i after layer i.
    using Tap = std::function<void(int64_t index, const at::Tensor &hidden)>;

    // Loads `layers` of the layers; `prefix` ends in "vision_model.".
    ClipVision(const ClipVisionConfig &config, Weights &w, const std::string &prefix, int64_t layers);

    // Names under `prefix` that a checkpoint may have and this tower does not need.
    static std::vector<std::string> unneeded(const ClipVisionConfig &config, const std::string &prefix, int64_t layers);

    // pixels (n, channels, image, image) -> (n, grid*grid, width), class token dropped unless kept.
    at::Tensor forward(const at::Tensor &pixels, bool keep_class_token = false, const Tap &tap = {}) const;

    const ClipVisionConfig &config() const
    {
        return c_;
    }

  private:
    struct Layer {
        nn::LayerNorm norm1, norm2; // width
        nn::Linear q, k, v, out;    // width -> width
        nn::Linear up, down;        // width -> hidden -> width
    };
    at::Tensor attention(const Layer &layer, const at::Tensor &x) const;

    ClipVisionConfig c_;
    at::Tensor class_token_; // (width)
    at::Tensor patch_;       // (width, channels, patch, patch), no bias
    at::Tensor positions_;   // (1 + grid*grid, width)
    nn::LayerNorm pre_norm_; // width
    std::vector<Layer> layers_;
};

} // namespace mdl
