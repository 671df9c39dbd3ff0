// sketch_dit.cc - parity of the sketch branch.
#include "longanimation/sketch_dit.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

void sketch_dit_case(const SketchDit &net, const Json &golden, const Json &one, const std::string &name, Report &report)
{
    const Fill fill(golden);
    const double scale = json_double(one, "input_scale", 1), tolerance = tolerance_of(golden, one, 2e-5);
    const auto where = at::TensorOptions().device(report.options.device).dtype(report.options.dtype);
    const Json &inputs = json_need(one, "inputs");
    const auto input = [&](const char *label) {
        return fill.input(label, json_shape(json_need(inputs, label)), scale).to(where);
    };
    const at::Tensor x = input("hidden_states"), e = input("encoder_hidden_states");
    const at::Tensor t = at::tensor(json_doubles(json_need(one, "t")), at::kFloat).to(report.options.device);
    const at::Tensor ofs = net.config().ofs_dim ? at::full({1}, json_double(one, "ofs", 2.0), where) : at::Tensor();
    const auto check = [&](const Json &records, const std::string &key, const at::Tensor &actual) {
        if (json_has(records, key.c_str()))
            report.compare(name + "/" + key, records[key], actual, tolerance);
    };

    const Json inner = one.value("intermediate", Json::object()), tables = one.value("rope", Json::object());
    const nn::Rope rope = net.rope(x.size(1), x.size(3), x.size(4), report.options.device);
    check(tables, "cos", rope.cos_doubled());
    check(tables, "sin", rope.sin_doubled());
    check(inner, "emb", net.time()(t, ofs));
    const StepConditioning step = net.condition(t, ofs);
    const at::Tensor text = net.text_tokens(e);
    const at::Tensor z = net.forward(x, text, step, rope, [&](const std::string &place, const at::Tensor &tokens) {
        check(inner, place == "embed" ? "patch_embed" : place, tokens);
        check(inner, place + ".text", tokens.narrow(1, 0, text.size(1)));
        check(inner, place + ".video", tokens.narrow(1, text.size(1), tokens.size(1) - text.size(1)));
    });
    check(one, "output", z);
    if (at::equal(t, t[0].expand_as(t))) // rows that share the step may be served by one row of modulations
        check(one, "output", net.forward(x, text, step.row(0), rope));
}

} // namespace

void parity_sketch_dit(const Json &golden, Report &report)
{
    Weights weights =
        Fill(golden).weights(json_need(golden, "state_dict"), {report.options.dtype, report.options.device});
    const SketchDit net(DitConfig::parse(json_need(golden, "config")), weights);
    weights.finish();
    int n = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = "case" + std::to_string(n++);
        report.attempt(name, [&] { sketch_dit_case(net, golden, one, name, report); });
    }
}

} // namespace mdl
