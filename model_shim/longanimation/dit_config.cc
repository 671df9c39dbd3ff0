#include "longanimation/dit_config.h"
#include "error.h"

#include <ATen/core/Tensor.h>

namespace mdl
{

namespace
{

void require(bool holds, const char *what)
{
    if (!holds)
        throw Error(MDL_EWEIGHTS, std::string("transformer config: ") + what);
}

} // namespace

DitConfig DitConfig::parse(const Json &config)
{
    DitConfig c;
    const auto size = [&config](const char *key, int64_t fallback, int64_t min = 1) {
        return json_int(config, key, fallback, min, int64_t{1} << 20);
    };
    c.heads = size("num_attention_heads", c.heads);
    c.head_dim = size("attention_head_dim", c.head_dim);
    c.layers = json_int(config, "num_layers", c.layers, 1, 1024);
    c.in_channels = size("in_channels", c.in_channels);
    c.out_channels = json_has(config, "out_channels") ? size("out_channels", 16) : c.out_channels;
    c.patch = size("patch_size", c.patch);
    c.patch_t = size("patch_size_t", c.patch_t);
    c.patch_bias = json_bool(config, "patch_bias", c.patch_bias);
    c.time_dim = size("time_embed_dim", c.time_dim);
    c.ofs_dim = size("ofs_embed_dim", c.ofs_dim, 0);
    c.text_dim = size("text_embed_dim", c.text_dim);
    c.max_text_tokens = size("max_text_seq_length", c.max_text_tokens);
    c.sample_height = size("sample_height", c.sample_height);
    c.sample_width = size("sample_width", c.sample_width);
    c.sample_frames = size("sample_frames", c.sample_frames);
    c.temporal_ratio = size("temporal_compression_ratio", c.temporal_ratio);
    c.spatial_scale = json_double(config, "spatial_interpolation_scale", c.spatial_scale);
    c.temporal_scale = json_double(config, "temporal_interpolation_scale", c.temporal_scale);
    c.rotary = json_bool(config, "use_rotary_positional_embeddings", c.rotary);
    c.learned_positions = json_bool(config, "use_learned_positional_embeddings", c.learned_positions);
    c.flip_sin_to_cos = json_bool(config, "flip_sin_to_cos", c.flip_sin_to_cos);
    c.freq_shift = json_double(config, "freq_shift", c.freq_shift);
    c.activation = nn::activation_by_name(json_string(config, "activation_fn", "gelu-approximate"));
    c.time_activation = nn::activation_by_name(json_string(config, "timestep_activation_fn", "silu"));
    c.norm_affine = json_bool(config, "norm_elementwise_affine", c.norm_affine);
    c.norm_eps = json_double(config, "norm_eps", c.norm_eps);
    c.attention_bias = json_bool(config, "attention_bias", c.attention_bias);

    require(c.width() <= int64_t{1} << 20, "heads times head size is out of range");
    require(!c.ofs_dim || c.ofs_dim == c.time_dim || c.ofs_dim == 1 || c.time_dim == 1,
            "ofs_embed_dim and time_embed_dim cannot be added");
    require(c.rotary || !c.learned_positions, "learned positions without rotary ones do not exist");
    require(!c.rotary || c.head_dim % 16 == 0, "attention_head_dim must be a multiple of 16 for rotary positions");
    require(c.patch <= 64 && c.patch_t <= 64, "patch_size is out of range");
    require(c.sample_height >= c.patch && c.sample_width >= c.patch, "the sample is smaller than a patch");
    return c;
}

} // namespace mdl
