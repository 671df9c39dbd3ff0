// peaks.cc - how much memory the networks hold at their peak besides their weights, next to what estimate.cc says.
// Counts what libtorch allocates for tensors; the resident set besides it shows what oneDNN and the heap add on a CPU.
//
//   build/tests/bench/peaks [bf16]       a line per network and size: counted, estimated, their ratio, resident
//
// Generated weights of smaller widths: the peak is a number of activations, and their sizes are known.
#include "longanimation/estimate.h"
#include "longanimation/lineart.h"
#include "longanimation/t5.h"
#include "parity/golden.h"
#include "video_xl/encoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>

namespace
{

// Knows how many bytes are out; a block's size stands in front of it.
class Counting : public c10::Allocator
{
  public:
    c10::DataPtr allocate(size_t size) override
    {
        auto *raw = static_cast<char *>(c10::alloc_cpu(size + front));
        std::memcpy(raw, &size, sizeof size);
        const int64_t now = live += static_cast<int64_t>(size);
        for (int64_t seen = peak; now > seen && !peak.compare_exchange_weak(seen, now);) {
        }
        return {raw + front, raw + front, release, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override
    {
        return release;
    }
    void copy_data(void *to, const void *from, size_t size) const override
    {
        std::memcpy(to, from, size);
    }

    static inline std::atomic<int64_t> live = 0, peak = 0;

  private:
    static constexpr size_t front = 64;

    static void release(void *data)
    {
        char *raw = static_cast<char *>(data) - front;
        size_t size;
        std::memcpy(&size, raw, sizeof size);
        live -= static_cast<int64_t>(size);
        c10::free_cpu(raw);
    }
};

// "VmRSS" or "VmHWM" of this process, bytes.
int64_t status(const char *name)
{
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.compare(0, std::strlen(name), name) == 0)
            return std::strtoll(line.c_str() + std::strlen(name) + 1, nullptr, 10) << 10;
    return 0;
}

void measured(const std::string &name, int64_t estimate, const std::function<at::Tensor()> &body)
{
    const int64_t before = Counting::live, resident = status("VmRSS");
    Counting::peak = before;
    std::ofstream("/proc/self/clear_refs") << 5; // forget the largest resident set
    body();
    const double counted = static_cast<double>(Counting::peak - before), mega = 1e6;
    std::printf("%-52s %9.1f MB  estimate %9.1f MB  %.2f  resident %9.1f MB\n", name.c_str(), counted / mega,
                static_cast<double>(estimate) / mega, counted / static_cast<double>(estimate),
                static_cast<double>(status("VmHWM") - resident) / mega);
    std::fflush(stdout);
}

struct Size {
    int64_t height, width;
};

class Peaks
{
  public:
    explicit Peaks(c10::ScalarType dtype) : dtype_(dtype)
    {
    }

    void transformer(Size size)
    {
        mdl::Shapes n = shapes();
        auto weights = fill_.weights(options());
        const mdl::Transformer net(n.transformer, weights);
        auto more = fill_.weights(options());
        n.memory = mdl::DglmConfig{
            .dim = 512, .output_dim = 512, .heads = 8, .dim_head = 64, .memory_dim = 64, .mapping_dims = {128}};
        const mdl::Dglm memory(n.memory, more);
        const int64_t frames = 22, h = size.height / 8, w = size.width / 8, tokens = frames / 2 * (h / 2) * (w / 2);
        const at::Tensor x = given("x", {2, frames, n.transformer.in_channels, h, w});
        const at::Tensor text =
            net.text_tokens(given("text", {2, n.transformer.max_text_tokens, n.transformer.text_dim}));
        const mdl::nn::Rope rope = net.rope(frames, h, w, at::kCPU);
        const mdl::StepConditioning all = net.condition(at::tensor({500}, at::kLong), at::full({1}, 2.0, to()));
        const at::Tensor z = given("z", {2, tokens, 512});
        const auto cache = memory.map(given("m", {1, 2, 3, 1000, 64}), {});
        const mdl::Settings s = settings(size);
        const int64_t estimate = mdl::estimate_work(manifest_, n, s, compute()).diffusion - fixed;
        const std::string at = " " + name(size) + ", " + std::to_string(tokens) + " tokens";
        measured("transformer" + at, estimate, [&] { return net.forward(x, text, all, rope, {z, 0.5}); });
        measured("memory module" + at, estimate, [&] { return memory.forward(cache, z); });
    }

    // Tiled: in tiles of half the size, with the whole picture that they are blended into.
    void vae(Size size, bool tiled)
    {
        mdl::Shapes n = shapes();
        if (tiled)
            n.vae.sample_height = size.height, n.vae.sample_width = size.width;
        auto weights = fill_.weights(options());
        const mdl::Vae vae(n.vae, weights);
        const int64_t frames = 17;
        mdl::Manifest m = manifest_;
        m.vae_tiling = tiled, m.segment_frames = frames;
        const mdl::WorkBytes work = mdl::estimate_work(m, n, settings(size), compute());
        const mdl::VaeTiling tiling = tiled ? mdl::VaeTiling::half_sample(n.vae) : mdl::VaeTiling{};
        const at::Tensor video = given("video", {1, 3, frames, size.height, size.width});
        const at::Tensor latents = given("latents", {1, 16, 5, size.height / 8, size.width / 8});
        const std::string at = name(size) + (tiled ? " in tiles" : "");
        measured("VAE encode " + at, work.encode - fixed, [&] { return vae.encode(video, tiling); });
        measured("VAE decode " + at, work.decode - fixed, [&] {
            vae.decode(latents, tiling, [](const at::Tensor &, int64_t) {});
            return at::Tensor();
        });
    }

    // A fifth of the released widths and of its layers; windows and frames as there.
    void recall(int64_t frames)
    {
        mdl::Shapes n = shapes();
        mdl::VideoXlConfig &v = n.video_encoder;
        v.vision.layers = 2;
        v.select_layer = -1;
        v.projector.out = 768;
        mdl::Qwen2BeaconConfig &l = v.language;
        l.vocab = 32, l.width = 768, l.heads = 6, l.kv_heads = 1, l.layers = 6, l.hidden = 3840;
        v.prompt = {std::vector<int64_t>(14, 1), std::vector<int64_t>(16, 2)};
        mdl::Manifest m = manifest_;
        m.video_encoder = "generated";
        m.memory_layers = {1, 3, 5};
        auto weights = fill_.weights(options());
        const mdl::VideoXl net(v, m.memory_layers, weights);
        mdl::Settings s = settings({96, 96});
        s.global_frames = s.plan.input_frames = frames;
        const at::Tensor tokens = given("tokens", {frames * v.tokens_per_frame(), l.width});
        const at::Tensor frame = fill_.image_u8("frame", {1, 96, 128, 3});
        const int64_t estimate = mdl::estimate_work(m, n, s, compute()).recall - fixed;
        measured("video encoder, " + std::to_string(frames) + " frames", estimate, [&] {
            net.visual_tokens(frame);
            mdl::BeaconMemory memory;
            net.language().text(memory, net.prefix());
            net.language().windows(memory, tokens, m.compression_ratio);
            net.language().text(memory, net.suffix());
            return net.language().stack(memory, m.memory_layers);
        });
    }

    void lines(Size size)
    {
        const mdl::Lineart net = mdl::Lineart::open("models/tiny_a/lineart", options()); // of the released widths
        const int64_t frames = 9;
        const at::Tensor video = fill_.image_u8("frames", {frames, 3, size.height, size.width});
        mdl::Settings colours = settings(size);
        colours.lineart_input = false;
        const int64_t estimate = mdl::estimate_work(manifest_, shapes(), colours, compute()).encode - fixed;
        measured("lines " + name(size), estimate, [&] { return net.forward(video); });
    }

    void text()
    {
        mdl::T5Config c;
        c.vocab = 100, c.width = 512, c.heads = 8, c.ff = 1280, c.layers = 2;
        auto weights = fill_.weights(options());
        const mdl::T5Encoder net(c, weights);
        mdl::Shapes n = shapes();
        n.transformer.text_dim = c.width;
        const int64_t estimate = mdl::estimate_work(manifest_, n, settings({96, 96}), compute()).text - fixed;
        measured("text encoder, 512 wide", estimate, [&] { return net(at::ones({1, 226}, at::kLong)); });
    }

  private:
    static constexpr int64_t fixed = int64_t{256} << 20;

    at::TensorOptions to() const
    {
        return at::TensorOptions().dtype(dtype_);
    }
    mdl::WeightOptions options() const
    {
        return {dtype_};
    }
    mdl::Compute compute() const
    {
        return {c10::Device(c10::DeviceType::CPU), dtype_, 0};
    }
    at::Tensor given(const char *label, at::IntArrayRef shape) const
    {
        return fill_.input(label, shape).to(dtype_);
    }
    static std::string name(Size size)
    {
        return std::to_string(size.width) + "x" + std::to_string(size.height);
    }

    mdl::Shapes shapes() const
    {
        mdl::Shapes n;
        mdl::DitConfig &c = n.transformer;
        c.heads = 8, c.layers = 2, c.in_channels = 32, c.patch_t = 2, c.ofs_dim = 512, c.rotary = true,
        c.text_dim = 512;
        n.sketch_dit = c;
        n.vae.channels = {32, 64, 64, 128};
        return n;
    }

    mdl::Settings settings(Size size) const
    {
        mdl::Settings s;
        s.size = {static_cast<int32_t>(size.width), static_cast<int32_t>(size.height)};
        s.steps = 1;
        s.guidance_scale = 6;
        return s;
    }

    c10::ScalarType dtype_;
    mdl::Manifest manifest_;
    mdl::Fill fill_{std::string()};
};

} // namespace

int main(int argc, char **argv)
{
    static Counting counting;
    c10::SetCPUAllocator(&counting, 100);
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    const bool bf16 = argc > 1 && !std::strcmp(argv[1], "bf16");
    std::printf("%s\n", bf16 ? "bfloat16" : "float32");
    Peaks peaks(bf16 ? at::kBFloat16 : at::kFloat);
    for (Size size : {Size{192, 256}, Size{320, 512}})
        peaks.transformer(size);
    for (Size size : {Size{96, 128}, Size{192, 256}})
        peaks.vae(size, false);
    peaks.vae({192, 320}, true);
    for (int64_t frames : {20, 80})
        peaks.recall(frames);
    for (Size size : {Size{192, 256}, Size{320, 512}})
        peaks.lines(size);
    peaks.text();
    return 0;
}
