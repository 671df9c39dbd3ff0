// gradients.cc - parity of gradients: the networks with autograd against another implementation of them, in float64.
#include "longanimation/sketch_dit.h"
#include "longanimation/vae.h"
#include "nn/recompute.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

using Leaves = std::map<std::string, at::Tensor>;

// Gradients belong to the CPU and to float64 here, whatever the run computes in.
constexpr auto where = at::kDouble;

WeightOptions trained(const std::string &prefix, Leaves &leaves)
{
    return {where, c10::Device(c10::DeviceType::CPU), [&leaves, prefix](const std::string &name, const at::Tensor &t) {
                return leaves[prefix + name] = t.clone().set_requires_grad(true);
            }};
}

// The generator's names begin with `prefix`, the network's do not.
Weights generate(const Fill &fill, const std::string &prefix, const WeightOptions &options)
{
    return Weights::generated_on_demand(
        [fill, prefix](const std::string &name, const Weights::Shape &shape) {
            return fill.weight(prefix + name, shape);
        },
        options);
}

void check(const std::string &name, const Json &expected, const std::string &prefix, const Leaves &leaves,
           double tolerance, Report &report)
{
    for (const auto &[weight, record] : expected.items()) {
        const auto leaf = leaves.find(prefix + weight);
        const at::Tensor gradient = leaf == leaves.end() ? at::Tensor() : leaf->second.grad();
        report.compare(name + weight, record, gradient, tolerance);
    }
}

void take_gradient(const Fill &fill, const at::Tensor &output, Leaves &leaves)
{
    for (auto &[name, leaf] : leaves)
        leaf.mutable_grad() = at::Tensor();
    (output * fill.input("cotangent", output.sizes()).to(where)).sum().backward();
}

void colouriser(const Json &golden, bool again, Report &report)
{
    const nn::RecomputeScope scope(again);
    const Fill fill(golden);
    Leaves leaves;
    Weights of_transformer = generate(fill, "transformer.", trained("transformer.", leaves));
    Weights of_sketch = generate(fill, "sketch_dit.", trained("sketch_dit.", leaves));
    const Transformer transformer(DitConfig::parse(json_need(golden, "config")), of_transformer);
    const SketchDit sketch(DitConfig::parse(json_need(golden, "sketch_config")), of_sketch);
    const DitConfig &c = transformer.config();
    const auto size = [&golden](const char *key) { return json_int(golden, key, 1, 1, 1 << 12); };
    const int64_t b = size("B"), f = size("F"), h = size("h"), w = size("w");
    const auto input = [&fill](const char *label, at::IntArrayRef shape) { return fill.input(label, shape).to(where); };
    const at::Tensor t = at::tensor(json_doubles(json_need(golden, "t")), at::kFloat);
    const at::Tensor text = input("text", {b, size("L"), c.text_dim}), ofs = at::full({1}, 2.0, where);
    const nn::Rope rope = transformer.rope(f, h, w, c10::Device(c10::DeviceType::CPU));
    const at::Tensor z = sketch.forward(input("sketch", {b, f, c.in_channels, h, w}), sketch.text_tokens(text),
                                        sketch.condition(t, ofs), rope);
    const at::Tensor y =
        transformer.forward(input("noisy", {b, f, c.in_channels, h, w}), transformer.text_tokens(text),
                            transformer.condition(t, ofs), rope, {z, json_double(golden, "control_scale", 1)});
    take_gradient(fill, y, leaves);
    const double tolerance = tolerance_of(golden, golden, 1e-5);
    const std::string name = again ? "recomputed/" : "";
    report.compare(name + "output", json_need(golden, "output"), y, tolerance);
    for (const char *part : {"transformer", "sketch_dit"})
        check(name + part + "/", json_need(json_need(golden, "gradients"), part), std::string(part) + ".", leaves,
              tolerance, report);
}

void vae_case(const Vae &vae, const Json &golden, const Json &one, Leaves &leaves, Report &report)
{
    const Fill fill(golden);
    const auto size = [](const Json &from, const char *key) { return json_int(from, key, 1, 1, 1 << 12); };
    const int64_t frames = size(one, "frames");
    const at::Tensor video =
        fill.input("video", {size(golden, "B"), 3, frames, size(golden, "height"), size(golden, "width")}, 0.5)
            .to(where);
    const at::Tensor moments = vae.encode(video);
    std::vector<int64_t> shape = moments.sizes().vec();
    shape[1] /= 2;
    const at::Tensor y = vae.decode(vae_sample(moments, fill.input("noise", shape).to(where)));
    take_gradient(fill, y, leaves);
    const double tolerance = tolerance_of(golden, one, 1e-6);
    const std::string name = std::to_string(frames) + "_frames/";
    report.compare(name + "output", json_need(one, "output"), y, tolerance);
    check(name, json_need(one, "gradients"), "", leaves, tolerance, report);
}

} // namespace

void parity_gradients_colouriser(const Json &golden, Report &report)
{
    const c10::InferenceMode no_inference(false);
    const c10::AutoGradMode recording(true);
    for (const bool again : {false, true})
        report.attempt(again ? "recomputed" : "recorded", [&] { colouriser(golden, again, report); });
}

void parity_gradients_vae(const Json &golden, Report &report)
{
    const c10::InferenceMode no_inference(false);
    const c10::AutoGradMode recording(true);
    Leaves leaves;
    Weights weights = generate(Fill(golden), "", trained("", leaves));
    const Vae vae(VaeConfig::parse(json_need(golden, "config")), weights);
    for (const Json &one : json_need(golden, "cases"))
        report.attempt("case", [&] { vae_case(vae, golden, one, leaves, report); });
}

} // namespace mdl
