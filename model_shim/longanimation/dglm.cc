// dglm.cc - see dglm.h.
#include "longanimation/dglm.h"

#include "error.h"
#include "nn/attention.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{
namespace
{

constexpr double norm_eps = 1e-5, leak = 0.01;

} // namespace

DglmConfig DglmConfig::from_json(const Json &json)
{
    constexpr int64_t most = 1 << 20;
    DglmConfig c;
    c.dim = json_int(json, "dim", c.dim, 1, most);
    c.output_dim = json_int(json, "output_dim", c.dim, 1, most);
    c.depth = json_int(json, "depth", c.depth, 1, 64);
    c.heads = json_int(json, "heads", c.heads, 1, most);
    c.dim_head = json_int(json, "dim_head", c.dim_head, 1, most);
    c.ff_mult = json_int(json, "ff_mult", c.ff_mult, 1, 64);
    c.memory_dim = json_int(json, "memory_dim", c.memory_dim, 1, most);
    c.mapping_dims = json_ints(json, "mapping_dims", c.mapping_dims);
    for (int64_t width : c.mapping_dims)
        if (width < 1 || width > most)
            throw Error(MDL_EWEIGHTS, "mapping_dims: " + std::to_string(width) + " is no width");
    return c;
}

Dglm Dglm::open(const std::string &folder, const WeightOptions &options)
{
    const DglmConfig config = DglmConfig::from_json(json_read(folder + "/config.json"));
    Weights weights = Weights::open(folder, {"glm_module"}, options);
    Dglm network(config, weights);
    weights.finish();
    return network;
}

Dglm::Mapping Dglm::load_mapping(Weights &weights, const std::string &name) const
{
    Mapping m;
    int64_t in = config_.memory_dim, index = 0; // position in the Sequential: Linear, LayerNorm, LeakyReLU, Linear, ...
    const auto numbered = [&](int64_t position) { return name + "." + std::to_string(position); };
    for (int64_t out : config_.mapping_dims) {
        m.linear.push_back(nn::Linear::load(weights, numbered(index), in, out));
        m.norm.push_back(nn::LayerNorm::load(weights, numbered(index + 1), out, norm_eps));
        in = out;
        index += 3;
    }
    m.linear.push_back(nn::Linear::load(weights, numbered(index), in, config_.dim));
    return m;
}

Dglm::Dglm(const DglmConfig &config, Weights &weights) : config_(config)
{
    const int64_t dim = config.dim, inner = config.heads * config.dim_head, hidden = dim * config.ff_mult;
    for (int64_t i = 0; i < config.depth; i++) {
        const std::string number = std::to_string(i), attention = "layers." + number + ".0.",
                          ff = "layers." + number + ".1.";
        const auto linear = [&](const std::string &name, int64_t in, int64_t out) {
            return nn::Linear::load(weights, name, in, out, false);
        };
        const auto norm = [&](const std::string &name) { return nn::LayerNorm::load(weights, name, dim, norm_eps); };
        Layer layer;
        layer.keys = load_mapping(weights, "key_mapping_" + number);
        layer.values = load_mapping(weights, "value_mapping_" + number);
        layer.norm_memory = norm(attention + "norm1");
        layer.norm_control = norm(attention + "norm2");
        layer.to_q = linear(attention + "to_q", dim, inner);
        layer.to_k = linear(attention + "to_k", dim, inner);
        layer.to_v = linear(attention + "to_v", dim, inner);
        layer.to_out = linear(attention + "to_out", inner, dim);
        layer.norm_ff = norm(ff + "0");
        layer.ff_in = linear(ff + "1", dim, hidden);
        layer.ff_out = linear(ff + "3", hidden, dim);
        layers_.push_back(std::move(layer));
    }
    proj_out_ = weights.get("proj_out", {dim, config.output_dim});
}

at::Tensor Dglm::mapped(int64_t layer, bool values, const at::Tensor &memory) const
{
    const Layer &l = layers_.at(static_cast<size_t>(layer));
    const Mapping &m = values ? l.values : l.keys;
    at::Tensor x = m.linear[0](memory);
    for (size_t i = 0; i < m.norm.size(); i++)
        x = m.linear[i + 1](at::leaky_relu(m.norm[i](x), leak));
    return x;
}

at::Tensor Dglm::heads(const at::Tensor &x) const
{
    return x.view({x.size(0), x.size(1), config_.heads, config_.dim_head}).transpose(1, 2);
}

// Global and local tokens of one layer, one after the other: [1, tokens, memory_dim].
at::Tensor Dglm::joined(const at::Tensor &global_memory, const at::Tensor &local_memory, int64_t layer,
                        int64_t kind) const
{
    std::vector<at::Tensor> parts;
    for (const at::Tensor *memory : {&global_memory, &local_memory}) {
        if (!memory->defined())
            continue;
        if (memory->dim() != 5 || memory->size(0) != 1 || memory->size(1) != 2 || memory->size(2) != config_.depth ||
            memory->size(4) != config_.memory_dim)
            throw Error(MDL_EINVAL, "a memory of " + c10::str(memory->sizes()) + " does not fit [1,2," +
                                        std::to_string(config_.depth) + ",tokens," +
                                        std::to_string(config_.memory_dim) + "]");
        parts.push_back(memory->select(1, kind).select(1, layer).to(proj_out_.options()));
    }
    if (parts.empty())
        throw Error(MDL_EINVAL, "the memory module needs a global or a local memory");
    return parts.size() == 1 ? parts[0] : at::cat(parts, 1);
}

Dglm::Cache Dglm::map(const at::Tensor &global_memory, const at::Tensor &local_memory) const
{
    Cache cache;
    for (int64_t i = 0; i < config_.depth; i++) {
        const Layer &l = layers_[static_cast<size_t>(i)];
        const auto project = [&](int64_t kind, const nn::Linear &projection) {
            const at::Tensor x = mapped(i, kind == 1, joined(global_memory, local_memory, i, kind));
            return heads(projection(l.norm_memory(x))).contiguous();
        };
        cache.push_back({project(0, l.to_k), project(1, l.to_v)});
    }
    return cache;
}

at::Tensor Dglm::attention(int64_t layer, const LayerCache &cache, const at::Tensor &z) const
{
    const Layer &l = layers_.at(static_cast<size_t>(layer));
    const auto every = [&](const at::Tensor &x) { return x.expand({z.size(0), -1, -1, -1}); };
    return l.to_out(nn::attention(heads(l.to_q(l.norm_control(z))), every(cache.k), every(cache.v)));
}

at::Tensor Dglm::feed_forward(int64_t layer, const at::Tensor &z) const
{
    const Layer &l = layers_.at(static_cast<size_t>(layer));
    return l.ff_out(l.ff_in(l.norm_ff(z), nn::Activation::gelu));
}

at::Tensor Dglm::forward(const Cache &cache, const at::Tensor &control) const
{
    at::Tensor z = control;
    for (int64_t i = 0; i < config_.depth; i++) {
        z = z + attention(i, cache.at(static_cast<size_t>(i)), z);
        z = z + feed_forward(i, z);
    }
    return at::matmul(z, proj_out_);
}

} // namespace mdl
