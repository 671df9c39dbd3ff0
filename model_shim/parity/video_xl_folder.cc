// video_xl_folder.cc - parity of a whole video encoder folder: raw frames in, memory tensors out.
#include "io/safetensors.h"
#include "parity/golden.h"
#include "parity/kinds.h"
#include "video_xl/encoder.h"
#include "video_xl/shot_memory.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace mdl
{

namespace
{

constexpr double pixels_tolerance = 1e-6, features_tolerance = 2e-5, tokens_tolerance = 1e-5;
constexpr double memory_tolerance = 5e-5, memory_from_frames_tolerance = 1e-4;

double max_difference(const at::Tensor &a, const at::Tensor &b)
{
    if (a.sizes() != b.sizes())
        return HUGE_VAL;
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class Folder
{
  public:
    Folder(const std::string &folder, Report &report)
        : run_(json_read(folder + "/expected/run.json")), folder_(folder), report_(report),
          net_(VideoXl::open(folder, layers(), {report.options.dtype, report.options.device}))
    {
    }

    void check() const
    {
        const VideoXlConfig &c = net_.config();
        report_.same("prompt", c.prompt.prefix == json_shape(json_need(run_, "prefix_ids")) &&
                                   c.prompt.suffix == json_shape(json_need(run_, "suffix_ids")));
        report_.same("tokens_per_frame", c.tokens_per_frame() == json_int(run_, "tokens_per_frame", -1));
        check_stages();
        check_windows("windows", json_int(run_, "frames", 0));
        check_windows("local_windows", json_int(run_, "local_frames", 0));
        check_memory();
        check_growing();
    }

  private:
    std::vector<int64_t> layers() const
    {
        return json_has(run_, "memory_layers") ? json_shape(run_["memory_layers"]) : std::vector<int64_t>();
    }
    at::Tensor expected(const std::string &name) const
    {
        return Safetensors::open(folder_ + "/expected/" + name + ".safetensors")->tensor(name);
    }
    ShotMemoryConfig memory_config() const
    {
        ShotMemoryConfig c;
        c.ratio = json_int(run_, "compression_ratio", c.ratio, 1);
        c.local_frames = json_int(run_, "local_frames", c.local_frames, 1);
        return c;
    }
    void near(const std::string &name, const at::Tensor &actual, const at::Tensor &wanted, double tolerance) const
    {
        report_.within(name, max_difference(actual.cpu(), wanted), tolerance);
    }

    // Each stage from the stored output of the one before.
    void check_stages() const
    {
        const at::Tensor frames = expected("frames"), pixels = expected("pixel_values"),
                         features = expected("features");
        const at::Tensor tokens = expected("visual_tokens"), memory = expected("memory");
        const auto on_device = [&](const at::Tensor &t) { return t.to(net_.prefix().options()); };
        near("pixel_values", clip_pixels(net_.config().preprocess, clip_crop(net_.config().preprocess, frames)), pixels,
             pixels_tolerance);
        near("features", net_.vision().forward(on_device(pixels)), features, features_tolerance);
        near("visual_tokens", net_.projector().pool(net_.projector().project(on_device(features))), tokens,
             tokens_tolerance);
        BeaconMemory m;
        net_.language().text(m, net_.prefix());
        net_.language().windows(m, on_device(tokens), memory_config().ratio);
        net_.language().text(m, net_.suffix());
        near("memory_from_tokens", net_.language().stack(m, net_.memory_layers()), memory, memory_tolerance);
    }

    void check_windows(const char *key, int64_t frames) const
    {
        if (!json_has(run_, key))
            return;
        const VideoXlConfig &c = net_.config();
        const auto walk =
            beacon_steps(static_cast<int64_t>(c.prompt.prefix.size()), frames * c.tokens_per_frame(),
                         static_cast<int64_t>(c.prompt.suffix.size()), c.language.window, memory_config().ratio);
        const Json &table = run_[key];
        bool same = table.size() == walk.size();
        for (size_t i = 0; same && i < walk.size(); i++)
            same = json_shape(table[i]) == std::vector<int64_t>{walk[i].tokens, walk[i].summaries, walk[i].memory_rows};
        report_.same(key, same);
    }

    void check_memory() const
    {
        ShotMemory shot(memory_config());
        shot.append(net_, expected("frames"));
        near("memory", shot.global(net_), expected("memory"), memory_from_frames_tolerance);
        near("memory_local", shot.local(net_), expected("memory_local"), memory_from_frames_tolerance);
    }

    // Shown frame by frame, asking in between: the same as all at once.
    void check_growing() const
    {
        const at::Tensor frames = expected("frames");
        ShotMemory grown(memory_config()), fresh(memory_config());
        for (int64_t f = 0; f < frames.size(0); f++) {
            grown.append(net_, frames.narrow(0, f, 1));
            grown.global(net_);
        }
        fresh.append(net_, frames);
        report_.within("memory_grown", max_difference(grown.global(net_), fresh.global(net_)), 0);
        report_.within("memory_local_grown", max_difference(grown.local(net_), fresh.local(net_)), 0);
    }

    const Json run_;
    const std::string folder_;
    Report &report_;
    const VideoXl net_;
};

} // namespace

void parity_video_xl_folder(const std::string &folder, Report &report)
{
    Folder(folder, report).check();
}

} // namespace mdl
