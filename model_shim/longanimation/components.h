// components.h - the networks of a model: checked when the model is opened, loaded when their phase begins, and dropped
// from the device when another phase needs the room.
//
//   text       text_encoder                              once per run
//   recall     video_encoder                             per segment, when the model has memory
//   encode     lineart, vae
//   diffusion  transformer, sketch_dit, memory
//   decode     vae
//
// Threads: one at a time.
#pragma once
#include "device.h"
#include "longanimation/dglm.h"
#include "longanimation/lineart.h"
#include "longanimation/manifest.h"
#include "longanimation/scheduler.h"
#include "longanimation/sketch_dit.h"
#include "longanimation/t5.h"
#include "longanimation/t5_tokenizer.h"
#include "longanimation/transformer.h"
#include "longanimation/vae.h"
#include "video_xl/encoder.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mdl
{

enum class Part { text_encoder, video_encoder, lineart, vae, transformer, sketch_dit, memory };
constexpr size_t part_count = 7;

// What is known of a part without reading its numbers.
struct PartInfo {
    Part part = Part::text_encoder;
    const char *name = "";
    std::string folder;     // empty: the model does without
    int64_t parameters = 0; // of the tensors that are used
    uint64_t stored_bytes = 0;
    std::vector<std::string> files; // read, index included
    std::vector<std::string>
        problems; // every tensor that is missing, unexpected or misshaped; files that cannot be read
    bool present() const
    {
        return !folder.empty();
    }
    int64_t bytes(c10::ScalarType dtype) const; // in memory, in the type of computing
};

// Looks at every part's configuration and tensor names, shapes and types. Does not throw for what is wrong with them.
std::vector<PartInfo> inspect_parts(const Manifest &m);

// What the arithmetic around the networks needs of their configurations.
struct Shapes {
    DitConfig transformer, sketch_dit;
    VaeConfig vae;
    SchedulerConfig scheduler;
    DglmConfig memory;
    VideoXlConfig video_encoder; // of a model that has one
};

// How a part is to be loaded, where that is not as usual: training needs its own.
using PartOptions = std::function<WeightOptions(Part p, const WeightOptions &usual)>;

class Components
{
  public:
    // Throws Error(MDL_EWEIGHTS) naming what is wrong with the folder.
    Components(const Manifest &m, const Compute &c, PartOptions options = {});

    const std::vector<PartInfo> &parts() const
    {
        return parts_;
    }
    const PartInfo &part(Part p) const
    {
        return parts_[static_cast<size_t>(p)];
    }
    const Shapes &shapes() const
    {
        return shapes_;
    }
    const T5Tokenizer &tokenizer() const
    {
        return *tokenizer_;
    }

    // Begins a phase: afterwards `wanted` are on the device, with room for `work_bytes` of activations; whatever else
    // is there goes when the budget is too small for both. Throws Error(MDL_ENOMEM) when the phase alone is too large.
    void enter(const std::vector<Part> &wanted, int64_t work_bytes);
    bool loaded(Part p) const
    {
        return networks_[static_cast<size_t>(p)] != nullptr;
    }

    const T5Encoder &text_encoder() const
    {
        return get<T5Encoder>(Part::text_encoder);
    }
    const VideoXl &video_encoder() const
    {
        return get<VideoXl>(Part::video_encoder);
    }
    const Lineart &lineart() const
    {
        return get<Lineart>(Part::lineart);
    }
    const Vae &vae() const
    {
        return get<Vae>(Part::vae);
    }
    const Transformer &transformer() const
    {
        return get<Transformer>(Part::transformer);
    }
    const SketchDit &sketch_dit() const
    {
        return get<SketchDit>(Part::sketch_dit);
    }
    const Dglm &memory() const
    {
        return get<Dglm>(Part::memory);
    }

  private:
    template <class Network> const Network &get(Part p) const
    {
        return *static_cast<const Network *>(need(p));
    }
    const void *need(Part p) const; // throws Error(MDL_EINTERNAL) for a part that no phase has loaded
    int64_t bytes(const std::vector<Part> &parts) const;

    Compute compute_;
    Manifest manifest_;
    PartOptions options_;
    std::vector<PartInfo> parts_;
    Shapes shapes_;
    std::unique_ptr<T5Tokenizer> tokenizer_;
    std::array<std::shared_ptr<void>, part_count> networks_;
};

} // namespace mdl
