// estimate.cc - see estimate.h.
#include "longanimation/estimate.h"

#include "video_xl/shot_memory.h"

#include <algorithm>

namespace mdl
{
namespace
{

// Live values at the peak, in units of the largest activation of one kind; tests/bench/peaks.cc measures them.
constexpr int64_t token_copies = 15; // of tokens x width: 11 in a block, 13 with oneDNN's own, and the control tensor
constexpr int64_t fast_copies = 4;   // further ones that speed "fast" keeps: residuals and tail
constexpr int64_t encode_copies = 9; // of one temporal slice at full size and the finest level's width
constexpr int64_t decode_copies = 14;
constexpr int64_t line_copies = 4;                      // of the line network's widest feature map
constexpr int64_t line_width = 64;                      // its channels
constexpr int64_t line_elements_max = int64_t{1} << 26; // of that map, for as many frames as it does at once
constexpr int64_t text_copies = 18;                     // of tokens x width
constexpr int64_t memory_copies = 2;                    // of all layers' keys and values: kept, and growing
constexpr int64_t float_copies = 5;   // of a layer's queries and keys while they are rotated, in float32
constexpr int64_t row_copies = 5;     // of a window's rows x width
constexpr int64_t vision_copies = 12; // of patches x width
constexpr int64_t slice_frames = 9;   // pixel frames of the longest temporal slice
constexpr int64_t fixed_bytes = int64_t{256} << 20;

int64_t element(const Compute &c)
{
    return static_cast<int64_t>(c10::elementSize(c.dtype));
}

int64_t diffusion_work(const Shapes &n, const Settings &s, const Compute &c, int64_t latent_frames)
{
    const int64_t side = n.vae.spatial_ratio() * n.transformer.patch;
    const int64_t tokens =
        latent_frames / 2 * (s.size.height / side) * (s.size.width / side) + n.transformer.max_text_tokens;
    const int64_t rows = s.guided() ? 2 : 1;
    const int64_t modulations = s.steps * n.transformer.width() * 12 * (n.transformer.layers + n.sketch_dit.layers);
    const int64_t copies = token_copies + (s.fast ? fast_copies : 0);
    return (rows * tokens * n.transformer.width() * copies + modulations) * element(c) + fixed_bytes;
}

// One temporal slice of one tile, and the whole video that tiles are blended into.
int64_t vae_work(const Manifest &m, const Shapes &n, const Settings &s, const Compute &c, int64_t copies)
{
    int64_t height = s.size.height, width = s.size.width, whole = 0;
    if (m.vae_tiling) {
        const VaeTiling tiling = VaeTiling::half_sample(n.vae);
        height = std::min(height, tiling.tile_height);
        width = std::min(width, tiling.tile_width);
        whole = int64_t{m.segment_frames} * s.size.height * s.size.width * 3 * 3;
    }
    return (slice_frames * height * width * n.vae.channels.front() * copies + whole) * element(c) + fixed_bytes;
}

int64_t line_work(const Settings &s, const Compute &c)
{
    const int64_t frame = line_width * s.size.height * s.size.width;
    const int64_t at_once = s.lineart_input ? frame : std::max(frame, line_elements_max); // else the reference alone
    return at_once * line_copies * element(c) + fixed_bytes;
}

// The longest window of visual tokens with its summaries, over the memory of all frames before it. Scores are counted
// though the fast kernels hold none.
int64_t recall_work(const Manifest &m, const Shapes &n, const Settings &s, const Compute &c)
{
    const VideoXlConfig &v = n.video_encoder;
    const Qwen2BeaconConfig &l = v.language;
    const int64_t visual = std::min(s.global_frames, s.plan.input_frames) * v.tokens_per_frame();
    const int64_t text = static_cast<int64_t>(v.prompt.prefix.size() + v.prompt.suffix.size());
    const int64_t shown = std::min(visual, l.window), rows = shown + shown / m.compression_ratio;
    const int64_t kept = text + visual / m.compression_ratio, all = kept + rows, queries = l.heads * l.head_dim;
    const int64_t layers = *std::max_element(m.memory_layers.begin(), m.memory_layers.end()) + 1;
    const int64_t memory = memory_copies * 2 * layers * kept * l.kv_width() + row_copies * rows * l.width;
    const int64_t attention = (l.heads + 2) * rows * all + 2 * all * queries + 3 * rows * queries;
    const int64_t rotated = float_copies * (rows * queries + all * l.kv_width()) * 4;
    const int64_t patches = VideoXl::frames_per_call(c.device) * (v.vision.grid() * v.vision.grid() + 1);
    const int64_t vision = patches * (vision_copies * v.vision.width + 2 * v.vision.hidden);
    const int64_t others = std::max(2 * rows * l.hidden, vision);
    return memory * element(c) + std::max(attention * element(c) + rotated, others * element(c)) + fixed_bytes;
}

bool remembers(const Manifest &m, const Settings &s)
{
    return !m.video_encoder.empty() && (s.global_memory || s.local_memory);
}

// Of all frames, kept for the segments to come; the rest of them goes into a file.
int64_t host_tokens(const Manifest &m, const Shapes &n, const Settings &s, const Compute &c)
{
    const int64_t frame = n.video_encoder.tokens_per_frame() * n.video_encoder.language.width * element(c);
    return remembers(m, s) ? std::min(s.plan.input_frames * frame, ShotMemoryConfig{}.token_bytes) : 0;
}

int64_t host_frames(const Manifest &m, const Settings &s)
{
    const int64_t frame = int64_t{s.size.height} * s.size.width * 3;
    return frame * m.segment_frames * 3; // the window, the decoded segment, what is being delivered
}

} // namespace

WorkBytes estimate_work(const Manifest &m, const Shapes &n, const Settings &s, const Compute &c)
{
    const int64_t latent_frames = plan_latent_frames(m.segment_frames) + 1;
    WorkBytes w;
    w.text = n.transformer.max_text_tokens * n.transformer.text_dim * text_copies * element(c) + fixed_bytes;
    w.recall = m.video_encoder.empty() ? fixed_bytes : recall_work(m, n, s, c);
    w.decode = vae_work(m, n, s, c, decode_copies);
    w.encode = std::max(vae_work(m, n, s, c, encode_copies), line_work(s, c));
    w.diffusion = diffusion_work(n, s, c, latent_frames);
    return w;
}

std::vector<PhaseBytes> estimate_phases(const Manifest &m, const std::vector<PartInfo> &parts, const Shapes &n,
                                        const Settings &s, const Compute &c)
{
    const auto bytes = [&](Part p) { return parts[static_cast<size_t>(p)].bytes(c.dtype); };
    const bool memory = remembers(m, s);
    const WorkBytes w = estimate_work(m, n, s, c);
    std::vector<PhaseBytes> phases = {{"text", bytes(Part::text_encoder), w.text}};
    if (memory)
        phases.push_back({"recall", bytes(Part::video_encoder), w.recall});
    phases.push_back({"encode", bytes(Part::lineart) + bytes(Part::vae), w.encode});
    phases.push_back({"diffusion",
                      bytes(Part::transformer) + bytes(Part::sketch_dit) + (memory ? bytes(Part::memory) : 0),
                      w.diffusion});
    phases.push_back({"decode", bytes(Part::vae), w.decode});
    return phases;
}

RunBytes estimate_run(const Manifest &m, const std::vector<PartInfo> &parts, const Shapes &n, const Settings &s,
                      const Compute &c)
{
    int64_t largest = 0, work = 0, all = 0;
    for (const PhaseBytes &phase : estimate_phases(m, parts, n, s, c)) {
        largest = std::max(largest, phase.weights + phase.work);
        work = std::max(work, phase.work);
        all += phase.name == std::string("decode") ? 0 : phase.weights; // the VAE counts once
    }
    RunBytes run;
    const int64_t peak = c.budget_bytes > 0 && all + work > c.budget_bytes ? largest : all + work;
    run.fits = c.budget_bytes == 0 || largest <= c.budget_bytes;
    run.device = c.cuda() ? peak : 0;
    run.host = host_frames(m, s) + host_tokens(m, n, s, c) + (c.cuda() ? fixed_bytes : peak);
    return run;
}

} // namespace mdl
