// picture.cc - see picture.h.
#include "longanimation/picture.h"

#include "longanimation/resample.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mdl
{
namespace
{

// The largest centred part of a picture that has the aspect ratio to_width : to_height.
at::Tensor crop_to_aspect(const at::Tensor &image, int64_t to_width, int64_t to_height)
{
    const int64_t height = image.size(0), width = image.size(1);
    const double aspect = static_cast<double>(to_width) / static_cast<double>(to_height);
    int64_t w = std::llround(static_cast<double>(height) * aspect), h = height;
    if (w > width) {
        w = width;
        h = std::clamp<int64_t>(std::llround(static_cast<double>(width) / aspect), 1, height);
    }
    w = std::max<int64_t>(w, 1);
    return image.narrow(0, (height - h) / 2, h).narrow(1, (width - w) / 2, w);
}

at::Tensor planar_of(const at::Tensor &packed)
{
    return packed.permute({2, 0, 1}).unsqueeze(0).contiguous();
}

at::Tensor lanczos(const at::Tensor &packed, NetworkSize size)
{
    return pillow_resize(packed.contiguous().unsqueeze(0), size.height, size.width, PillowFilter::lanczos).squeeze(0);
}

at::Tensor borrow(const uint8_t *rgb, int64_t width, int64_t height)
{
    return at::from_blob(const_cast<uint8_t *>(rgb), {height, width, 3}, at::TensorOptions().dtype(at::kByte));
}

} // namespace

void fit_frame(const uint8_t *rgb, int32_t width, int32_t height, NetworkSize size, Fitting fitting, uint8_t *planar)
{
    const at::Tensor in = planar_of(borrow(rgb, width, height));
    const at::Tensor out = (fitting == Fitting::stretch ? resize_frames(in, size.height, size.width)
                                                        : resize_and_crop_frames(in, size.height, size.width))
                               .contiguous();
    std::memcpy(planar, out.const_data_ptr<uint8_t>(), static_cast<size_t>(out.numel()));
}

Reference fit_reference(const mdl_image &image, const Settings &s, int32_t input_width, int32_t input_height)
{
    const at::Tensor whole = borrow(image.rgb, image.width, image.height);
    if (s.reference_profile())
        return {lanczos(whole, s.size), resize_and_crop_frames(planar_of(whole), s.size.height, s.size.width)};
    const bool stretch = s.fitting == Fitting::stretch;
    const at::Tensor part =
        crop_to_aspect(whole, stretch ? input_width : s.size.width, stretch ? input_height : s.size.height);
    const at::Tensor color = lanczos(part, s.size);
    return {color, planar_of(color)};
}

Reference own_frame_as_reference(const at::Tensor &frame)
{
    return {frame, planar_of(frame)};
}

at::Tensor image_pixels(const at::Tensor &color, const Compute &c)
{
    const at::Tensor unit = color.to(at::kFloat).div(255.0);
    return unit.mul(2.0).sub(1.0).permute({2, 0, 1}).unsqueeze(0).unsqueeze(2).contiguous().to(c.device, c.dtype);
}

Sketch sketch_of(const at::Tensor &frames, const Lineart *network, const Compute &c)
{
    Sketch s;
    at::Tensor paper;
    if (network) {
        s.raw = network->forward(frames.to(c.device));
        paper = lineart_paper(s.raw);
    } else {
        paper = lineart_paper_ready(lineart_grey(frames)).to(c.device);
    }
    s.pixels = lineart_sketch(paper, c.dtype).permute({1, 0, 2, 3}).unsqueeze(0).contiguous();
    return s;
}

} // namespace mdl
