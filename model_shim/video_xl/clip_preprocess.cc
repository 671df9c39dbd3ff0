// clip_preprocess.cc - see clip_preprocess.h.
#include "video_xl/clip_preprocess.h"

#include "error.h"
#include "longanimation/resample.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{
namespace
{

constexpr int64_t size_max = 4096;

int64_t side(const Json &json, const char *key, int64_t fallback)
{
    if (!json_has(json, key) || !json[key].is_object())
        return json_int(json, key, fallback, 1, size_max);
    const Json &box = json[key];
    if (json_has(box, "shortest_edge"))
        return json_int(box, "shortest_edge", fallback, 1, size_max);
    const int64_t height = json_int(box, "height", fallback, 1, size_max);
    if (json_int(box, "width", height, 1, size_max) != height)
        throw Error(MDL_EWEIGHTS, std::string(key) + ": only squares are known");
    return height;
}

void three(const Json &json, const char *key, std::array<double, 3> &out)
{
    if (!json_has(json, key))
        return;
    const std::vector<double> values = json_doubles(json[key]);
    if (values.size() != out.size())
        throw Error(MDL_EWEIGHTS, std::string(key) + ": three channels are expected");
    std::copy(values.begin(), values.end(), out.begin());
}

} // namespace

ClipPreprocess ClipPreprocess::from_json(const Json &json)
{
    ClipPreprocess c;
    c.size = side(json, "size", c.size);
    c.whole = !json_bool(json, "do_center_crop", true);
    if (c.whole && !(json_has(json, "size") && json["size"].is_object() && json_has(json["size"], "height")))
        throw Error(MDL_EWEIGHTS, "do_center_crop is false: size has to be a height and a width");
    c.crop = c.whole ? c.size : side(json, "crop_size", c.size);
    three(json, "image_mean", c.mean);
    three(json, "image_std", c.std);
    if (c.crop > c.size)
        throw Error(MDL_EWEIGHTS, "crop_size is larger than size: frames would need a border");
    for (double s : c.std)
        if (!(s > 0))
            throw Error(MDL_EWEIGHTS, "image_std: has to be positive");
    return c;
}

at::Tensor clip_crop(const ClipPreprocess &config, const at::Tensor &frames)
{
    if (frames.dim() != 4 || frames.size(3) != 3)
        throw Error(MDL_EINVAL, "frames of " + c10::str(frames.sizes()) + " are not [frames,height,width,3]");
    if (config.whole)
        return pillow_resize(frames, config.crop, config.crop, PillowFilter::bicubic);
    const Fit fit = fit_short_side(frames.size(1), frames.size(2), config.size, config.crop);
    return pillow_resize(frames, fit.height, fit.width, PillowFilter::bicubic)
        .narrow(1, fit.top, config.crop)
        .narrow(2, fit.left, config.crop)
        .contiguous();
}

at::Tensor clip_pixels(const ClipPreprocess &config, const at::Tensor &cropped)
{
    // The reference divides in double and rounds once; subtraction and division are then float32 per channel.
    const at::Tensor x = cropped.permute({0, 3, 1, 2}).to(at::kDouble).div_(255).to(at::kFloat);
    const auto channel = [](const std::array<double, 3> &v) {
        const std::vector<float> values(v.begin(), v.end());
        return at::tensor(values).view({1, 3, 1, 1});
    };
    return x.sub(channel(config.mean)).div_(channel(config.std)).contiguous();
}

} // namespace mdl
