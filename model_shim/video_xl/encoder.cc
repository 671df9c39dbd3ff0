#include "video_xl/encoder.h"
#include "error.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

namespace fs = std::filesystem;

namespace mdl
{

namespace
{

constexpr const char *model_prefix = "model.";
constexpr const char *vision_prefix = "model.vision_tower.vision_tower.vision_model.";
constexpr const char *projector_prefix = "model.mm_projector.";
// Frames of one call of the vision tower. One is enough to keep a CPU busy.
constexpr int64_t frames_per_call_cpu = 1, frames_per_call_device = 8;

// The folder that describes the vision tower; empty when there is none beside the model.
std::string vision_folder(const std::string &folder, const Json &config)
{
    const std::string tower = json_string(config, "mm_vision_tower", "");
    for (const fs::path &candidate : {fs::path(folder) / "clip", tower.empty() ? fs::path() : fs::path(folder) / tower})
        if (!candidate.empty() && fs::exists(candidate / "config.json"))
            return candidate;
    return "";
}

ClipVisionConfig read_vision(const std::string &clip, const Json &config)
{
    if (!clip.empty())
        return ClipVisionConfig::from_json(json_read(clip + "/config.json"));
    return ClipVisionConfig::from_json(json_has(config, "vision_config") ? config["vision_config"] : Json::object());
}

ClipPreprocess read_preprocess(const std::string &folder, const std::string &clip, int64_t image)
{
    for (const std::string &place : {clip, folder}) {
        const std::string file = place + "/preprocessor_config.json";
        if (!place.empty() && fs::exists(file))
            return ClipPreprocess::from_json(json_read(file));
    }
    ClipPreprocess p;
    p.size = p.crop = image;
    return p;
}

VideoPrompt read_prompt(const std::string &folder)
{
    const std::string file = folder + "/memory_prompt.json";
    if (!fs::exists(file))
        return video_prompt_7b();
    const Json json = json_read(file);
    return {json_shape(json_need(json, "prefix_ids")), json_shape(json_need(json, "suffix_ids"))};
}

int64_t last_layer(const std::vector<int64_t> &layers)
{
    if (layers.empty() || *std::min_element(layers.begin(), layers.end()) < 0)
        throw Error(MDL_EINVAL, "memory_layers: none, or a negative one");
    return *std::max_element(layers.begin(), layers.end());
}

} // namespace

const char *const video_prompt_prefix_text =
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n";
const char *const video_prompt_suffix_text =
    "\nCan you describe the scene and color in anime?<|im_end|>\n<|im_start|>assistant\n";

VideoPrompt video_prompt_7b()
{
    return {{151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198, 151644, 872, 198},
            {198, 6713, 498, 7512, 279, 6109, 323, 1894, 304, 22809, 30, 151645, 198, 151644, 77091, 198}};
}

VideoXlConfig VideoXlConfig::read(const std::string &folder)
{
    const Json config = json_read(folder + "/config.json");
    const std::string clip = vision_folder(folder, config);
    VideoXlConfig c;
    c.language = Qwen2BeaconConfig::from_json(config);
    c.vision = read_vision(clip, config);
    c.preprocess = read_preprocess(folder, clip, c.vision.image);
    c.projector = ProjectorConfig::from_json(config);
    c.select_layer = json_int(config, "mm_vision_select_layer", c.select_layer, -1024, 1024);
    const std::string feature = json_string(config, "mm_vision_select_feature", "patch");
    if (feature != "patch")
        throw Error(MDL_EWEIGHTS, "mm_vision_select_feature: only \"patch\" is supported");
    c.prompt = read_prompt(folder);
    if (c.preprocess.crop != c.vision.image)
        throw Error(MDL_EWEIGHTS, "the preprocessor's crop_size is not the vision tower's image_size");
    if (c.projector.in != c.vision.width)
        throw Error(MDL_EWEIGHTS, "mm_hidden_size is not the vision tower's hidden_size");
    return c;
}

std::vector<int64_t> VideoXlConfig::default_memory_layers() const
{
    if (language.layers < 9)
        throw Error(MDL_EWEIGHTS, "a language model of fewer than 9 layers needs memory_layers");
    return {language.layers - 9, language.layers - 5, language.layers - 1};
}

VideoXl::VideoXl(VideoXlConfig config, std::vector<int64_t> memory_layers, Weights &w)
    : c_(std::move(config)), memory_layers_(std::move(memory_layers)),
      vision_(c_.vision, w, vision_prefix, c_.vision.layers_for(c_.select_layer)),
      projector_(c_.projector, w, projector_prefix),
      language_(c_.language, w, model_prefix, last_layer(memory_layers_) + 1)
{
    const std::string table = std::string(model_prefix) + "embed_tokens.weight";
    prefix_ = w.get_rows(table, {c_.language.vocab, c_.language.width}, c_.prompt.prefix);
    suffix_ = w.get_rows(table, {c_.language.vocab, c_.language.width}, c_.prompt.suffix);
}

VideoXl VideoXl::open(const std::string &folder, std::vector<int64_t> memory_layers, const WeightOptions &options)
{
    const VideoXlConfig config = VideoXlConfig::read(folder);
    if (memory_layers.empty())
        memory_layers = config.default_memory_layers();
    Weights weights = Weights::open(folder, {"model"}, options);
    VideoXl network(config, std::move(memory_layers), weights);
    weights.finish(unneeded(config, network.memory_layers()));
    return network;
}

std::vector<std::string> VideoXl::unneeded(const VideoXlConfig &config, const std::vector<int64_t> &memory_layers)
{
    std::vector<std::string> names =
        ClipVision::unneeded(config.vision, vision_prefix, config.vision.layers_for(config.select_layer));
    const auto language = Qwen2Beacon::unneeded(config.language, model_prefix, last_layer(memory_layers) + 1);
    names.insert(names.end(), language.begin(), language.end());
    return names;
}

int64_t VideoXl::frames_per_call(c10::Device device)
{
    return device.is_cpu() ? frames_per_call_cpu : frames_per_call_device;
}

at::Tensor VideoXl::visual_tokens(const at::Tensor &frames) const
{
    const at::Tensor cropped = clip_crop(c_.preprocess, frames);
    const int64_t per_call = frames_per_call(device());
    std::vector<at::Tensor> tokens;
    for (int64_t f = 0; f < cropped.size(0); f += per_call) {
        const int64_t n = std::min(per_call, cropped.size(0) - f);
        at::Tensor part = cropped.narrow(0, f, n);
        if (n < per_call) // the call keeps its shape: the last frame stands in for those that are not there
            part = at::cat({part, part.narrow(0, n - 1, 1).expand({per_call - n, -1, -1, -1})});
        const at::Tensor features = vision_.forward(clip_pixels(c_.preprocess, part).to(device()));
        tokens.push_back(projector_.pool(projector_.project(features)).narrow(0, 0, n * c_.tokens_per_frame()));
    }
    return at::cat(tokens);
}

} // namespace mdl
