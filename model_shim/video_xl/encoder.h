// encoder.h - Video-XL as far as LongAnimation needs it: frames of a shot in, keys and values of a few language model
// layers out. Three stages: CLIP vision tower, projector, Qwen2 with summary tokens.
//
// Nothing here changes after loading; what a shot has been seen to hold is in ShotMemory (shot_memory.h), so that the
// weights may come and go between segments.
#pragma once
#include "video_xl/clip_preprocess.h"
#include "video_xl/clip_vision.h"
#include "video_xl/projector.h"
#include "video_xl/qwen2_beacon.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

// The prompt around the video, as token ids.
struct VideoPrompt {
    std::vector<int64_t> prefix, suffix;
};

// What Video-XL's own tokenizer makes of the prompt that LongAnimation gives it.
extern const char *const video_prompt_prefix_text, *const video_prompt_suffix_text;
VideoPrompt video_prompt_7b();

struct VideoXlConfig {
    ClipPreprocess preprocess;
    ClipVisionConfig vision;
    int64_t select_layer = -2;
    ProjectorConfig projector;
    Qwen2BeaconConfig language;
    VideoPrompt prompt;

    // Reads the published folder: config.json; sizes of the vision tower from clip/config.json and
    // clip/preprocessor_config.json, or from a local folder that mm_vision_tower names, or from "vision_config", else
    // ViT-L/14-336; the prompt from memory_prompt.json, else the 7B model's.
    static VideoXlConfig read(const std::string &folder);

    int64_t tokens_per_frame() const
    {
        return projector.tokens_per_frame(vision.grid());
    }
    // Layers -9, -5 and -1 of the list that the reference reads.
    std::vector<int64_t> default_memory_layers() const;
};

class VideoXl
{
  public:
    // memory_layers: 0-based layers whose keys and values are wanted; empty = the default ones. Layers after the last
    // of them are not read.
    static VideoXl open(const std::string &folder, std::vector<int64_t> memory_layers, const WeightOptions &options);

    VideoXl(VideoXlConfig config, std::vector<int64_t> memory_layers, Weights &w);
    // Names that a checkpoint may have and this does not need.
    static std::vector<std::string> unneeded(const VideoXlConfig &config, const std::vector<int64_t> &memory_layers);

    // uint8 frames (F, h, w, 3) on the CPU -> visual tokens (F * tokens_per_frame, width) on the device. Frames are
    // done in calls of one fixed size, so that a frame's tokens do not depend on its neighbours to the last bit.
    at::Tensor visual_tokens(const at::Tensor &frames) const;
    static int64_t frames_per_call(c10::Device device);

    const VideoXlConfig &config() const
    {
        return c_;
    }
    const std::vector<int64_t> &memory_layers() const
    {
        return memory_layers_;
    }
    const ClipVision &vision() const
    {
        return vision_;
    }
    const Projector &projector() const
    {
        return projector_;
    }
    const Qwen2Beacon &language() const
    {
        return language_;
    }
    const at::Tensor &prefix() const // embeddings (prompt.prefix.size(), width)
    {
        return prefix_;
    }
    const at::Tensor &suffix() const
    {
        return suffix_;
    }
    c10::Device device() const
    {
        return prefix_.device();
    }

  private:
    VideoXlConfig c_;
    std::vector<int64_t> memory_layers_;
    ClipVision vision_;
    Projector projector_;
    Qwen2Beacon language_;
    at::Tensor prefix_, suffix_;
};

} // namespace mdl
