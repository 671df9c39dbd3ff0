// projector.h - vision features -> visual tokens of the language model. (LLaVA mlp2x_gelu projector, spatial pooling)
//
//   Linear(1024, 3584), GELU, Linear(3584, 3584); then 2x2 averages over the 24 x 24 grid: 144 tokens a frame, rows
//   first, frames one after the other.
#pragma once
#include "io/json.h"
#include "io/weights.h"
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

struct ProjectorConfig {
    int64_t in = 1024, out = 3584, linears = 2, pool = 2;

    // The language model's config; "grid" is not in it.
    static ProjectorConfig from_json(const Json &json);

    int64_t tokens_per_frame(int64_t grid) const
    {
        return (grid / pool) * (grid / pool);
    }
};

class Projector
{
  public:
    // `prefix` ends in "mm_projector.".
    Projector(const ProjectorConfig &config, Weights &w, const std::string &prefix);

    // (F, grid*grid, in) -> (F, grid*grid, out)
    at::Tensor project(const at::Tensor &features) const;
    // (F, grid*grid, out) -> (F * tokens_per_frame, out)
    at::Tensor pool(const at::Tensor &projected) const;

    const ProjectorConfig &config() const
    {
        return c_;
    }

  private:
    ProjectorConfig c_;
    std::vector<nn::Linear> linears_; // GELU between them
};

} // namespace mdl
