#include "video_xl/clip_vision.h"
#include "error.h"
#include "nn/attention.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

const char *const layer_modules[] = {"layer_norm1",      "layer_norm2",        "self_attn.q_proj", "self_attn.k_proj",
                                     "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1",          "mlp.fc2"};

std::string layer_prefix(const std::string &prefix, int64_t i)
{
    return prefix + "encoder.layers." + std::to_string(i) + ".";
}

} // namespace

ClipVisionConfig ClipVisionConfig::from_json(const Json &json)
{
    const Json &v = json_has(json, "vision_config") ? json["vision_config"] : json;
    const auto size = [&v](const char *key, int64_t fallback) { return json_int(v, key, fallback, 1, 1 << 20); };
    ClipVisionConfig c;
    c.width = size("hidden_size", c.width);
    c.heads = size("num_attention_heads", c.heads);
    c.hidden = size("intermediate_size", c.hidden);
    c.layers = json_int(v, "num_hidden_layers", c.layers, 1, 1024);
    c.image = json_int(v, "image_size", c.image, 1, 4096);
    c.patch = json_int(v, "patch_size", c.patch, 1, 4096);
    c.channels = json_int(v, "num_channels", c.channels, 3, 3);
    c.norm_eps = json_double(v, "layer_norm_eps", c.norm_eps);
    c.activation = nn::activation_by_name(json_string(v, "hidden_act", "quick_gelu"));
    if (c.width % c.heads != 0 || c.patch > c.image)
        throw Error(MDL_EWEIGHTS, "vision config: sizes that do not divide");
    return c;
}

int64_t ClipVisionConfig::layers_for(int64_t select_layer) const
{
    const int64_t index = select_layer < 0 ? layers + 1 + select_layer : select_layer;
    if (index < 0 || index > layers)
        throw Error(MDL_EWEIGHTS, "mm_vision_select_layer " + std::to_string(select_layer) + " of " +
                                      std::to_string(layers) + " layers does not exist");
    return index;
}

ClipVision::ClipVision(const ClipVisionConfig &config, Weights &w, const std::string &prefix, int64_t layers)
    : c_(config)
{
    const std::string embeddings = prefix + "embeddings.";
    class_token_ = w.get(embeddings + "class_embedding", {c_.width});
    patch_ = w.get(embeddings + "patch_embedding.weight", {c_.width, c_.channels, c_.patch, c_.patch});
    positions_ = w.get(embeddings + "position_embedding.weight", {1 + c_.grid() * c_.grid(), c_.width});
    pre_norm_ = nn::LayerNorm::load(w, prefix + "pre_layrnorm", c_.width, c_.norm_eps); // the name is published so
    for (int64_t i = 0; i < layers; i++) {
        const std::string at = layer_prefix(prefix, i);
        const auto square = [&](const char *name) { return nn::Linear::load(w, at + name, c_.width, c_.width); };
        Layer l;
        l.norm1 = nn::LayerNorm::load(w, at + "layer_norm1", c_.width, c_.norm_eps);
        l.norm2 = nn::LayerNorm::load(w, at + "layer_norm2", c_.width, c_.norm_eps);
        l.q = square("self_attn.q_proj");
        l.k = square("self_attn.k_proj");
        l.v = square("self_attn.v_proj");
        l.out = square("self_attn.out_proj");
        l.up = nn::Linear::load(w, at + "mlp.fc1", c_.width, c_.hidden);
        l.down = nn::Linear::load(w, at + "mlp.fc2", c_.hidden, c_.width);
        layers_.push_back(std::move(l));
    }
}

std::vector<std::string> ClipVision::unneeded(const ClipVisionConfig &config, const std::string &prefix, int64_t layers)
{
    std::vector<std::string> names = {prefix + "embeddings.position_ids", prefix + "post_layernorm.weight",
                                      prefix + "post_layernorm.bias"};
    for (int64_t i = layers; i < config.layers; i++)
        for (const char *module : layer_modules)
            for (const char *kind : {".weight", ".bias"})
                names.push_back(layer_prefix(prefix, i) + module + kind);
    return names;
}

at::Tensor ClipVision::attention(const Layer &l, const at::Tensor &x) const
{
    const auto heads = [&](const at::Tensor &t) {
        return t.view({t.size(0), t.size(1), c_.heads, c_.width / c_.heads}).transpose(1, 2);
    };
    return l.out(nn::attention(heads(l.q(x)), heads(l.k(x)), heads(l.v(x))));
}

at::Tensor ClipVision::forward(const at::Tensor &pixels, bool keep_class_token, const Tap &tap) const
{
    if (pixels.dim() != 4 || pixels.size(1) != c_.channels || pixels.size(2) != c_.image || pixels.size(3) != c_.image)
        throw Error(MDL_EINVAL, "the vision tower takes squares of " + std::to_string(c_.image) + " pixels, not " +
                                    c10::str(pixels.sizes()));
    const int64_t n = pixels.size(0);
    const at::Tensor patches =
        at::conv2d(pixels.to(patch_.options()), patch_, {}, {c_.patch, c_.patch}).flatten(2).transpose(1, 2);
    at::Tensor x = at::cat({class_token_.expand({n, 1, -1}), patches}, 1) + positions_;
    x = pre_norm_(x);
    if (tap)
        tap(0, x);
    for (size_t i = 0; i < layers_.size(); i++) {
        const Layer &l = layers_[i];
        x = x + attention(l, l.norm1(x));
        x = x + l.down(l.up(l.norm2(x), c_.activation));
        if (tap)
            tap(static_cast<int64_t>(i) + 1, x);
    }
    return keep_class_token ? x : x.narrow(1, 1, x.size(1) - 1);
}

} // namespace mdl
