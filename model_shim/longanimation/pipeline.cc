// pipeline.cc - see pipeline.h. Read `all` and `segment`: they are the algorithm.
#include "longanimation/pipeline.h"

#include "error.h"
#include "host.h"
#include "longanimation/condition.h"
#include "longanimation/deliver.h"
#include "longanimation/estimate.h"
#include "longanimation/handover.h"
#include "longanimation/recall.h"
#include "longanimation/sampler.h"
#include "window.h"

#include <ATen/ATen.h>

#include <map>
#include <optional>

namespace mdl
{
namespace
{

constexpr int64_t history_portion = 64; // frames of a resumed run's history that wait for the video encoder

class Run
{
  public:
    Run(const Manifest &m, Components &n, const Compute &c, const Settings &s, const mdl_params &p,
        const std::string &model_id, const RunHooks &hooks)
        : components_(n), compute_(c), settings_(s), params_(p), manifest_(m), hooks_(hooks), host_(p),
          work_(estimate_work(m, n.shapes(), s, c)), fingerprint_(run_fingerprint(s, p, model_id)),
          window_(host_, int64_t{p.input_width} * p.input_height * 3, int64_t{s.size.width} * s.size.height * 3,
                  [this](const uint8_t *rgb, uint8_t *planar) {
                      fit_frame(rgb, params_.input_width, params_.input_height, settings_.size, settings_.fitting,
                                planar);
                  }),
          seeded_(s.seed, c), conditioner_(m, s, c, hooks.tap), sampler_(s, c, hooks.tap), recall_(m, s)
    {
    }

    void all()
    {
        report(MDL_STAGE_LOAD, 0, 1);
        reference_ = fit_reference(params_.references[0], settings_, params_.input_width, params_.input_height);
        if (params_.resume_segment > 0)
            resume();
        encode_text();
        for (; segment_ < segments(); segment_++)
            segment(settings_.plan.segments[static_cast<size_t>(segment_)]);
    }

  private:
    void segment(const Segment &s)
    {
        if (settings_.autoregressive && s.index > 0)
            reference_ = own_frame_as_reference(last_frame_);
        Noise &noise = hooks_.noise ? *hooks_.noise : seeded_;
        noise.begin_segment();

        SampleInput in;
        in.text = text_of(s.index);
        const Memories memories = remember(s.index);
        in.global_memory = memories.global;
        in.local_memory = memories.local;
        in.condition = encode(s, noise);
        FusionTails tails(settings_.fusion, settings_.steps);
        const at::Tensor latents = sample(s, in, noise, tails);
        decode(s, latents);
        tails_ = std::move(tails);
        hand_over(s);
    }

    // ---- text ----
    void encode_text()
    {
        report(MDL_STAGE_TEXT, 0, 1);
        components_.enter({Part::text_encoder}, work_.text);
        if (settings_.guided())
            embed(settings_.negative_prompt);
        for (int32_t k = segment_; k < segments(); k++)
            embed(settings_.prompt_of(k));
        report(MDL_STAGE_TEXT, 1, 1);
    }

    void embed(const std::string &prompt)
    {
        if (texts_.count(prompt))
            return;
        const int64_t length = components_.shapes().transformer.max_text_tokens;
        Text text;
        text.ids = at::tensor(components_.tokenizer().encode(prompt, length), at::kLong).unsqueeze(0);
        text.states = components_.text_encoder()(text.ids.to(compute_.device));
        texts_.emplace(prompt, text);
    }

    at::Tensor text_of(int32_t k)
    {
        const Text &positive = texts_.at(settings_.prompt_of(k));
        if (hooks_.tap) {
            hooks_.tap(k, "prompt_ids", positive.ids);
            hooks_.tap(k, "prompt_embeds", positive.states);
        }
        if (!settings_.guided())
            return positive.states;
        const Text &negative = texts_.at(settings_.negative_prompt);
        if (hooks_.tap) {
            hooks_.tap(-1, "negative_ids", negative.ids);
            hooks_.tap(-1, "negative_embeds", negative.states);
        }
        return at::cat({negative.states, positive.states});
    }

    // ---- the stages of a segment ----
    Memories remember(int32_t k)
    {
        if (k == 0)
            return {};
        if (hooks_.memories)
            return hooks_.memories(k);
        if (!recall_.active())
            return {};
        report(MDL_STAGE_MEMORY, 0, 1);
        components_.enter({Part::video_encoder}, work_.recall);
        const Memories memories = recall_.build(components_.video_encoder());
        report(MDL_STAGE_MEMORY, 1, 1);
        if (hooks_.tap && memories.global.defined())
            hooks_.tap(k, "global_memory", memories.global);
        if (hooks_.tap && memories.local.defined())
            hooks_.tap(k, "local_memory", memories.local);
        return memories;
    }

    Condition encode(const Segment &s, Noise &noise)
    {
        report(MDL_STAGE_ENCODE, 0, 1);
        uint8_t *held = window_.move_to(s.start_frame, s.source_frames, settings_.plan.segment_frames);
        const at::Tensor frames =
            at::from_blob(held, {settings_.plan.segment_frames, 3, settings_.size.height, settings_.size.width},
                          at::TensorOptions().dtype(at::kByte));
        components_.enter({Part::lineart, Part::vae}, work_.encode);
        Condition c = conditioner_(components_, s, frames, reference_, noise);
        report(MDL_STAGE_ENCODE, 1, 1);
        return c;
    }

    at::Tensor sample(const Segment &s, const SampleInput &in, Noise &noise, FusionTails &tails)
    {
        std::vector<Part> parts = {Part::transformer, Part::sketch_dit};
        if (in.global_memory.defined() || in.local_memory.defined())
            parts.push_back(Part::memory);
        components_.enter(parts, work_.diffusion);
        const auto on_step = [&](int64_t step) {
            report(MDL_STAGE_DIFFUSION, static_cast<int32_t>(step), static_cast<int32_t>(settings_.steps));
        };
        return sampler_(components_, s.index, in, noise, tails, tails_ ? &*tails_ : nullptr, on_step);
    }

    void decode(const Segment &s, const at::Tensor &latents)
    {
        components_.enter({Part::vae}, work_.decode);
        report(MDL_STAGE_DECODE, 0, s.delivered_frames());
        decode_segment(components_, manifest_, s, latents, hooks_.tap, [&](const at::Tensor &frames, int64_t position) {
            host_.frames(frames.const_data_ptr<uint8_t>(), delivered_, static_cast<int32_t>(frames.size(0)),
                         settings_.size.width, settings_.size.height);
            delivered_ += frames.size(0);
            if (s.index + 1 < segments()) // of the last one nobody will ask
                see_delivered(frames);
            report(MDL_STAGE_DECODE, static_cast<int32_t>(position + frames.size(0) - s.keep_from),
                   s.delivered_frames());
        });
    }

    void see_delivered(const at::Tensor &frames)
    {
        if (settings_.autoregressive)
            last_frame_ = frames.select(0, frames.size(0) - 1).clone();
        recall_.add(frames);
    }

    // ---- from segment to segment, and from run to run ----
    void hand_over(const Segment &s)
    {
        const std::vector<uint8_t> state = handover_pack(fingerprint_, s.index, *tails_);
        host_.segment({s.index, segments(), s.first_frame, s.delivered_frames(), state.data(), state.size()});
    }

    void resume()
    {
        segment_ = params_.resume_segment;
        if (segment_ >= segments())
            fail(MDL_EINVAL, "resume_segment is %d but the run has %d segments", segment_, segments());
        tails_ = handover_open(params_, fingerprint_, settings_, components_.shapes().vae, compute_);
        delivered_ = settings_.plan.segments[static_cast<size_t>(segment_)].first_frame;
        read_history();
    }

    // The frames delivered before, as far as this run looks back at them.
    void read_history()
    {
        const int64_t from = recall_.active() ? 0 : settings_.autoregressive ? delivered_ - 1 : delivered_;
        const at::Tensor frame =
            at::empty({1, settings_.size.height, settings_.size.width, 3}, at::TensorOptions().dtype(at::kByte));
        for (int64_t i = from; i < delivered_; i++) {
            host_.history(i, frame.mutable_data_ptr<uint8_t>());
            see_delivered(frame);
            if (recall_.waiting_frames() < history_portion)
                continue;
            components_.enter({Part::video_encoder}, work_.recall);
            recall_.absorb(components_.video_encoder());
        }
    }

    int32_t segments() const
    {
        return static_cast<int32_t>(settings_.plan.segments.size());
    }

    void report(int32_t stage, int32_t step, int32_t steps) const
    {
        host_.progress({stage, std::min(segment_, segments() - 1), segments(), step, steps, delivered_});
    }

    struct Text {
        at::Tensor ids, states; // [1, L], [1, L, text width]
    };

    Components &components_;
    const Compute compute_;
    const Settings &settings_;
    const mdl_params &params_;
    const Manifest &manifest_;
    const RunHooks &hooks_;
    const Host host_;
    const WorkBytes work_;
    const uint64_t fingerprint_;
    Window window_;
    SeededNoise seeded_;
    Conditioner conditioner_;
    Sampler sampler_;
    Recall recall_;
    Reference reference_;
    std::map<std::string, Text> texts_;
    std::optional<FusionTails> tails_; // of the segment before
    at::Tensor last_frame_;            // the last one delivered; only where the next segment looks at it
    int32_t segment_ = 0;
    int64_t delivered_ = 0;
};

} // namespace

void pipeline_run(const Manifest &m, Components &n, const Compute &c, const Settings &s, const mdl_params &p,
                  const std::string &model_id, const RunHooks &hooks)
{
    Run(m, n, c, s, p, model_id, hooks).all();
}

} // namespace mdl
