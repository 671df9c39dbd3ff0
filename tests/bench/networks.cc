// networks.cc - one step of the transformer, one encode and decode of the VAE, on generated weights. Does what standard
// input says, a word a line, and answers with seconds and a checksum, so that tools/bench can run a peer in turn:
//   transformer | encode | decode
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
    }

    void prepare(const std::string &what)
    {
        if (what == "transformer") {
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
    at::Tensor x_, text_, video_, latents_;
    mdl::nn::Rope rope_;
};

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr,
                     "usage: networks SETUP.json transformer|encode|decode THREADS  (a line on stdin = a run)\n");
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
