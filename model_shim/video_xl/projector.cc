#include "video_xl/projector.h"
#include "error.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace mdl
{

namespace
{

// "mlp<n>x_gelu" -> n; "linear" is not Video-XL's.
int64_t linears_of(const std::string &type)
{
    const size_t x = type.find("x_gelu");
    if (type.rfind("mlp", 0) == 0 && x == 4 && type.size() == 10 && type[3] >= '1' && type[3] <= '9')
        return type[3] - '0';
    throw Error(MDL_EWEIGHTS, "mm_projector_type \"" + type + "\" is not supported");
}

void need(const Json &json, const char *key, const char *value)
{
    if (json_string(json, key, value) != value)
        throw Error(MDL_EWEIGHTS, std::string(key) + ": only \"" + value + "\" is supported");
}

} // namespace

ProjectorConfig ProjectorConfig::from_json(const Json &json)
{
    ProjectorConfig c;
    c.in = json_int(json, "mm_hidden_size", c.in, 1, 1 << 20);
    c.out = json_int(json, "hidden_size", c.out, 1, 1 << 20);
    c.linears = linears_of(json_string(json, "mm_projector_type", "mlp2x_gelu"));
    c.pool = json_int(json, "mm_spatial_pool_stride", c.pool, 1, 64);
    need(json, "mm_resampler_type", "spatial_pool");
    need(json, "mm_spatial_pool_mode", "average");
    return c;
}

Projector::Projector(const ProjectorConfig &config, Weights &w, const std::string &prefix) : c_(config)
{
    for (int64_t i = 0; i < c_.linears; i++) // the activations between them have numbers too
        linears_.push_back(nn::Linear::load(w, prefix + std::to_string(2 * i), i == 0 ? c_.in : c_.out, c_.out));
}

at::Tensor Projector::project(const at::Tensor &features) const
{
    at::Tensor x = linears_[0](features);
    for (size_t i = 1; i < linears_.size(); i++)
        x = linears_[i](nn::activate_(x, nn::Activation::gelu));
    return x;
}

at::Tensor Projector::pool(const at::Tensor &projected) const
{
    const int64_t frames = projected.size(0), tokens = projected.size(1), width = projected.size(2);
    const int64_t grid = std::llround(std::sqrt(static_cast<double>(tokens)));
    if (grid * grid != tokens || grid < c_.pool)
        throw Error(MDL_EINVAL, std::to_string(tokens) + " features of a frame are no square grid");
    const at::Tensor square = projected.transpose(1, 2).reshape({frames, width, grid, grid});
    return at::avg_pool2d(square, {c_.pool, c_.pool}).flatten(2).transpose(1, 2).reshape({-1, width});
}

} // namespace mdl
