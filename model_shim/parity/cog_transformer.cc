// cog_transformer.cc - parity of the video transformer.
#include "error.h"
#include "longanimation/transformer.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

// A record, or a list of one record per output of the module: v', t', gates and so on.
void compare_parts(const std::string &name, const Json &expected, const std::vector<at::Tensor> &parts,
                   double tolerance, Report &report)
{
    if (!expected.is_array()) {
        report.compare(name, expected, parts.at(0), tolerance);
        return;
    }
    if (expected.size() > parts.size())
        throw Error(MDL_EINVAL, name + ": more records than the module has outputs");
    for (size_t i = 0; i < expected.size(); i++)
        report.compare(name + (expected.size() > 1 ? "." + std::to_string(i) : ""), expected[i], parts[i], tolerance);
}

std::vector<at::Tensor> streams(const at::Tensor &tokens, int64_t text_tokens)
{
    return {tokens.narrow(1, text_tokens, tokens.size(1) - text_tokens), tokens.narrow(1, 0, text_tokens)};
}

class Case
{
  public:
    Case(const Transformer &net, const Json &golden, const Json &one, std::string name, Report &report)
        : net_(net), one_(one), name_(std::move(name)), report_(report), tolerance_(tolerance_of(golden, one, 2e-5))
    {
        const DitConfig &c = net.config();
        const auto where = at::TensorOptions().device(report.options.device).dtype(report.options.dtype);
        const auto size = [&one](const char *key) { return json_int(one, key, 1, 1, 1 << 16); };
        frames_ = size("F"), height_ = size("h"), width_ = size("w"), text_ = size("L");
        const int64_t batch = size("B");
        const double scale = json_double(one, "input_scale", 1);
        const Fill fill(golden);
        x_ = fill.input("hidden_states", {batch, frames_, c.in_channels, height_, width_}, scale).to(where);
        e_ = fill.input("encoder_hidden_states", {batch, text_, c.text_dim}, scale).to(where);
        const auto times = json_doubles(json_need(one, "t"));
        if (static_cast<int64_t>(times.size()) != batch)
            throw Error(MDL_EINVAL, "t has another number of rows than B");
        t_ = at::tensor(times, at::kFloat).to(report.options.device);
        if (c.ofs_dim)
            ofs_ = at::full({1}, json_double(one, "ofs", 2.0), where);
        control_.scale = json_double(one, "control_scale", 1);
        control_.where = injection_by_name(json_string(one, "injection", "none"));
        if (one.contains("inputs") && one["inputs"].contains("control"))
            control_.tokens = fill.input("control", json_shape(one["inputs"]["control"]), scale).to(where);
    }

    void run()
    {
        check_times();
        check_injected_blocks();
        rope_ = net_.rope(frames_, height_, width_, report_.options.device);
        check_rope();
        step_ = net_.condition(t_, ofs_);
        const auto tap = [this](const std::string &name, const at::Tensor &tokens) { check_tap(name, tokens); };
        const at::Tensor v = net_.forward(x_, net_.text_tokens(e_), step_, rope_, control_, tap);
        report_.compare(name_ + "output", json_need(one_, "output"), v, tolerance_);
        if (t_.numel() > 1 && at::equal(t_, t_[0].expand_as(t_)))
            check_shared_step(v);
    }

  private:
    // Rows that share the step may be served by one row of modulations.
    void check_shared_step(const at::Tensor &v)
    {
        const at::Tensor again = net_.forward(x_, net_.text_tokens(e_), step_.row(0), rope_, control_);
        report_.within(name_ + "shared_step", (again - v).abs().max().item<double>(), tolerance_);
    }

    void check_injected_blocks()
    {
        if (!one_.contains("injected_blocks"))
            return;
        std::vector<int64_t> blocks;
        for (int64_t i = 0; i < net_.config().layers; i++)
            if (injects(control_.where, i, net_.config().layers))
                blocks.push_back(i);
        report_.same(name_ + "injected_blocks", blocks == json_shape(one_["injected_blocks"]));
    }

    const Json *expected(const std::string &name) const
    {
        if (!one_.contains("intermediate") || !one_["intermediate"].contains(name))
            return nullptr;
        return &one_["intermediate"][name];
    }

    void check(const std::string &name, const std::vector<at::Tensor> &parts)
    {
        if (const Json *record = expected(name))
            compare_parts(name_ + name, *record, parts, tolerance_, report_);
    }

    void check_times()
    {
        check("time_embedding", {net_.time().time_part(t_)});
        if (ofs_.defined())
            check("ofs_embedding", {net_.time().ofs_part(ofs_)});
        check("emb", {net_.time()(t_, ofs_)});
    }

    void check_rope()
    {
        if (!one_.contains("rope") || !rope_.cos.defined())
            return;
        report_.compare(name_ + "rope.cos", json_need(one_["rope"], "cos"), rope_.cos_doubled(), tolerance_);
        report_.compare(name_ + "rope.sin", json_need(one_["rope"], "sin"), rope_.sin_doubled(), tolerance_);
    }

    void check_tap(const std::string &name, const at::Tensor &tokens)
    {
        if (name == "embed") {
            check("patch_embed", {tokens});
            check_first_block(tokens);
        } else if (name.rfind("block", 0) == 0) {
            check(name, streams(tokens, text_));
            if (name == "block" + std::to_string(net_.config().layers - 1))
                check("block_last", streams(tokens, text_));
        } else {
            check(name, {tokens});
        }
    }

    void check_first_block(const at::Tensor &tokens)
    {
        const DitBlock &block = net_.block(0);
        const DitBlockModulation &m = step_.blocks.at(0);
        at::Tensor x = tokens.clone();
        const at::Tensor normed = block.attention_norm(x, text_, m);
        auto parts = streams(normed, text_);
        parts.insert(parts.end(), {m.attention.video.gate, m.attention.text.gate});
        check("block0.norm1", parts);
        const at::Tensor attention = block.attention(normed, text_, rope_);
        check("block0.attn1", streams(attention, text_));
        nn::gated_add_(x, attention, text_, m.attention);
        check("block0.ff", {block.feed_forward(block.feed_forward_norm(x, text_, m))});
    }

    const Transformer &net_;
    const Json &one_;
    const std::string name_;
    Report &report_;
    const double tolerance_;
    int64_t frames_, height_, width_, text_;
    at::Tensor x_, e_, t_, ofs_;
    Control control_;
    nn::Rope rope_;
    StepConditioning step_;
};

} // namespace

void parity_transformer(const Json &golden, Report &report)
{
    Weights weights =
        Fill(golden).weights(json_need(golden, "state_dict"), {report.options.dtype, report.options.device});
    const Transformer net(DitConfig::parse(json_need(golden, "config")), weights);
    weights.finish();
    int n = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = "case" + std::to_string(n++) + "/";
        report.attempt(name + "run", [&] { Case(net, golden, one, name, report).run(); });
    }
}

} // namespace mdl
