// optimizer.cc - see optimizer.h.
#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace mdl
{
namespace
{

constexpr double adam_eps = 1e-8;
constexpr double muon_momentum = 0.95;
constexpr double muon_scale = 0.2; // an orthogonal update then has the size of one of AdamW's

// Newton-Schulz over one matrix: its singular values go towards 1. The coefficients are Muon's.
at::Tensor orthogonal(const at::Tensor &g)
{
    at::Tensor x = g.to(at::kBFloat16);
    const bool tall = x.size(0) > x.size(1);
    if (tall)
        x = x.t();
    x = x / (x.norm() + 1e-7);
    for (int i = 0; i < 5; i++) {
        const at::Tensor a = at::mm(x, x.t());
        x = 3.4445 * x + at::mm(-4.7750 * a + 2.0315 * at::mm(a, a), x);
    }
    return (tall ? x.t() : x).to(at::kFloat);
}

} // namespace

double learning_rate(const mdl_train_settings &s, int64_t step)
{
    const double at = static_cast<double>(step), all = static_cast<double>(s.steps);
    const double warm = s.warmup_steps > 0 ? std::min(1.0, (at + 1) / static_cast<double>(s.warmup_steps)) : 1;
    const double flat = s.flat_share * all;
    const double fallen = all > flat ? std::clamp((at - flat) / (all - flat), 0.0, 1.0) : 0;
    double share = 1;
    if (s.schedule == MDL_SCHEDULE_LINEAR)
        share = 1 - fallen;
    else if (s.schedule == MDL_SCHEDULE_COSINE)
        share = 0.5 * (1 + std::cos(M_PI * fallen));
    return s.learning_rate * warm * (s.final_share + (1 - s.final_share) * share);
}

Optimizer::Optimizer(const mdl_train_settings &s, const std::vector<Parameter> &parameters)
    : beta1_(s.beta1), beta2_(s.beta2), weight_decay_(s.weight_decay), clip_(s.clip)
{
    const c10::AutoGradMode off(false);
    for (const Parameter &p : parameters) {
        const at::Tensor zeros = at::zeros_like(p.value);
        const bool muon = s.optimizer == MDL_OPTIMIZER_MUON && p.matrix;
        names_.push_back(p.name);
        is_muon_.push_back(muon);
        if (muon)
            moments_.push_back({zeros, {}, {}});
        else
            moments_.push_back({zeros, zeros.clone(), at::zeros({}, p.value.options())});
    }
}

double Optimizer::clip_gradients(const std::vector<Parameter> &parameters) const
{
    const c10::AutoGradMode off(false);
    std::vector<at::Tensor> norms;
    for (const Parameter &p : parameters)
        if (p.value.grad().defined())
            norms.push_back(p.value.grad().norm());
    if (norms.empty())
        return 0;
    const double norm = at::stack(norms).norm().item<double>();
    if (clip_ > 0 && norm > clip_ && std::isfinite(norm))
        for (const Parameter &p : parameters)
            if (p.value.grad().defined())
                p.value.grad().mul_(clip_ / (norm + 1e-6));
    return norm;
}

void Optimizer::step(std::vector<Parameter> &parameters, double rate)
{
    const c10::AutoGradMode off(false);
    adamw(parameters, rate);
    muon(parameters, rate);
}

void Optimizer::adamw(std::vector<Parameter> &parameters, double rate)
{
    std::vector<at::Tensor> values, gradients, first, second, steps;
    for (size_t i = 0; i < parameters.size(); i++) {
        const at::Tensor &gradient = parameters[i].value.grad();
        if (is_muon_[i] || !gradient.defined())
            continue;
        moments_[i].steps.add_(1);
        values.push_back(parameters[i].value.detach());
        gradients.push_back(gradient);
        first.push_back(moments_[i].first);
        second.push_back(moments_[i].second);
        steps.push_back(moments_[i].steps);
    }
    if (!values.empty())
        at::_fused_adamw_(values, gradients, first, second, {}, steps, rate, beta1_, beta2_, weight_decay_, adam_eps,
                          false, false);
}

void Optimizer::muon(std::vector<Parameter> &parameters, double rate)
{
    for (size_t i = 0; i < parameters.size(); i++) {
        const at::Tensor &gradient = parameters[i].value.grad();
        if (!is_muon_[i] || !gradient.defined())
            continue;
        at::Tensor value = parameters[i].value.detach(), &momentum = moments_[i].first;
        momentum.mul_(muon_momentum).add_(gradient);
        const double larger = static_cast<double>(std::max(value.size(0), value.size(1)));
        value.mul_(1 - rate * weight_decay_);
        value.sub_(orthogonal(gradient + muon_momentum * momentum), rate * muon_scale * std::sqrt(larger));
    }
}

void Optimizer::drop_gradients(std::vector<Parameter> &parameters)
{
    for (Parameter &p : parameters)
        p.value.mutable_grad() = at::Tensor();
}

std::map<std::string, at::Tensor> Optimizer::state() const
{
    std::map<std::string, at::Tensor> all;
    for (size_t i = 0; i < names_.size(); i++) {
        all["first/" + names_[i]] = moments_[i].first;
        if (is_muon_[i])
            continue;
        all["second/" + names_[i]] = moments_[i].second;
        all["steps/" + names_[i]] = moments_[i].steps;
    }
    return all;
}

int64_t Optimizer::bytes() const
{
    int64_t n = 0;
    for (const auto &[name, tensor] : state())
        n += static_cast<int64_t>(tensor.nbytes());
    return n;
}

} // namespace mdl
