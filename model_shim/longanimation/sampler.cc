// sampler.cc - see sampler.h.
#include "longanimation/sampler.h"

#include "error.h"
#include "longanimation/first_block_cache.h"

#include <ATen/ATen.h>

namespace mdl
{
namespace
{

constexpr double offset_input = 2.0; // the network's `ofs`, a constant of the released pipelines

// What all steps of a segment share.
struct Constants {
    at::Tensor sketch;                    // [1, F, 2C, h, w]
    at::Tensor sketch_text, text;         // projected, [rows, L, D]
    StepConditioning sketch_steps, steps; // a row per step
    nn::Rope sketch_rope, rope;
    Dglm::Cache memory; // empty = none
};

Constants prepare(const Components &n, const SampleInput &in, const Scheduler &scheduler, const Compute &c)
{
    const Condition &d = in.condition;
    const int64_t frames = d.image.size(1), h = d.image.size(3), w = d.image.size(4);
    const at::Tensor t = at::tensor(scheduler.timesteps(), at::kLong).to(c.device);
    const at::Tensor ofs = at::full({1}, offset_input, d.image.options());
    const auto offset_of = [&](const DitConfig &config) { return config.ofs_dim > 0 ? ofs : at::Tensor(); };
    Constants k;
    k.sketch = at::cat({d.sketch, d.image}, 2);
    k.sketch_text = n.sketch_dit().text_tokens(in.text);
    k.text = n.transformer().text_tokens(in.text);
    k.sketch_steps = n.sketch_dit().condition(t, offset_of(n.shapes().sketch_dit));
    k.steps = n.transformer().condition(t, offset_of(n.shapes().transformer));
    k.sketch_rope = n.sketch_dit().rope(frames, h, w, c.device);
    k.rope = n.transformer().rope(frames, h, w, c.device);
    if (in.global_memory.defined() || in.local_memory.defined())
        k.memory = n.memory().map(in.global_memory, in.local_memory);
    return k;
}

at::Tensor rows_of(const at::Tensor &x, int64_t rows)
{
    return x.expand({rows, -1, -1, -1, -1});
}

// [1 or 2 rows] -> one row, float32.
at::Tensor guide(const at::Tensor &v, double scale)
{
    const at::Tensor both = v.to(at::kFloat);
    if (both.size(0) == 1)
        return both;
    const at::Tensor negative = both.narrow(0, 0, 1);
    return negative + (both.narrow(0, 1, 1) - negative) * scale;
}

} // namespace

Sampler::Sampler(const Settings &s, const Compute &c, const RunTap &tap) : settings_(s), compute_(c), tap_(tap)
{
}

at::Tensor Sampler::operator()(const Components &n, int32_t segment, const SampleInput &in, Noise &noise,
                               FusionTails &own, const FusionTails *previous, const OnStep &on_step) const
{
    const Scheduler scheduler(n.shapes().scheduler, settings_.steps);
    const Constants k = prepare(n, in, scheduler, compute_);
    const int64_t rows = in.text.size(0), last_step = settings_.steps - 1;
    const at::IntArrayRef shape = in.condition.image.sizes();
    const auto see = [&](const std::string &name, const at::Tensor &t) {
        if (tap_)
            tap_(segment, name, t);
    };
    if (tap_) {
        tap_(-1, "rope_cos", k.rope.cos_doubled());
        tap_(-1, "rope_sin", k.rope.sin_doubled());
    }

    const auto control_of = [&](int64_t i) -> Control {
        const at::Tensor z =
            n.sketch_dit().forward(rows_of(k.sketch, rows), k.sketch_text, k.sketch_steps.row(i), k.sketch_rope);
        at::Tensor control = z;
        if (!k.memory.empty()) {
            const at::Tensor memory = n.memory().forward(k.memory, z);
            control = z + memory;
            if (i == 0)
                see("memory_step0", memory);
        }
        if (i == 0) {
            see("control_step0", z);
            see("control_used_step0", control);
        }
        return {control, settings_.control_scale, settings_.injection};
    };

    FirstBlockCache short_cut(n.transformer(), settings_.fast_threshold, settings_.steps);
    at::Tensor latents = noise.main("init", shape), x0;
    for (int64_t i = 0; i <= last_step; i++) {
        on_step(i);
        const at::Tensor x = rows_of(at::cat({latents, in.condition.image}, 2), rows);
        const StepConditioning step_i = k.steps.row(i);
        const at::Tensor v = settings_.fast
                                 ? short_cut.forward(i, x, k.text, step_i, k.rope, [&] { return control_of(i); })
                                 : n.transformer().forward(x, k.text, step_i, k.rope, control_of(i));
        if (i == 0)
            see("v_step0", v);
        if (i == last_step)
            see("v_last", v);

        int drawn = 0;
        const int draws = scheduler.draws(i);
        const Scheduler::Step step = scheduler.dpm(i, guide(v, settings_.guidance_scale), latents, x0, [&] {
            const bool discarded = ++drawn < draws;
            return noise.main("step" + std::to_string(i) + (discarded ? "_discarded" : ""), shape);
        });
        latents = step.sample.to(compute_.dtype);
        x0 = step.x0;
        own.step(i, latents, previous);
        see("latents_step" + std::to_string(i), latents);
        if (!at::isfinite(latents).all().item<bool>())
            fail(MDL_ENAN, "segment %d: the latents are not finite after step %lld", segment,
                 static_cast<long long>(i));
    }
    if (settings_.fast)
        see("blocks_run", at::scalar_tensor(short_cut.blocks_run(), at::kLong));
    on_step(settings_.steps);
    return latents;
}

} // namespace mdl
