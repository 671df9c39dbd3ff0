// dglm.h - Dynamic Global-Local Memory (LongAnimation, class global_local_memory): cross-attention from the SketchDiT
// control tensor Z to what the video-understanding model remembers of earlier frames.
//
//   K_i = phi_i(keys of layer i), V_i = psi_i(values of layer i)          memory_dim -> dim, global tokens first
//   Z <- Z + Attention(LN2(Z) Wq, LN1(K_i) Wk, LN1(V_i) Wv) Wo            heads x dim_head, no mask, no positions
//   Z <- Z + W2 GELU(W1 LN(Z))                                            for each of `depth` layers i
//   memory = Z P;  the transformer receives Z_in + memory
//
// Keys and values depend on the memory alone: they are mapped once per segment and used at every step.
#pragma once
#include "io/json.h"
#include "io/weights.h"
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

// memory/config.json; the defaults are the released model's.
struct DglmConfig {
    int64_t dim = 3072, output_dim = 3072, depth = 3, heads = 32, dim_head = 96, ff_mult = 4, memory_dim = 512;
    std::vector<int64_t> mapping_dims = {1024, 2048}; // hidden widths of the key and value mappings

    static DglmConfig from_json(const Json &json);
};

class Dglm
{
  public:
    // Opens a folder (config.json and one weight file or index) and checks every tensor.
    static Dglm open(const std::string &folder, const WeightOptions &options);
    Dglm(const DglmConfig &config, Weights &weights);

    // Projected keys and values of one layer, [1, heads, tokens, dim_head].
    struct LayerCache {
        at::Tensor k, v;
    };
    using Cache = std::vector<LayerCache>;

    // Memories [1, 2 (keys, values), depth, tokens, memory_dim]; either may be undefined (switched off), not both.
    Cache map(const at::Tensor &global_memory, const at::Tensor &local_memory) const;

    // control [B, N, dim] -> [B, N, output_dim]. Add it to `control` for what the transformer receives.
    at::Tensor forward(const Cache &cache, const at::Tensor &control) const;

    // The parts of forward() and map(), for checks.
    at::Tensor mapped(int64_t layer, bool values, const at::Tensor &memory) const; // [1, tokens, dim]
    at::Tensor attention(int64_t layer, const LayerCache &cache, const at::Tensor &z) const;
    at::Tensor feed_forward(int64_t layer, const at::Tensor &z) const;

    const DglmConfig &config() const
    {
        return config_;
    }

  private:
    struct Mapping {
        std::vector<nn::Linear> linear;  // memory_dim -> mapping_dims ... -> dim
        std::vector<nn::LayerNorm> norm; // after all of them but the last, each followed by LeakyReLU
    };
    struct Layer {
        Mapping keys, values;
        nn::LayerNorm norm_memory, norm_control; // dim
        nn::Linear to_q, to_k, to_v, to_out;     // dim -> heads * dim_head, and back; no biases
        nn::LayerNorm norm_ff;                   // dim
        nn::Linear ff_in, ff_out;                // dim -> ff_mult * dim -> dim; no biases
    };

    Mapping load_mapping(Weights &weights, const std::string &name) const;
    at::Tensor joined(const at::Tensor &global_memory, const at::Tensor &local_memory, int64_t layer,
                      int64_t kind) const;
    at::Tensor heads(const at::Tensor &x) const;

    DglmConfig config_;
    std::vector<Layer> layers_;
    at::Tensor proj_out_; // (dim, output_dim), multiplied from the right
};

} // namespace mdl
