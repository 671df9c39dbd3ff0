#include "longanimation/vae.h"
#include "error.h"
#include "longanimation/vae_layers.h"
#include "longanimation/vae_tiles.h"
#include "nn/conv.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mdl
{

namespace
{

constexpr int64_t encode_frames = 8, decode_latents = 2; // frames of a slice
constexpr size_t mid_resnets = 2;

struct Slice {
    int64_t from, count;
};

// Slices of `size` frames; what is left over goes into the first one.
std::vector<Slice> slices(int64_t frames, int64_t size)
{
    const int64_t count = std::max<int64_t>(frames / size, 1), left = frames % size;
    std::vector<Slice> all;
    for (int64_t i = 0; i < count; i++) {
        const int64_t from = i ? size * i + left : 0, to = std::min(size * (i + 1) + left, frames);
        all.push_back({from, to - from});
    }
    return all;
}

struct Level {
    std::vector<VaeResnet> resnets;
    std::unique_ptr<VaeDownsample> down;
    std::unique_ptr<VaeUpsample> up;
};

std::vector<VaeResnet> load_resnets(Weights &w, const std::string &name, const VaeConfig &c, size_t count, int64_t in,
                                    int64_t out, bool spatial)
{
    std::vector<VaeResnet> resnets;
    for (size_t i = 0; i < count; i++)
        resnets.push_back(VaeResnet::load(w, name + ".resnets." + std::to_string(i), c, i ? out : in, out, spatial));
    return resnets;
}

void require(bool holds, const char *what)
{
    if (!holds)
        throw Error(MDL_EWEIGHTS, std::string("vae config: ") + what);
}

} // namespace

class VaeEncoder
{
  public:
    VaeEncoder(const VaeConfig &c, Weights &w)
    {
        const auto &channels = c.channels;
        conv_in_ = CausalConv::load(w, "encoder.conv_in", c.in_channels, channels.front());
        for (size_t i = 0; i < channels.size(); i++) {
            const std::string name = "encoder.down_blocks." + std::to_string(i);
            Level level;
            level.resnets =
                load_resnets(w, name, c, static_cast<size_t>(c.layers), channels[i ? i - 1 : 0], channels[i], false);
            if (i + 1 < channels.size())
                level.down = std::make_unique<VaeDownsample>(
                    VaeDownsample::load(w, name + ".downsamplers.0", channels[i], c.compresses_time(i)));
            levels_.push_back(std::move(level));
        }
        mid_ = load_resnets(w, "encoder.mid_block", c, mid_resnets, channels.back(), channels.back(), false);
        norm_out_ = VaeNorm::load(w, "encoder.norm_out", c, channels.back(), 1e-6, nn::Activation::silu, false);
        conv_out_ = CausalConv::load(w, "encoder.conv_out", channels.back(), 2 * c.latent_channels);
    }

    at::Tensor run(const at::Tensor &given) const
    {
        const at::Tensor video = nn::conv_layout(given, conv_in_.weight);
        VaeCache cache;
        std::vector<at::Tensor> parts;
        for (const Slice &s : slices(video.size(2), encode_frames)) {
            cache.rewind();
            parts.push_back(slice(video.narrow(2, s.from, s.count), cache));
        }
        return (parts.size() == 1 ? parts[0] : at::cat(parts, 2)).contiguous();
    }

  private:
    at::Tensor slice(const at::Tensor &x, VaeCache &cache) const
    {
        at::Tensor h = conv_in_(x, cache);
        for (const Level &level : levels_) {
            for (const VaeResnet &resnet : level.resnets)
                h = resnet(h, {}, cache);
            if (level.down)
                h = (*level.down)(h);
        }
        for (const VaeResnet &resnet : mid_)
            h = resnet(h, {}, cache);
        return conv_out_(norm_out_(h, {}), cache);
    }

    CausalConv conv_in_, conv_out_;
    std::vector<Level> levels_;
    std::vector<VaeResnet> mid_;
    VaeNorm norm_out_;
};

class VaeDecoder
{
  public:
    VaeDecoder(const VaeConfig &c, Weights &w)
    {
        const std::vector<int64_t> channels(c.channels.rbegin(), c.channels.rend());
        conv_in_ = CausalConv::load(w, "decoder.conv_in", c.latent_channels, channels.front());
        mid_ = load_resnets(w, "decoder.mid_block", c, mid_resnets, channels.front(), channels.front(), true);
        for (size_t i = 0; i < channels.size(); i++) {
            const std::string name = "decoder.up_blocks." + std::to_string(i);
            Level level;
            level.resnets =
                load_resnets(w, name, c, static_cast<size_t>(c.layers) + 1, channels[i ? i - 1 : 0], channels[i], true);
            if (i + 1 < channels.size())
                level.up = std::make_unique<VaeUpsample>(
                    VaeUpsample::load(w, name + ".upsamplers.0", channels[i], c.compresses_time(i)));
            levels_.push_back(std::move(level));
        }
        norm_out_ = VaeNorm::load(w, "decoder.norm_out", c, channels.back(), 1e-6, nn::Activation::silu, true);
        conv_out_ = CausalConv::load(w, "decoder.conv_out", channels.back(), c.out_channels);
    }

    void run(const at::Tensor &given, const Vae::OnFrames &on_frames) const
    {
        const at::Tensor latents = nn::conv_layout(given, conv_in_.weight);
        VaeCache cache;
        int64_t first = 0;
        for (const Slice &s : slices(latents.size(2), decode_latents)) {
            cache.rewind();
            const at::Tensor frames = slice(latents.narrow(2, s.from, s.count), cache);
            on_frames(frames, first);
            first += frames.size(2);
        }
    }

    at::Tensor run(const at::Tensor &latents) const
    {
        std::vector<at::Tensor> parts;
        run(latents, [&parts](const at::Tensor &frames, int64_t) { parts.push_back(frames); });
        return parts.size() == 1 ? parts[0] : at::cat(parts, 2);
    }

  private:
    at::Tensor slice(const at::Tensor &z, VaeCache &cache) const
    {
        at::Tensor h = conv_in_(z, cache);
        for (const VaeResnet &resnet : mid_)
            h = resnet(h, z, cache);
        for (const Level &level : levels_) {
            for (const VaeResnet &resnet : level.resnets)
                h = resnet(h, z, cache);
            if (level.up)
                h = (*level.up)(h);
        }
        return conv_out_(norm_out_(h, z), cache);
    }

    CausalConv conv_in_, conv_out_;
    std::vector<VaeResnet> mid_;
    std::vector<Level> levels_;
    VaeNorm norm_out_;
};

VaeConfig VaeConfig::parse(const Json &config)
{
    VaeConfig c;
    const auto size = [&config](const char *key, int64_t fallback) {
        return json_int(config, key, fallback, 1, int64_t{1} << 16);
    };
    c.in_channels = size("in_channels", c.in_channels);
    c.out_channels = size("out_channels", c.out_channels);
    c.latent_channels = size("latent_channels", c.latent_channels);
    c.channels = json_ints(config, "block_out_channels", c.channels);
    c.layers = json_int(config, "layers_per_block", c.layers, 1, 64);
    c.groups = size("norm_num_groups", c.groups);
    c.norm_eps = json_double(config, "norm_eps", c.norm_eps);
    c.activation = nn::activation_by_name(json_string(config, "act_fn", "silu"));
    c.temporal_ratio = static_cast<int64_t>(json_double(config, "temporal_compression_ratio", 4));
    c.sample_height = size("sample_height", c.sample_height);
    c.sample_width = size("sample_width", c.sample_width);
    c.scaling_factor = json_double(config, "scaling_factor", c.scaling_factor);
    c.invert_scale_latents = json_bool(config, "invert_scale_latents", c.invert_scale_latents);
    require(!c.channels.empty() && c.channels.size() <= 8, "block_out_channels must hold 1 to 8 levels");
    for (const int64_t n : c.channels)
        require(n >= 1 && n <= 1 << 16 && n % c.groups == 0, "block_out_channels must divide into norm_num_groups");
    require(c.temporal_ratio >= 1 && c.temporal_ratio <= 1 << (c.channels.size() - 1),
            "temporal_compression_ratio is out of range");
    require(c.scaling_factor > 0, "scaling_factor must be positive");
    require(!json_bool(config, "use_quant_conv", false) && !json_bool(config, "use_post_quant_conv", false),
            "quant convolutions are not supported");
    return c;
}

Vae::Vae(const VaeConfig &config, Weights &w)
    : c_(config), encoder_(std::make_unique<VaeEncoder>(config, w)), decoder_(std::make_unique<VaeDecoder>(config, w))
{
}

Vae::~Vae() = default;
Vae::Vae(Vae &&) noexcept = default;

at::Tensor Vae::encode(const at::Tensor &video, const VaeTiling &tiling) const
{
    const int64_t ratio = c_.spatial_ratio();
    if (video.dim() != 5 || video.size(1) != c_.in_channels || video.size(2) < 1 || video.size(3) % ratio ||
        video.size(4) % ratio)
        throw Error(MDL_EINVAL, "video of a shape that the VAE does not take");
    const auto run = [this](const at::Tensor &tile) { return encoder_->run(tile); };
    if (const auto plan = VaeTilePlan::encoding(c_, tiling); plan.needed(video))
        return plan.run(video, run);
    return run(video);
}

at::Tensor Vae::decode(const at::Tensor &latents, const VaeTiling &tiling) const
{
    if (latents.dim() != 5 || latents.size(1) != c_.latent_channels || latents.size(2) < 1)
        throw Error(MDL_EINVAL, "latents of a shape that the VAE does not take");
    const auto run = [this](const at::Tensor &tile) { return decoder_->run(tile); };
    if (const auto plan = VaeTilePlan::decoding(c_, tiling); plan.needed(latents))
        return plan.run(latents, run);
    return run(latents);
}

void Vae::decode(const at::Tensor &latents, const VaeTiling &tiling, const OnFrames &on_frames) const
{
    if (VaeTilePlan::decoding(c_, tiling).needed(latents))
        on_frames(decode(latents, tiling), 0);
    else
        decoder_->run(latents, on_frames);
}

int64_t Vae::frames_of(int64_t latent_frames) const
{
    // A first slice with an odd count has a privileged first frame.
    return latent_frames % 2 ? (latent_frames - 1) * c_.temporal_ratio + 1 : latent_frames * c_.temporal_ratio;
}

int64_t Vae::latents_of(int64_t frames) const
{
    return (frames - 1) / c_.temporal_ratio + 1;
}

at::Tensor vae_sample(const at::Tensor &moments, const at::Tensor &noise)
{
    const auto parts = moments.chunk(2, 1);
    if (!noise.defined())
        return parts[0].contiguous();
    return parts[1].clamp(-30.0, 20.0).mul(0.5).exp().mul(noise).add(parts[0]);
}

} // namespace mdl
