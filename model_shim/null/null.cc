// null.cc - a back end without a network or a device, for everything around the model: the same plan, segments, steps,
// progress, states and resuming as the real one, and frames that are plain arithmetic, so that a test can say what
// they must be.
//
// Pixel (x, y) of a delivered frame, channel c (all divisions are integer divisions):
//   in     the input frame at (x * input_width / width, y * input_height / height)
//   light  (77 r + 150 g + 29 b) / 256 of in; with colour input 0 where that is below 64, else 255
//   ref    the first reference, read like the input; with strategy autoregressive, from segment 1 on, the last frame
//          that the segment before delivered
//   v      min(255, ref[c] * light / 255 + (seed * 0x9E3779B97F4A7C15 >> (56 - 8 c)) % 8)
//   blue   its lowest bit is replaced by bit (x + y) % 64 of the segment's latent
// The latent stands for what the real one carries: each step mixes in the seed, the step, the tail that the segment
// before left at the same step, and a hash of the delivered frames that the memories see. So a frame is right only if
// state and history were.
#include "backend.h"
#include "error.h"
#include "host.h"
#include "longanimation/plan.h"
#include "null/options.h"
#include "params.h"
#include "state.h"
#include "window.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace mdl
{
namespace
{

constexpr int64_t decode_frames = 8; // frames delivered at once, as the VAE does

uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

struct Size {
    int32_t width, height;
    size_t bytes() const
    {
        return static_cast<size_t>(width) * static_cast<size_t>(height) * 3;
    }
};

// Nearest pixel, top left.
void stretch(const uint8_t *in, Size from, uint8_t *out, Size to)
{
    for (int64_t y = 0; y < to.height; y++)
        for (int64_t x = 0; x < to.width; x++) {
            const int64_t at = (y * from.height / to.height) * from.width + x * from.width / to.width;
            std::memcpy(out + (y * to.width + x) * 3, in + at * 3, 3);
        }
}

void paint(const uint8_t *in, const uint8_t *reference, const mdl_params &p, Size size, uint64_t latent, uint8_t *out)
{
    const uint64_t tint = p.seed * 0x9E3779B97F4A7C15ull;
    for (int32_t y = 0; y < size.height; y++)
        for (int32_t x = 0; x < size.width; x++, in += 3, reference += 3, out += 3) {
            int light = (77 * in[0] + 150 * in[1] + 29 * in[2]) >> 8;
            if (p.input_kind == MDL_INPUT_COLOR)
                light = light < 64 ? 0 : 255;
            for (int c = 0; c < 3; c++)
                out[c] = static_cast<uint8_t>(
                    std::min<int>(255, reference[c] * light / 255 + static_cast<int>((tint >> (56 - 8 * c)) % 8)));
            out[2] = static_cast<uint8_t>((out[2] & ~1) | ((latent >> ((x + y) % 64)) & 1));
        }
}

uint64_t fingerprint(const mdl_params &p, const mdl_plan &plan, const std::string &options)
{
    Fingerprint f;
    f.add(std::string_view("null 1")).add(std::string_view(options));
    f.add(std::string_view(p.prompt)).add(std::string_view(p.negative_prompt));
    for (int64_t n : {int64_t(p.input_width), int64_t(p.input_height), p.frames, int64_t(plan.width),
                      int64_t(plan.height), int64_t(plan.steps), static_cast<int64_t>(p.seed), int64_t(p.profile),
                      int64_t(p.input_kind), int64_t(p.reference_strategy), int64_t(p.memory_global),
                      int64_t(p.memory_local), int64_t(p.memory_local_frames)})
        f.add(n);
    for (int32_t i = 0; i < p.reference_count; i++) {
        const mdl_image &r = p.references[i];
        const Size size{r.width, r.height};
        f.add(int64_t(r.width)).add(int64_t(r.height));
        f.add(std::string_view(reinterpret_cast<const char *>(r.rgb), size.bytes()));
    }
    return f.value();
}

// Hashes of the delivered frames: what this model remembers of them. Bounded by 8 bytes a frame.
class Memory
{
  public:
    Memory(const mdl_params &p) : global(p.memory_global), local(p.memory_local ? p.memory_local_frames : 0)
    {
        if (p.memory_local && local == 0)
            local = 20;
    }
    void add(const uint8_t *rgb, size_t bytes)
    {
        hashes.push_back(hash_bytes(rgb, bytes));
    }
    // The first delivered frame that a run resumed after `delivered` frames has to read again.
    int64_t first_needed(int64_t delivered, bool last_frame) const
    {
        if (global)
            return 0;
        return std::max<int64_t>(0, delivered - std::max<int64_t>(local, last_frame ? 1 : 0));
    }
    uint64_t digest() const
    {
        uint64_t h = hash_start;
        const size_t from = global ? 0 : hashes.size() - std::min(hashes.size(), static_cast<size_t>(local));
        for (size_t i = from; i < hashes.size(); i++)
            h = mix(h ^ hashes[i]);
        return h;
    }

  private:
    bool global;
    int64_t local;
    std::vector<uint64_t> hashes;
};

class Run
{
  public:
    Run(const null::Options &o, const mdl_params &params, const mdl_plan &summary_, const Plan &plan_)
        : options(o), p(params), summary(summary_), plan(plan_), host(params),
          memory(params), size{summary_.width, summary_.height}, print(fingerprint(params, summary_, o.text)),
          window(host, int64_t(Size{p.input_width, p.input_height}.bytes()), int64_t(size.bytes()),
                 [this](const uint8_t *in, uint8_t *out) {
                     stretch(in, {p.input_width, p.input_height}, out, size);
                 }),
          reference(size.bytes()), tails(static_cast<size_t>(summary_.steps))
    {
        stretch(p.references[0].rgb, {p.references[0].width, p.references[0].height}, reference.data(), size);
    }

    void all()
    {
        if (p.resume_segment >= summary.segments && p.resume_segment > 0)
            fail(MDL_EINVAL, "resume_segment is %d but the run has %d segments", p.resume_segment, summary.segments);
        report(MDL_STAGE_LOAD, p.resume_segment, 0, 1);
        if (p.resume_segment > 0)
            resume();
        for (int32_t k = p.resume_segment; k < summary.segments; k++)
            segment(plan.segments[static_cast<size_t>(k)]);
    }

  private:
    bool autoregressive() const
    {
        return p.reference_strategy == MDL_STRATEGY_AUTOREGRESSIVE;
    }

    void report(int stage, int32_t k, int32_t step, int32_t steps)
    {
        host.progress({stage, k, summary.segments, step, steps, delivered});
    }

    void resume()
    {
        const std::string_view payload =
            state_open(p.resume_state, p.resume_state_size_bytes, print, p.resume_segment - 1);
        if (payload.size() != tails.size() * sizeof tails[0])
            throw Error(MDL_EINVAL, "the resume state has another number of steps");
        std::memcpy(tails.data(), payload.data(), payload.size());
        delivered = plan.segments[static_cast<size_t>(p.resume_segment)].first_frame;
        std::vector<uint8_t> frame(size.bytes());
        for (int64_t i = memory.first_needed(delivered, autoregressive()); i < delivered; i++) {
            host.history(i, frame.data());
            remember(frame.data());
        }
    }

    void remember(const uint8_t *rgb)
    {
        memory.add(rgb, size.bytes());
        if (autoregressive())
            last.assign(rgb, rgb + size.bytes());
    }

    void segment(const Segment &s)
    {
        report(MDL_STAGE_TEXT, s.index, 1, 1);
        report(MDL_STAGE_MEMORY, s.index, 1, 1);
        if (s.index > 0 && autoregressive())
            reference = last;
        const uint8_t *frames = window.move_to(s.start_frame, s.source_frames, plan.segment_frames);
        report(MDL_STAGE_ENCODE, s.index, 1, 1);
        const uint64_t latent = sample(s.index);
        decode(s, frames, latent);
        hand_over(s);
    }

    uint64_t sample(int32_t k)
    {
        const uint64_t seen = k > 0 ? memory.digest() : 0;
        uint64_t latent = mix(p.seed ^ 0x5EEDull);
        for (int32_t step = 0; step < summary.steps; step++) {
            null::maybe_fail(options, k, step);
            report(MDL_STAGE_DIFFUSION, k, step, summary.steps);
            if (options.delay_ms > 0)
                std::this_thread::sleep_for(std::chrono::milliseconds(options.delay_ms));
            uint64_t &tail = tails[static_cast<size_t>(step)];
            latent = mix(latent ^ seen ^ tail ^ static_cast<uint64_t>(step));
            tail = latent;
        }
        report(MDL_STAGE_DIFFUSION, k, summary.steps, summary.steps);
        return latent;
    }

    void decode(const Segment &s, const uint8_t *frames, uint64_t latent)
    {
        std::vector<uint8_t> out(size.bytes() * decode_frames);
        for (int64_t at = s.keep_from; at < s.keep_to; at += decode_frames) {
            const int64_t n = std::min<int64_t>(decode_frames, s.keep_to - at);
            for (int64_t i = 0; i < n; i++) {
                uint8_t *frame = out.data() + static_cast<size_t>(i) * size.bytes();
                paint(frames + static_cast<size_t>(at + i) * size.bytes(), reference.data(), p, size, latent, frame);
                remember(frame);
            }
            host.frames(out.data(), delivered, static_cast<int32_t>(n), size.width, size.height);
            delivered += n;
            report(MDL_STAGE_DECODE, s.index, static_cast<int32_t>(at + n), s.keep_to);
        }
    }

    void hand_over(const Segment &s)
    {
        std::vector<uint8_t> payload(tails.size() * sizeof tails[0]);
        std::memcpy(payload.data(), tails.data(), payload.size());
        const std::vector<uint8_t> state = state_pack(print, s.index, payload);
        host.segment({s.index, summary.segments, s.first_frame, s.delivered_frames(), state.data(), state.size()});
    }

    const null::Options &options;
    const mdl_params &p;
    const mdl_plan &summary;
    const Plan &plan;
    Host host;
    Memory memory;
    Size size;
    uint64_t print;
    Window window;
    std::vector<uint8_t> reference, last;
    std::vector<uint64_t> tails; // per step, of the segment before
    int64_t delivered = 0;
};

class Null : public Backend
{
  public:
    Null(const std::string &text, const mdl_options &o) : options(null::parse(text)), vram(o.vram_budget_bytes)
    {
        const auto n = [](int64_t v) { return std::to_string(v); };
        about = "{\"name\":\"null\",\"backend\":\"null\",\"width\":" + n(options.width) +
                ",\"height\":" + n(options.height) + ",\"segment_frames\":" + n(options.segment) +
                ",\"overlap_frames\":" + n(options.overlap) + ",\"steps\":" + n(options.steps) +
                ",\"guidance_scale\":6.0,\"control_scale\":0.5,\"injection\":\"skip_layer\",\"fusion_first_step\":31," +
                "\"memory\":true,\"memory_global_frames\":650,\"memory_local_frames\":20,\"device\":\"cpu\"," +
                "\"dtype\":\"float32\",\"components\":[],\"licences\":[]}";
    }

    const std::string &describe() const override
    {
        return about;
    }

    mdl_plan plan(const mdl_params &p) override
    {
        check_params(p);
        return summarise(p, frames_of(p));
    }

    void run(const mdl_params &p) override
    {
        check_run_params(p);
        const Plan frames = frames_of(p);
        const mdl_plan summary = summarise(p, frames);
        if (vram > 0 && summary.device_bytes > vram)
            fail(MDL_ENOMEM, "this run needs %lld bytes on the device, the budget is %lld",
                 static_cast<long long>(summary.device_bytes), static_cast<long long>(vram));
        Run(options, p, summary, frames).all();
    }

  private:
    Plan frames_of(const mdl_params &p) const
    {
        Plan plan = plan_make(p.profile == MDL_PROFILE_REFERENCE ? Profile::reference : Profile::complete, p.frames,
                              options.segment, options.overlap);
        if (plan.segments.empty())
            fail(MDL_EINVAL, "profile reference needs at least %d frames, not %lld", options.segment,
                 static_cast<long long>(p.frames));
        return plan;
    }

    mdl_plan summarise(const mdl_params &p, const Plan &frames) const
    {
        mdl_plan out{};
        NetworkSize size{p.width, p.height};
        if (p.width == 0)
            size = p.profile == MDL_PROFILE_REFERENCE
                       ? NetworkSize{options.width, options.height}
                       : plan_network_size(p.input_width, p.input_height, options.width, options.height);
        out.width = size.width;
        out.height = size.height;
        out.segments = static_cast<int32_t>(frames.segments.size());
        out.segment_frames = options.segment;
        out.stride_frames = options.segment - options.overlap;
        out.output_frames = frames.output_frames;
        out.steps = p.steps ? p.steps : options.steps;
        out.host_bytes = int64_t(Size{size.width, size.height}.bytes()) * (options.segment + decode_frames);
        out.device_bytes = options.device_bytes;
        return out;
    }

    null::Options options;
    int64_t vram;
    std::string about;
};

} // namespace

std::unique_ptr<Backend> open_null(const std::string &dir, const mdl_options &o)
{
    return std::make_unique<Null>(dir, o);
}

} // namespace mdl
