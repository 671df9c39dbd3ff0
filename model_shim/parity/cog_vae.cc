// cog_vae.cc - parity of the causal VAE.
#include "error.h"
#include "longanimation/vae.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

struct Bench {
    const Json &golden;
    const Vae &vae;
    Report &report;

    at::Tensor input(const Json &one) const
    {
        const auto where = at::TensorOptions().device(report.options.device).dtype(report.options.dtype);
        const std::string label = json_string(one, "input", "");
        return Fill(golden)
            .input(label, json_shape(json_need(one, "input_shape")), json_double(one, "input_scale", 1))
            .to(where);
    }

    void encode(const std::string &name, const Json &one, const VaeTiling &tiling) const
    {
        const at::Tensor video = input(one);
        const at::Tensor moments = vae.encode(video, tiling);
        report.compare(name, json_need(one, "moments"), moments, tolerance(one));
    }

    void decode(const std::string &name, const Json &one, const VaeTiling &tiling) const
    {
        const at::Tensor latents = input(one);
        std::vector<at::Tensor> parts;
        vae.decode(latents, tiling, [&parts](const at::Tensor &frames, int64_t) { parts.push_back(frames); });
        report.compare(name, json_need(one, "sample"), at::cat(parts, 2), tolerance(one));
        if (!tiling.enabled)
            report.same(name + ".frames", vae.frames_of(latents.size(2)) == at::cat(parts, 2).size(2));
    }

    double tolerance(const Json &one) const
    {
        return tolerance_of(golden, one, 2e-5);
    }
};

VaeTiling tiling_of(const Json &golden, const VaeConfig &config)
{
    VaeTiling t = VaeTiling::half_sample(config);
    if (!golden.contains("tiled_params"))
        return t;
    const Json &p = golden["tiled_params"];
    t.tile_height = json_int(p, "tile_sample_min_height", t.tile_height, 1);
    t.tile_width = json_int(p, "tile_sample_min_width", t.tile_width, 1);
    t.overlap_height = json_double(p, "overlap_h", t.overlap_height);
    t.overlap_width = json_double(p, "overlap_w", t.overlap_width);
    return t;
}

void each(const Json &golden, const char *key, Report &report,
          const std::function<void(const std::string &, const Json &)> &check)
{
    if (!golden.contains(key))
        return;
    int n = 0;
    for (const Json &one : golden[key]) {
        const std::string name = std::string(key) + std::to_string(n++);
        report.attempt(name, [&] { check(name, one); });
    }
}

} // namespace

void parity_vae(const Json &golden, Report &report)
{
    Weights weights =
        Fill(golden).weights(json_need(golden, "state_dict"), {report.options.dtype, report.options.device});
    const VaeConfig config = VaeConfig::parse(json_need(golden, "config"));
    const Vae vae(config, weights);
    weights.finish();
    const Bench bench{golden, vae, report};
    const VaeTiling tiling = tiling_of(golden, config);
    each(golden, "encode", report, [&](const std::string &name, const Json &one) { bench.encode(name, one, {}); });
    each(golden, "decode", report, [&](const std::string &name, const Json &one) { bench.decode(name, one, {}); });
    each(golden, "tiled", report, [&](const std::string &name, const Json &one) {
        if (json_string(one, "op", "") == "encode")
            bench.encode(name, one, tiling);
        else
            bench.decode(name, one, tiling);
    });
}

} // namespace mdl
