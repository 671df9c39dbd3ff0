// networks.cc - one step of the transformer, one encode and decode of the VAE, on generated weights. Does what standard
// input says, a word a line, and answers with seconds and a checksum, so that tools/bench can run a peer in turn:
//   transformer | encode | decode | segment
// A segment is what one segment of a shot asks of the networks: lines and reference encoded, SketchDiT and transformer
// for every step with guidance, the latents decoded. Noise is one tensor that is the same every time.
#include "longanimation/scheduler.h"
#include "longanimation/sketch_dit.h"
#include "longanimation/transformer.h"
#include "longanimation/vae.h"
#include "nn/host_memory.h"
#include "parity/golden.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <ctime>
#include <cstdio>
#include <iostream>

namespace
{

using mdl::Json;

double processor_seconds()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void timed(const std::function<at::Tensor()> &body)
{
    const auto start = std::chrono::steady_clock::now();
    const double processor = processor_seconds();
    const at::Tensor out = body();
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    std::printf("%.6f %.6f %.9g\n", wall.count(), processor_seconds() - processor, out.abs().mean().item<double>());
    std::fflush(stdout);
}

class SegmentBench
{
  public:
    SegmentBench(const Json &setup, const mdl::Fill &fill)
        : weights_(fill.weights({})), vae_(mdl::VaeConfig::parse(setup["vae"]), weights_),
          net_(mdl::DitConfig::parse(setup["transformer"]), weights_),
          sketch_(mdl::DitConfig::parse(setup["sketch_dit"]), weights_),
          scheduler_(mdl::SchedulerConfig::parse(setup["scheduler"]), setup["steps"])
    {
        const int64_t frames = setup["frames"], height = setup["height"], width = setup["width"];
        const int64_t channels = vae_.config().latent_channels, ratio = vae_.config().spatial_ratio();
        const auto &c = net_.config();
        lines_ = fill.input("lines", {1, 3, frames, height, width}, 0.5);
        picture_ = fill.input("picture", {1, 3, 1, height, width}, 0.5);
        text_ = fill.input("text", {2, c.max_text_tokens, c.text_dim});
        noise_ = fill.input("noise", {1, vae_.latents_of(frames) + 1, channels, height / ratio, width / ratio});
    }

    at::Tensor run() const
    {
        const at::Tensor first = mean_of(vae_.encode(picture_)), image = at::zeros_like(noise_);
        image.narrow(1, 0, 1).copy_(first);
        const at::Tensor sketch = at::cat({at::cat({first, mean_of(vae_.encode(lines_))}, 1), image}, 2);
        const at::Tensor t = at::tensor(scheduler_.timesteps(), at::kLong), ofs = at::full({1}, 2.0);
        const mdl::StepConditioning steps = net_.condition(t, ofs), sketch_steps = sketch_.condition(t, ofs);
        const at::Tensor text = net_.text_tokens(text_), sketch_text = sketch_.text_tokens(text_);
        const auto rope = net_.rope(noise_.size(1), noise_.size(3), noise_.size(4), at::kCPU);
        at::Tensor x = noise_, last;
        for (int64_t i = 0; i < steps.rows(); i++) {
            const at::Tensor z = sketch_.forward(twice(sketch), sketch_text, sketch_steps.row(i), rope);
            const at::Tensor v = net_.forward(twice(at::cat({x, image}, 2)), text, steps.row(i), rope,
                                              {z, 0.5, mdl::Injection::skip_layer});
            const at::Tensor guided = v.narrow(0, 0, 1) + (v.narrow(0, 1, 1) - v.narrow(0, 0, 1)) * 6.0;
            const auto step = scheduler_.dpm(i, guided, x, last, [this] { return noise_; });
            x = step.sample.to(at::kFloat), last = step.x0;
        }
        return vae_.decode(x.narrow(1, 1, x.size(1) - 1).transpose(1, 2) / vae_.config().scaling_factor);
    }

  private:
    static at::Tensor mean_of(const at::Tensor &moments)
    {
        return mdl::vae_sample(moments, {}).transpose(1, 2);
    }
    static at::Tensor twice(const at::Tensor &x)
    {
        return x.expand({2, -1, -1, -1, -1});
    }

    mdl::Weights weights_;
    const mdl::Vae vae_;
    const mdl::Transformer net_;
    const mdl::SketchDit sketch_;
    const mdl::Scheduler scheduler_;
    at::Tensor lines_, picture_, text_, noise_;
};

class Bench
{
  public:
    explicit Bench(const Json &setup) : setup_(setup), fill_(std::string())
    {
    }

    void run(const std::string &what)
    {
        if (what == "transformer")
            timed([this] { return transformer(); });
        else if (what == "encode")
            timed([this] { return vae().encode(video_); });
        else if (what == "decode")
            timed([this] { return vae().decode(latents_); });
        else if (what == "segment")
            timed([this] { return segment_->run(); });
    }

    void prepare(const std::string &what)
    {
        if (what == "segment") {
            segment_ = std::make_unique<SegmentBench>(setup_["segment"], fill_);
        } else if (what == "transformer") {
            const Json &x = setup_["transformer_input"];
            auto weights = fill_.weights({});
            net_ = std::make_unique<mdl::Transformer>(mdl::DitConfig::parse(setup_["transformer"]), weights);
            const auto &c = net_->config();
            const int64_t frames = x["frames"], height = x["height"], width = x["width"];
            x_ = fill_.input("hidden_states", {2, frames, c.in_channels, height, width});
            text_ = net_->text_tokens(fill_.input("encoder_hidden_states", {2, c.max_text_tokens, c.text_dim}));
            rope_ = net_->rope(frames, height, width, at::kCPU);
        } else {
            const Json &x = setup_["vae_input"];
            auto weights = fill_.weights({});
            vae_ = std::make_unique<mdl::Vae>(mdl::VaeConfig::parse(setup_["vae"]), weights);
            const auto &c = vae_->config();
            const int64_t frames = x["frames"], height = x["height"], width = x["width"], ratio = c.spatial_ratio();
            video_ = fill_.input("video", {1, c.in_channels, frames, height, width}, 0.5);
            latents_ =
                fill_.input("latents", {1, c.latent_channels, vae_->latents_of(frames), height / ratio, width / ratio});
        }
    }

  private:
    at::Tensor transformer() const
    {
        const at::Tensor ofs = net_->config().ofs_dim ? at::full({1}, 2.0) : at::Tensor();
        return net_->forward(x_, text_, net_->condition(at::full({1}, 500, at::kLong), ofs), rope_);
    }

    const mdl::Vae &vae() const
    {
        return *vae_;
    }

    const Json &setup_;
    const mdl::Fill fill_;
    std::unique_ptr<mdl::Transformer> net_;
    std::unique_ptr<mdl::Vae> vae_;
    std::unique_ptr<SegmentBench> segment_;
    at::Tensor x_, text_, video_, latents_;
    mdl::nn::Rope rope_;
};

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(
            stderr,
            "usage: networks SETUP.json transformer|encode|decode|segment THREADS  (a line on stdin = a run)\n");
        return 2;
    }
    at::set_num_threads(std::atoi(argv[3]));
    mdl::nn::host_memory_keep(); // as the library does
    const c10::InferenceMode inference;
    const Json setup = mdl::json_read(argv[1]);
    Bench bench(setup);
    bench.prepare(argv[2]);
    for (std::string line; std::getline(std::cin, line);)
        bench.run(argv[2]);
    return 0;
}
