// memory.cc - what LongAnimation's own parts cost at the released sizes, on generated weights: resampling, lines, and
// the video memory (one vision layer and one language layer; a frame and a window cost that times the layers).
//
//   build/tests/bench/memory [bf16]        a line per part: name, seconds of the best of three
#include "longanimation/lineart.h"
#include "longanimation/resample.h"
#include "parity/golden.h"
#include "video_xl/encoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>

namespace
{

constexpr int64_t height = 576, width = 1024;

void timed(const char *name, const std::function<at::Tensor()> &body)
{
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        const auto start = std::chrono::steady_clock::now();
        body();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::printf("%-44s %9.4f\n", name, best);
    std::fflush(stdout);
}

mdl::Weights random_weights(c10::ScalarType dtype)
{
    return mdl::Weights::generated_on_demand(
        [](const std::string &, const mdl::Weights::Shape &shape) { return at::rand(shape).sub_(0.5).mul_(0.05); },
        {dtype});
}

void resampling()
{
    const mdl::Fill fill("");
    const at::Tensor frames = fill.image_u8("frames", {1, 3, 1080, 1920});
    const at::Tensor image = fill.image_u8("image", {1, 1080, 1920, 3});
    const at::Tensor shown = fill.image_u8("shown", {8, height, width, 3});
    timed("frame 1920x1080 -> 1024x576", [&] { return mdl::resize_and_crop_frames(frames, height, width); });
    timed("reference 1920x1080 -> 1024x576",
          [&] { return mdl::pillow_resize(image, height, width, mdl::PillowFilter::lanczos); });
    const mdl::ClipPreprocess clip;
    timed("8 frames 1024x576 -> 336x336 for CLIP", [&] { return mdl::clip_crop(clip, shown); });
}

void lines(c10::ScalarType dtype)
{
    mdl::Weights w = random_weights(dtype);
    const mdl::Lineart network(w);
    const at::Tensor frame = mdl::Fill("").image_u8("frame", {1, 3, height, width});
    timed("lines of a frame 1024x576", [&] { return network.forward(frame); });
}

void vision(c10::ScalarType dtype)
{
    mdl::Weights w = random_weights(dtype);
    const mdl::ClipVisionConfig config;
    const mdl::ClipVision one(config, w, "", 1);
    const at::Tensor pixels = at::rand({1, 3, 336, 336});
    timed("vision layer, a frame (x 23)", [&] { return one.forward(pixels); });
}

void language(c10::ScalarType dtype)
{
    mdl::Weights w = random_weights(dtype);
    const mdl::Qwen2BeaconConfig config;
    const mdl::Qwen2Beacon one(config, w, "", 1, true);
    const at::Tensor window = at::rand({config.window, config.width}).to(dtype);
    for (int64_t rows : {14, 2500, 11700}) {
        mdl::BeaconMemory memory;
        const at::Tensor kv = at::rand({1, config.kv_heads, rows, config.head_dim}).to(dtype);
        memory.keys = memory.values = {kv};
        const std::string name = "language layer, a window over " + std::to_string(rows) + " rows (x 27)";
        timed(name.c_str(), [&] {
            mdl::BeaconMemory copy = memory;
            one.window(copy, window, 8);
            return copy.keys[0];
        });
    }
}

} // namespace

int main(int argc, char **argv)
{
    const c10::InferenceMode inference;
    const bool bf16 = argc > 1 && !std::strcmp(argv[1], "bf16");
    std::printf("%d threads, %s\n", at::get_num_threads(), bf16 ? "bfloat16" : "float32");
    resampling();
    lines(bf16 ? at::kBFloat16 : at::kFloat);
    vision(bf16 ? at::kBFloat16 : at::kFloat);
    language(bf16 ? at::kBFloat16 : at::kFloat);
    return 0;
}
