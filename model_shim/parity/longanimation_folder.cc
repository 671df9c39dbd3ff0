// longanimation_folder.cc - a model folder with expected/: the whole pipeline in profile reference, with the stored
// random numbers, and every tensor on the way compared. A second run starts from the stored line art instead of colour
// frames.
#include "error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "longanimation/components.h"
#include "longanimation/manifest.h"
#include "longanimation/noise.h"
#include "longanimation/pipeline.h"
#include "longanimation/settings.h"
#include "parity/kinds.h"
#include "parity/parity.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <fnmatch.h>
#include <limits>
#include <map>
#include <set>

namespace fs = std::filesystem;

namespace mdl
{
namespace
{

constexpr double generator_tolerance = 1e-5; // last bits of a normal draw depend on the processor's vector units

struct Tolerance {
    double value = 1e-4;
    double share = 1; // of values that may differ at all
};

// The stored side: files of tensors, and how near one has to come.
class Expected
{
  public:
    explicit Expected(const std::string &folder) : run_(json_read(folder + "/run.json"))
    {
        std::vector<fs::path> paths;
        for (const auto &entry : fs::directory_iterator(folder))
            if (entry.path().extension() == ".safetensors")
                paths.push_back(entry.path());
        for (const fs::path &path : paths)
            files_[path.stem()] = Safetensors::open(path);
    }

    const Json &run() const
    {
        return run_;
    }
    bool has(const std::string &file, const std::string &name) const
    {
        const auto found = files_.find(file);
        return found != files_.end() && found->second->entries().count(name) > 0;
    }
    at::Tensor get(const std::string &file, const std::string &name) const
    {
        if (!has(file, name))
            fail(MDL_EWEIGHTS, "expected/%s.safetensors has no %s", file.c_str(), name.c_str());
        return files_.at(file)->tensor(name);
    }
    std::set<std::string> names(const std::string &file) const
    {
        std::set<std::string> names;
        if (const auto found = files_.find(file); found != files_.end())
            for (const auto &[name, entry] : found->second->entries())
                names.insert(name);
        return names;
    }
    Tolerance tolerance(const std::string &name) const
    {
        Tolerance t;
        if (!json_has(run_, "tolerances"))
            return t;
        for (const Json &row : run_["tolerances"])
            for (const Json &pattern : json_need(row, "tensors"))
                if (fnmatch(pattern.get<std::string>().c_str(), name.c_str(), 0) == 0) {
                    t.value = json_double(row, "tolerance", t.value);
                    t.share = json_double(row, "largest_share_of_different_values", 1);
                    return t;
                }
        return t;
    }

  private:
    Json run_;
    std::map<std::string, std::shared_ptr<const Safetensors>> files_;
};

void compare(Report &report, const std::string &name, const at::Tensor &expected, const at::Tensor &given,
             const Tolerance &tolerance)
{
    const at::Tensor actual = given.cpu();
    if (actual.sizes() != expected.sizes())
        return report.within(name, std::numeric_limits<double>::infinity(), tolerance.value,
                             c10::str("shape ", actual.sizes(), ", not ", expected.sizes()));
    if (expected.numel() == 0)
        return report.same(name, true);
    const at::Tensor difference = (actual.to(at::kDouble) - expected.to(at::kDouble)).abs();
    const double largest = difference.max().item<double>();
    report.within(name, std::isfinite(largest) ? largest : std::numeric_limits<double>::infinity(), tolerance.value);
    if (tolerance.share < 1)
        report.within(name + "/share_of_different_values", (difference > 0).to(at::kDouble).mean().item<double>(),
                      tolerance.share);
}

class StoredNoise : public Noise
{
  public:
    StoredNoise(const Expected &e, const Compute &c) : expected_(e), compute_(c)
    {
    }
    void begin_segment() override
    {
    }
    at::Tensor sketch(const std::string &name, at::IntArrayRef shape) override
    {
        const at::Tensor stored = expected_.get("noise", name);
        if (stored.sizes() != shape)
            fail(MDL_EWEIGHTS, "the stored noise %s has another shape than the run draws", name.c_str());
        return stored.to(compute_.device, compute_.dtype);
    }
    at::Tensor main(const std::string &name, at::IntArrayRef shape) override
    {
        // Thrown away by the scheduler: a folder may leave it out.
        if (!expected_.has("noise", name) && name.find("_discarded") != std::string::npos)
            return at::zeros(shape, at::TensorOptions().device(compute_.device).dtype(compute_.dtype));
        return sketch(name, shape);
    }

  private:
    const Expected &expected_;
    Compute compute_;
};

// The caller of one run: gives stored frames, keeps what is delivered.
struct Caller {
    at::Tensor frames;    // uint8 [T,h,w,3]
    at::Tensor reference; // uint8 [h,w,3]
    std::vector<at::Tensor> delivered;
    mdl_image image{};
    mdl_params params{};
};

int give_frame(void *user, int64_t index, uint8_t *rgb)
{
    const at::Tensor frame = static_cast<Caller *>(user)->frames.select(0, index).contiguous();
    std::memcpy(rgb, frame.const_data_ptr<uint8_t>(), static_cast<size_t>(frame.numel()));
    return 0;
}

int keep_frames(void *user, const uint8_t *rgb, int64_t, int32_t n, int32_t width, int32_t height)
{
    static_cast<Caller *>(user)->delivered.push_back(
        at::from_blob(const_cast<uint8_t *>(rgb), {n, height, width, 3}, at::TensorOptions().dtype(at::kByte)).clone());
    return 0;
}

class Check
{
  public:
    Check(const std::string &folder, Report &report)
        : report_(report), expected_(folder + "/expected"),
          manifest_(manifest_read(folder)), compute_{report.options.device, report.options.dtype, 0},
          components_(manifest_, compute_), prompt_(json_string(expected_.run(), "prompt", "")),
          negative_prompt_(json_string(expected_.run(), "negative_prompt", ""))
    {
    }

    void all()
    {
        report_.attempt("plan", [&] { plan(); });
        report_.attempt("generators", [&] { generators(); });
        report_.attempt("run", [&] { run(); });
        if (expected_.has("inputs", "lineart_frames"))
            report_.attempt("from_lineart", [&] { run_from_lineart(); });
    }

  private:
    void prepare(Caller &c, at::Tensor frames, int32_t input_kind) const
    {
        c.frames = std::move(frames);
        c.reference = expected_.get("inputs", "reference_image").contiguous();
        c.image = {c.reference.const_data_ptr<uint8_t>(), static_cast<int32_t>(c.reference.size(1)),
                   static_cast<int32_t>(c.reference.size(0))};
        mdl_params &p = c.params;
        p.size = sizeof p;
        p.input_height = static_cast<int32_t>(c.frames.size(1));
        p.input_width = static_cast<int32_t>(c.frames.size(2));
        p.frames = c.frames.size(0);
        p.guidance_scale = p.control_scale = -1;
        p.seed = static_cast<uint64_t>(json_int(expected_.run(), "seed", 0, 0, std::numeric_limits<int64_t>::max()));
        p.prompt = prompt_.c_str();
        p.negative_prompt = negative_prompt_.c_str();
        p.profile = MDL_PROFILE_REFERENCE;
        p.input_kind = input_kind;
        p.memory_global = p.memory_local = p.fusion = 1;
        p.fusion_first_step = -1;
        p.references = &c.image;
        p.reference_count = 1;
        p.on_source = give_frame;
        p.on_frames = keep_frames;
        p.user = &c;
    }

    void plan()
    {
        Caller c;
        prepare(c, expected_.get("inputs", "source_frames"), MDL_INPUT_COLOR);
        const Settings s = settings_make(manifest_, c.params);
        const Json &segments = json_need(expected_.run(), "segments");
        report_.same("plan/segments", segments.size() == s.plan.segments.size());
        for (size_t k = 0; k < std::min(segments.size(), s.plan.segments.size()); k++) {
            const Segment &own = s.plan.segments[k];
            const Json &stored = segments[k];
            const std::string name = "plan/segment_" + std::to_string(k);
            report_.same(name + "/frames", json_int(stored, "start", -1) == own.start_frame &&
                                               json_int(stored, "keep_from", -1) == own.keep_from &&
                                               json_int(stored, "keep_to", -1) == own.keep_to);
            report_.same(name + "/prompt", json_string(stored, "prompt", "") == s.prompt_of(static_cast<int32_t>(k)));
        }
        const Scheduler scheduler(components_.shapes().scheduler, s.steps);
        report_.same("plan/timesteps", json_ints(expected_.run(), "timesteps", {}) == scheduler.timesteps());
    }

    // The same stream as the stored numbers, in the same order.
    void generators()
    {
        const Json &run = expected_.run();
        if (!json_has(run, "generators") || !json_has(run["generators"], "draws_segment_0"))
            return;
        SeededNoise noise(static_cast<uint64_t>(json_int(run, "seed", 0, 0, std::numeric_limits<int64_t>::max())), {});
        for (const Json &draw : run["generators"]["draws_segment_0"]) {
            const std::string name = json_string(draw, "tensor", "");
            const std::vector<int64_t> shape = json_shape(json_need(draw, "shape"));
            const at::Tensor drawn =
                json_string(draw, "generator", "") == "main" ? noise.main(name, shape) : noise.sketch(name, shape);
            if (expected_.has("noise", name))
                compare(report_, "generators/" + name, expected_.get("noise", name), drawn, {generator_tolerance, 1});
        }
    }

    // Runs with a look inside. Everything that the folder has is compared once, under `prefix`.
    void watched(Caller &c, const std::string &prefix, const std::set<std::string> &left_out)
    {
        const Settings s = settings_make(manifest_, c.params);
        StoredNoise noise(expected_, compute_);
        std::set<std::string> seen;
        RunHooks hooks;
        hooks.noise = &noise;
        if (manifest_.video_encoder.empty())
            hooks.memories = [&](int32_t k) {
                const std::string segment = "segment_" + std::to_string(k);
                const auto stored = [&](const std::string &name) {
                    return expected_.get("memory", segment + name).to(compute_.device, compute_.dtype);
                };
                return Memories{stored(".global_memory"), stored(".local_memory")};
            };
        hooks.tap = [&](int32_t segment, const std::string &name, const at::Tensor &t) {
            look(s, prefix, seen, left_out, segment, name, t);
        };
        pipeline_run(manifest_, components_, compute_, s, c.params, "parity", hooks);

        std::vector<std::string> files = {"shared"};
        for (size_t k = 0; k < s.plan.segments.size(); k++)
            files.push_back("segment_" + std::to_string(k));
        for (const std::string &file : files)
            for (const std::string &name : expected_.names(file))
                if (!seen.count(file + "/" + name) && !left_out.count(name))
                    report_.same(prefix + file + "/" + name, false, "the run gave no such tensor");
        joined(c, s, prefix);
    }

    void look(const Settings &s, const std::string &prefix, std::set<std::string> &seen,
              const std::set<std::string> &left_out, int32_t segment, const std::string &name, const at::Tensor &t)
    {
        std::string file = segment < 0 ? "shared" : "segment_" + std::to_string(segment), stored = name;
        if (name == "frames" || name == "global_memory" || name == "local_memory") {
            stored = name == "frames" ? name : file + "." + name;
            file = name == "frames" ? "shared" : "memory";
        }
        if (!expected_.has(file, stored) || left_out.count(name))
            return;
        const bool first = seen.insert(file + "/" + stored).second;
        at::Tensor value = expected_.get(file, stored);
        std::string label = prefix + file + "/" + stored;
        if (name == "frames") { // stored once for the whole shot
            const Segment &own = s.plan.segments[static_cast<size_t>(segment)];
            value = value.narrow(0, own.start_frame, own.source_frames);
            label += "_of_segment_" + std::to_string(segment);
        } else if (!first) {
            return;
        }
        compare(report_, label, value, t, expected_.tolerance(name));
    }

    // What was delivered is what the segments keep, one after the other.
    void joined(const Caller &c, const Settings &s, const std::string &prefix)
    {
        std::vector<at::Tensor> kept;
        for (const Segment &segment : s.plan.segments) {
            const std::string file = "segment_" + std::to_string(segment.index);
            if (!expected_.has(file, "output_u8"))
                return;
            kept.push_back(expected_.get(file, "output_u8").narrow(0, segment.keep_from, segment.delivered_frames()));
        }
        compare(report_, prefix + "joined_video", at::cat(kept), at::cat(c.delivered),
                expected_.tolerance("output_u8"));
    }

    void run()
    {
        Caller c;
        prepare(c, expected_.get("inputs", "source_frames"), MDL_INPUT_COLOR);
        watched(c, "", {});
    }

    void run_from_lineart()
    {
        Caller c;
        const at::Tensor grey = expected_.get("inputs", "lineart_frames");
        prepare(c, grey.unsqueeze(-1).expand({-1, -1, -1, 3}).contiguous(), MDL_INPUT_LINEART);
        // Ready lines have no colours and no line-art network before them.
        watched(c, "from_lineart/", {"frames", "lineart_raw_frame0"});
    }

    Report &report_;
    Expected expected_;
    Manifest manifest_;
    Compute compute_;
    Components components_;
    std::string prompt_, negative_prompt_;
};

} // namespace

void parity_longanimation(const std::string &folder, Report &report)
{
    const c10::InferenceMode no_gradients;
    Check(folder, report).all();
}

} // namespace mdl
