#include "nn/recompute.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace mdl::nn
{

namespace
{

thread_local bool recompute_enabled = false;

// The gradient is taken outside of the scope in which the part was run first.
class AutocastAs
{
  public:
    AutocastAs(at::DeviceType device, bool on) : device_(device), before_(at::autocast::is_autocast_enabled(device))
    {
        at::autocast::set_autocast_enabled(device_, on);
    }
    ~AutocastAs()
    {
        if (at::autocast::is_autocast_enabled(device_))
            at::autocast::clear_cache(); // of weights in the lower precision, which are about to change
        at::autocast::set_autocast_enabled(device_, before_);
    }
    AutocastAs(const AutocastAs &) = delete;
    AutocastAs &operator=(const AutocastAs &) = delete;

  private:
    at::DeviceType device_;
    bool before_;
};

struct Part : torch::CustomClassHolder {
    Recomputed f;
    bool autocast = false;
};

struct RunAgain : torch::autograd::Function<RunAgain> {
    // Inputs cut off from what they came from, and f of them.
    static std::pair<std::vector<at::Tensor>, at::Tensor> run(const Recomputed &f, const std::vector<at::Tensor> &given)
    {
        const c10::AutoGradMode recording(true);
        std::vector<at::Tensor> inputs;
        for (const at::Tensor &x : given)
            inputs.push_back(x.detach().set_requires_grad(x.requires_grad()));
        return {inputs, f(inputs)};
    }

    // `anchor` wants a gradient, so that the step is recorded also where only captured weights do.
    static at::Tensor forward(torch::autograd::AutogradContext *context, const Recomputed &f, const at::Tensor &anchor,
                              at::TensorList inputs)
    {
        auto part = c10::make_intrusive<Part>();
        part->f = f;
        part->autocast = at::autocast::is_autocast_enabled(inputs[0].device().type());
        context->saved_data["part"] = c10::IValue::make_capsule(part);
        context->save_for_backward(inputs.vec());
        (void)anchor;
        // Recorded and thrown away: the kernels are those of the second run, so the numbers are too.
        return run(f, inputs.vec()).second.detach();
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients)
    {
        const auto part = c10::static_intrusive_pointer_cast<Part>(context->saved_data["part"].toCapsule());
        const std::vector<at::Tensor> saved = context->get_saved_variables();
        const AutocastAs as_before(saved[0].device().type(), part->autocast);
        const auto [inputs, out] = run(part->f, saved);
        torch::autograd::backward({out}, gradients);
        torch::autograd::variable_list of_inputs(2); // of f and anchor: none
        for (const at::Tensor &input : inputs)
            of_inputs.push_back(input.requires_grad() ? input.grad() : at::Tensor());
        return of_inputs;
    }
};

} // namespace

RecomputeScope::RecomputeScope(bool enabled) : before_(recompute_enabled)
{
    recompute_enabled = enabled;
}

RecomputeScope::~RecomputeScope()
{
    recompute_enabled = before_;
}

bool recomputing()
{
    return recompute_enabled;
}

at::Tensor recompute(const Recomputed &f, const std::vector<at::Tensor> &inputs)
{
    const at::Tensor anchor = at::zeros({0}).set_requires_grad(true);
    return RunAgain::apply(f, anchor, at::TensorList(inputs));
}

} // namespace mdl::nn
