#include "longanimation/vae_layers.h"
#include "error.h"
#include "nn/conv.h"
#include "nn/grad.h"
#include "nn/group_norm.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mdl
{

namespace
{

constexpr int64_t kernel_t = 3;

// Channels last is what cuDNN's tensor cores want; on the CPU oneDNN turns weights as it likes, and a copy of a trained
// weight would not be trained.
at::Tensor weight_layout(const at::Tensor &weight)
{
    return weight.is_cuda() && !weight.requires_grad() ? weight.contiguous(at::MemoryFormat::ChannelsLast3d) : weight;
}

// Frames as a batch, for 2-D convolutions: (B, C, T, H, W) -> (B T, C, H, W) and back.
at::Tensor frames_to_batch(const at::Tensor &x)
{
    return x.transpose(1, 2).flatten(0, 1);
}

at::Tensor batch_to_frames(const at::Tensor &x, int64_t batch)
{
    return x.unflatten(0, at::IntArrayRef{batch, x.size(0) / batch}).transpose(1, 2);
}

// A small map (B, C, t, h, w) with places for the repeats of frames and rows: (B, C, t, 1, h, 1, W). Columns are
// repeated for real, so that inner loops are long; rows and frames by strides of zero.
at::Tensor spread(const at::Tensor &map, int64_t columns, at::MemoryFormat format)
{
    at::Tensor wide = map;
    if (columns > 1 && format == at::MemoryFormat::ChannelsLast3d) { // in that layout, which repeat_interleave loses
        const at::Tensor many = map.unsqueeze(5).expand({-1, -1, -1, -1, -1, columns});
        wide = many.permute({0, 2, 3, 4, 5, 1}).contiguous().flatten(3, 4).permute({0, 4, 1, 2, 3});
    } else if (columns > 1) {
        wide = map.repeat_interleave(columns, 4);
    }
    return wide.unsqueeze(3).unsqueeze(5);
}

// h * scale + shift with the small maps repeated to h's size; both are (B, C, t, h, w). Goes into `out`, which may be
// h, where no gradient is recorded.
at::Tensor spread_addcmul(const at::Tensor &out, const at::Tensor &h, const at::Tensor &scale, const at::Tensor &shift)
{
    const int64_t t = scale.size(2), y = scale.size(3), x = scale.size(4);
    const int64_t times = h.size(2) / t, rows = h.size(3) / y, columns = h.size(4) / x;
    if (times * t != h.size(2) || rows * y != h.size(3) || columns * x != h.size(4))
        throw Error(MDL_EINTERNAL, "latents and features do not divide");
    const auto places = [&](const at::Tensor &of) {
        return of.unflatten(3, at::IntArrayRef{y, rows}).unflatten(2, at::IntArrayRef{t, times});
    };
    const auto format = h.suggest_memory_format();
    const at::Tensor wide_scale = spread(scale, columns, format), wide_shift = spread(shift, columns, format);
    if (nn::tracked(h, scale))
        return (wide_shift + places(h) * wide_scale).reshape(h.sizes());
    at::Tensor to = places(out);
    at::addcmul_out(to, wide_shift, places(h), wide_scale);
    return out;
}

at::Tensor modulate_by_latents(const at::Tensor &out, const at::Tensor &h, const at::Tensor &scale,
                               const at::Tensor &shift)
{
    const int64_t frames = h.size(2);
    if (frames == 1 || frames % 2 == 0)
        return spread_addcmul(out, h, scale, shift);
    const auto first = [](const at::Tensor &x) { return x.narrow(2, 0, 1); };
    const auto rest = [](const at::Tensor &x) { return x.narrow(2, 1, x.size(2) - 1); };
    const at::Tensor one = spread_addcmul(first(out), first(h), first(scale), first(shift));
    const at::Tensor others = spread_addcmul(rest(out), rest(h), rest(scale), rest(shift));
    return nn::tracked(h, scale) ? at::cat({one, others}, 2) : out;
}

// Frames one after the other, in the layout of x.
at::Tensor join_frames(const at::Tensor &before, const at::Tensor &x)
{
    if (nn::tracked(before, x))
        return at::cat({before, x}, 2);
    std::vector<int64_t> shape = x.sizes().vec();
    shape[2] += before.size(2);
    const at::Tensor all = at::empty(shape, x.options(), x.suggest_memory_format());
    all.narrow(2, 0, before.size(2)).copy_(before);
    all.narrow(2, before.size(2), x.size(2)).copy_(x);
    return all;
}

at::Tensor every_frame_twice(const at::Tensor &x)
{
    if (nn::tracked(x))
        return x.repeat_interleave(2, 2);
    std::vector<int64_t> shape = x.sizes().vec();
    shape[2] *= 2;
    const at::Tensor all = at::empty(shape, x.options(), x.suggest_memory_format());
    all.unflatten(2, at::IntArrayRef{x.size(2), 2}).copy_(x.unsqueeze(3).expand({-1, -1, -1, 2, -1, -1}));
    return all;
}

} // namespace

at::Tensor conv_in_time(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, int64_t elements_max)
{
    const auto conv = [&](const at::Tensor &part) { return nn::conv(part, weight, bias, {1, 1, 1}, {0, 1, 1}); };
    const int64_t frames_out = x.size(2) - kernel_t + 1;
    const int64_t frame = std::max(x.size(1), weight.size(0)) * x.size(0) * x.size(3) * x.size(4);
    const int64_t at_once = std::max<int64_t>(elements_max / frame - kernel_t + 1, 1);
    if (frames_out <= at_once)
        return conv(x);
    std::vector<at::Tensor> parts;
    for (int64_t from = 0; from < frames_out; from += at_once) {
        const int64_t count = std::min(at_once, frames_out - from);
        parts.push_back(conv(x.narrow(2, from, count + kernel_t - 1)));
    }
    return at::cat(parts, 2);
}

CausalConv CausalConv::load(Weights &w, const std::string &name, int64_t in, int64_t out)
{
    return {weight_layout(w.get(name + ".conv.weight", {out, in, kernel_t, 3, 3})), w.get(name + ".conv.bias", {out})};
}

at::Tensor CausalConv::operator()(const at::Tensor &x, VaeCache &cache) const
{
    at::Tensor &kept = cache.slot();
    const at::Tensor before = kept.defined() ? kept : x.narrow(2, 0, 1).expand({-1, -1, kernel_t - 1, -1, -1});
    const at::Tensor padded = join_frames(before, x);
    kept = padded.narrow(2, padded.size(2) - kernel_t + 1, kernel_t - 1).clone();
    return conv_in_time(padded, weight, bias);
}

PointConv PointConv::load(Weights &w, const std::string &name, int64_t in, int64_t out)
{
    return {w.get(name + ".weight", {out, in, 1, 1, 1}), w.get(name + ".bias", {out})};
}

at::Tensor PointConv::operator()(const at::Tensor &x) const
{
    return nn::conv(x, weight, bias, {1, 1, 1}, {0, 0, 0});
}

VaeNorm VaeNorm::load(Weights &w, const std::string &name, const VaeConfig &c, int64_t channels, double eps,
                      nn::Activation activation, bool spatial)
{
    if (channels % c.groups)
        throw Error(MDL_EWEIGHTS, "vae config: channels do not divide into norm_num_groups");
    VaeNorm n;
    const std::string norm = spatial ? name + ".norm_layer" : name;
    n.weight = w.get(norm + ".weight", {channels});
    n.bias = w.get(norm + ".bias", {channels});
    n.groups = c.groups;
    n.eps = spatial ? 1e-6 : eps;
    n.activation = activation;
    if (spatial) {
        n.scale = PointConv::load(w, name + ".conv_y.conv", c.latent_channels, channels);
        n.shift = PointConv::load(w, name + ".conv_b.conv", c.latent_channels, channels);
    }
    return n;
}

// With channels innermost the norm is a factor and a summand per channel, and both go into the latents' maps.
at::Tensor VaeNorm::channels_last(const at::Tensor &x, const at::Tensor &z) const
{
    const nn::ChannelScale norm = nn::group_norm_scale(x, groups, weight, bias, eps);
    at::Tensor h = at::empty_like(x);
    if (scale.weight.defined()) {
        const at::Tensor by = scale(z);
        modulate_by_latents(h, x, by * norm.scale, at::addcmul(shift(z), by, norm.shift));
    } else {
        spread_addcmul(h, x, norm.scale, norm.shift);
    }
    return nn::activate_(h, activation);
}

at::Tensor VaeNorm::operator()(const at::Tensor &x, const at::Tensor &z) const
{
    if (!nn::tracked(x, weight) && nn::group_norm_scale_takes(x))
        return channels_last(x, z);
    at::Tensor h = at::group_norm(x, groups, weight, bias, eps);
    // A pointwise convolution commutes with repeating: convolve the small latents, repeat what comes out.
    if (scale.weight.defined())
        h = modulate_by_latents(h, h, scale(z), shift(z));
    return nn::tracked(h) ? nn::activate(h, activation) : nn::activate_(h, activation);
}

VaeResnet VaeResnet::load(Weights &w, const std::string &name, const VaeConfig &c, int64_t in, int64_t out,
                          bool spatial)
{
    VaeResnet r;
    r.norm1 = VaeNorm::load(w, name + ".norm1", c, in, c.norm_eps, c.activation, spatial);
    r.norm2 = VaeNorm::load(w, name + ".norm2", c, out, c.norm_eps, c.activation, spatial);
    r.conv1 = CausalConv::load(w, name + ".conv1", in, out);
    r.conv2 = CausalConv::load(w, name + ".conv2", out, out);
    if (in != out)
        r.shortcut = PointConv::load(w, name + ".conv_shortcut", in, out);
    return r;
}

at::Tensor VaeResnet::operator()(const at::Tensor &x, const at::Tensor &z, VaeCache &cache) const
{
    at::Tensor h = conv1(norm1(x, z), cache);
    h = conv2(norm2(h, z), cache);
    return h.add_(shortcut.weight.defined() ? shortcut(x) : x);
}

VaeDownsample VaeDownsample::load(Weights &w, const std::string &name, int64_t channels, bool time)
{
    return {w.get(name + ".conv.weight", {channels, channels, 3, 3}), w.get(name + ".conv.bias", {channels}), time};
}

at::Tensor VaeDownsample::operator()(const at::Tensor &x) const
{
    at::Tensor h = x;
    if (time && x.size(2) > 1) {
        const int64_t odd = x.size(2) % 2;
        const at::Tensor pairs = x.narrow(2, odd, x.size(2) - odd).unflatten(2, at::IntArrayRef{-1, 2}).mean(3);
        h = odd ? join_frames(x.narrow(2, 0, 1), pairs) : pairs;
    }
    const at::Tensor frames = at::constant_pad_nd(frames_to_batch(h), {0, 1, 0, 1});
    return batch_to_frames(nn::conv(frames, weight, bias, {2, 2}, {0, 0}), x.size(0));
}

VaeUpsample VaeUpsample::load(Weights &w, const std::string &name, int64_t channels, bool time)
{
    return {w.get(name + ".conv.weight", {channels, channels, 3, 3}), w.get(name + ".conv.bias", {channels}), time};
}

at::Tensor VaeUpsample::operator()(const at::Tensor &x) const
{
    const at::Tensor frames = at::upsample_nearest2d(frames_to_batch(x), {x.size(3) * 2, x.size(4) * 2});
    const at::Tensor h = batch_to_frames(nn::conv(frames, weight, bias, {1, 1}, {1, 1}), x.size(0));
    if (!time || x.size(2) == 1)
        return h;
    // The convolution sees each frame alone: what is shown twice is convolved once.
    const int64_t odd = x.size(2) % 2;
    const at::Tensor twice = every_frame_twice(h.narrow(2, odd, h.size(2) - odd));
    return odd ? join_frames(h.narrow(2, 0, 1), twice) : twice;
}

} // namespace mdl
