// vae_layers.h - layers of the causal VAE (private to vae*.cc).
#pragma once
#include "longanimation/vae.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

// The last two input frames of every causal convolution, in the order of execution, from one slice to the next.
class VaeCache
{
  public:
    void rewind() // before each slice
    {
        next_ = 0;
    }
    at::Tensor &slot()
    {
        if (next_ == slots_.size())
            slots_.emplace_back();
        return slots_[next_++];
    }

  private:
    std::vector<at::Tensor> slots_;
    size_t next_ = 0;
};

// cuDNN indexes with 32 bits: no convolution sees, or makes, more elements than this.
constexpr int64_t conv_elements_max = int64_t{1} << 30;

// 3x3x3 without padding in time; in parts of the time axis where it would be larger than `elements_max`.
at::Tensor conv_in_time(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                        int64_t elements_max = conv_elements_max);

// 3x3x3, causal in time: two frames go in front, from the cache or else the first frame twice.
struct CausalConv {
    at::Tensor weight, bias; // (out, in, 3, 3, 3), (out)

    static CausalConv load(Weights &w, const std::string &name, int64_t in, int64_t out);
    at::Tensor operator()(const at::Tensor &x, VaeCache &cache) const;
};

// 1x1x1.
struct PointConv {
    at::Tensor weight, bias; // (out, in, 1, 1, 1), (out)

    static PointConv load(Weights &w, const std::string &name, int64_t in, int64_t out);
    at::Tensor operator()(const at::Tensor &x) const;
};

// Group norm, in the decoder scaled and shifted by the latents at every place, then an activation.
struct VaeNorm {
    at::Tensor weight, bias; // (channels)
    int64_t groups = 32;
    double eps = 1e-6;
    PointConv scale, shift; // of the latents; undefined in the encoder
    nn::Activation activation = nn::Activation::silu;

    static VaeNorm load(Weights &w, const std::string &name, const VaeConfig &c, int64_t channels, double eps,
                        nn::Activation activation, bool spatial);
    // z: the slice's latents; undefined in the encoder.
    at::Tensor operator()(const at::Tensor &x, const at::Tensor &z) const;

  private:
    at::Tensor channels_last(const at::Tensor &x, const at::Tensor &z) const;
};

struct VaeResnet {
    VaeNorm norm1, norm2;
    CausalConv conv1, conv2;
    PointConv shortcut; // undefined where in == out

    static VaeResnet load(Weights &w, const std::string &name, const VaeConfig &c, int64_t in, int64_t out,
                          bool spatial);
    at::Tensor operator()(const at::Tensor &x, const at::Tensor &z, VaeCache &cache) const;
};

// Halves height and width, and time too with `time`: pairs of frames are averaged, an odd first frame stays.
struct VaeDownsample {
    at::Tensor weight, bias; // (channels, channels, 3, 3), (channels)
    bool time = false;

    static VaeDownsample load(Weights &w, const std::string &name, int64_t channels, bool time);
    at::Tensor operator()(const at::Tensor &x) const;
};

// The other way round: every frame twice, an odd first frame once (a single frame stays single).
struct VaeUpsample {
    at::Tensor weight, bias; // (channels, channels, 3, 3), (channels)
    bool time = false;

    static VaeUpsample load(Weights &w, const std::string &name, int64_t channels, bool time);
    at::Tensor operator()(const at::Tensor &x) const;
};

} // namespace mdl
