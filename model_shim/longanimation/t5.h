// t5.h - the text encoder: T5 v1.1 (gated), encoder only. (transformers T5EncoderModel)
//
//   XXL: 24 layers, 4096 wide, 64 heads x 64, 10240 in the feed forward, 4.76 G parameters. No mask: padding attends
//   and is attended to. No score scaling. One table of relative positions for all layers.
#pragma once
#include "io/json.h"
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

struct T5Config {
    int64_t vocab = 32128, width = 4096, heads = 64, head_dim = 64, ff = 10240, layers = 24;
    int64_t buckets = 32, max_distance = 128;
    double eps = 1e-6;
    nn::Activation activation = nn::Activation::gelu_tanh;

    static T5Config parse(const Json &config);
};

class T5Encoder
{
  public:
    T5Encoder(const T5Config &config, Weights &w);

    // ids (B, S), int64 -> last hidden state (B, S, width)
    at::Tensor operator()(const at::Tensor &ids) const;
    // Names of tensors that a stored encoder may hold besides.
    static const std::vector<std::string> &ignorable();

  private:
    struct Layer {
        nn::RmsNorm attention_norm, ff_norm;
        nn::Linear qkv, out; // width -> 3 heads*dim; heads*dim -> width
        nn::Linear wi, wo;   // width -> 2 ff (gate, up); ff -> width
    };

    at::Tensor bias(int64_t tokens) const;

    T5Config c_;
    at::Tensor shared_;   // (vocab, width)
    at::Tensor relative_; // (buckets, heads)
    std::vector<Layer> layers_;
    nn::RmsNorm norm_;
};

// Bucket of each relative position (key index minus query index), int64 in and out; both directions.
at::Tensor t5_buckets(const at::Tensor &relative, int64_t buckets, int64_t max_distance);

} // namespace mdl
