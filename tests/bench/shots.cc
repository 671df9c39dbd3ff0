// shots.cc - whole shots through the pipeline of a model folder: what a frame costs in a short and in a long shot, and
// what speed "fast" saves and changes.
//
//   build/tests/bench/shots [MODEL [STEPS [THREADS [speed]]]]      models/tiny_a, 2 steps for lengths and 50 for speed,
//   1 thread; with "speed" only that part
//
// The shot is drawn: a dark disc with an outline that crosses a white picture. models/tiny_a has random weights: its
// figures say what the arithmetic costs and how far "fast" is from "exact" there, not how good a picture is.
#include "backend.h"
#include "error.h"
#include "io/identity.h"
#include "longanimation/components.h"
#include "longanimation/describe.h"
#include "longanimation/pipeline.h"
#include "nn/host_memory.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace
{

constexpr int32_t width = 96, height = 64;

double processor_seconds()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

int draw(void *, int64_t index, uint8_t *rgb)
{
    const double cx = 20 + 0.4 * static_cast<double>(index % 140),
                 cy = 32 + 10 * std::sin(0.1 * static_cast<double>(index));
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            const double r = std::hypot(x - cx, y - cy);
            const uint8_t value = r > 11 && r < 13 ? 0 : 255;
            uint8_t *pixel = rgb + (y * width + x) * 3;
            pixel[0] = pixel[1] = pixel[2] = value;
        }
    return 0;
}

struct Result {
    std::vector<uint8_t> frames;
    int64_t count = 0, segments = 0, blocks = 0;
    double wall = 0, processor = 0;
};

int keep(void *user, const uint8_t *rgb, int64_t, int32_t n, int32_t w, int32_t h)
{
    auto *r = static_cast<Result *>(user);
    r->frames.insert(r->frames.end(), rgb,
                     rgb + static_cast<size_t>(n) * static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
    r->count += n;
    return 0;
}

int count_segment(void *user, const mdl_segment *)
{
    static_cast<Result *>(user)->segments++;
    return 0;
}

class Bench
{
  public:
    explicit Bench(const std::string &folder)
        : manifest_(mdl::manifest_read(folder)), components_(manifest_, compute_),
          id_(mdl::model_identity(manifest_, components_.parts()).whole)
    {
        for (size_t i = 0; i < reference_.size(); i++)
            reference_[i] = static_cast<uint8_t>(i * 37 % 251);
    }

    Result run(int64_t frames, int32_t steps, int32_t speed, double threshold = 0, bool count_blocks = false)
    {
        Result r;
        const mdl_image image{reference_.data(), 8, 8};
        mdl_params p{};
        mdl_params_init(&p, sizeof p);
        p.input_width = width, p.input_height = height;
        p.frames = frames;
        p.steps = steps;
        p.speed = speed;
        p.seed = 7;
        p.references = &image, p.reference_count = 1;
        p.on_source = draw, p.on_frames = keep, p.on_segment = count_segment, p.user = &r;
        mdl::RunHooks hooks;
        if (count_blocks) // not while the time counts: a look inside costs some
            hooks.tap = [&r](int32_t, const std::string &name, const at::Tensor &t) {
                if (name == "blocks_run")
                    r.blocks += t.item<int64_t>();
            };
        mdl::Settings s = mdl::settings_make(manifest_, p);
        if (threshold > 0)
            s.fast_threshold = threshold;
        const auto start = std::chrono::steady_clock::now();
        const double processor = processor_seconds();
        mdl::pipeline_run(manifest_, components_, compute_, s, p, id_, hooks);
        r.processor = processor_seconds() - processor;
        r.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return r;
    }

    int64_t layers() const
    {
        return components_.shapes().transformer.layers;
    }

  private:
    mdl::Compute compute_{c10::Device(c10::DeviceType::CPU), c10::ScalarType::Float, 0};
    mdl::Manifest manifest_;
    mdl::Components components_;
    std::string id_;
    std::vector<uint8_t> reference_ = std::vector<uint8_t>(8 * 8 * 3);
};

double psnr(const std::vector<uint8_t> &a, const std::vector<uint8_t> &b)
{
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++)
        sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    return sum == 0 ? INFINITY : 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.size()) / sum);
}

void lengths(Bench &bench, int32_t steps)
{
    bench.run(25, steps, MDL_SPEED_EXACT); // warms up
    double first = 0, first_segment = 0;
    for (int64_t frames : {146, 500}) {
        Result best;
        for (int i = 0; i < 2; i++)
            if (Result r = bench.run(frames, steps, MDL_SPEED_EXACT); i == 0 || r.processor < best.processor)
                best = std::move(r);
        const double frame = best.processor / static_cast<double>(frames);
        const double segment = best.processor / static_cast<double>(best.segments);
        first = first == 0 ? frame : first, first_segment = first_segment == 0 ? segment : first_segment;
        std::printf("%lld frames in %lld segments, %d steps: %.2f s, processor %.2f s; a frame %.2f ms (x %.3f), a "
                    "segment %.1f ms (x %.3f)\n",
                    static_cast<long long>(frames), static_cast<long long>(best.segments), steps, best.wall,
                    best.processor, frame * 1e3, frame / first, segment * 1e3, segment / first_segment);
        std::fflush(stdout);
    }
}

void speeds(Bench &bench, int32_t steps)
{
    const Result exact = bench.run(34, steps, MDL_SPEED_EXACT);
    const int64_t all = exact.segments * steps * bench.layers();
    for (double threshold : {0.0, 0.3, 1.0, 10.0}) { // 0: the model's
        const Result fast = bench.run(34, steps, MDL_SPEED_FAST, threshold);
        const int64_t run = bench.run(34, steps, MDL_SPEED_FAST, threshold, true).blocks;
        std::printf(
            "fast, threshold %s, %d steps: %lld of %lld blocks run, processor %.2f s of %.2f s (x %.3f), PSNR to "
            "exact %.1f dB\n",
            threshold > 0 ? std::to_string(threshold).c_str() : "of the model", steps, static_cast<long long>(run),
            static_cast<long long>(all), fast.processor, exact.processor, fast.processor / exact.processor,
            psnr(exact.frames, fast.frames));
        std::fflush(stdout);
    }
}

} // namespace

int main(int argc, char **argv)
{
    const c10::InferenceMode inference;
    at::set_num_threads(argc > 3 ? std::atoi(argv[3]) : 1);
    mdl::nn::host_memory_keep();
    const std::string folder = argc > 1 ? argv[1] : "models/tiny_a";
    const int steps = argc > 2 ? std::atoi(argv[2]) : 0;
    try {
        Bench bench(folder);
        std::printf("%s, %d threads, float32\n", folder.c_str(), at::get_num_threads());
        if (argc < 5)
            lengths(bench, steps ? steps : 2);
        speeds(bench, steps ? steps : 50);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
    return 0;
}
