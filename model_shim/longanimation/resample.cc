// resample.cc - see resample.h. The fixed-point resampler follows Pillow's: weights in double, normalised, rounded to
// 22 fractional bits; a pass per direction, each rounded and clipped to 8 bits.
#include "longanimation/resample.h"

#include "error.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace mdl
{
namespace
{

constexpr int fraction_bits = 22; // 32 - 8 bits of a pixel - 2 for overshoot
constexpr int channels_max = 4;

double bicubic(double x)
{
    constexpr double a = -0.5;
    x = std::fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

double sinc(double x)
{
    return x == 0 ? 1 : std::sin(x * M_PI) / (x * M_PI);
}

double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

struct Kernel {
    double (*weight)(double);
    double support;
};

Kernel kernel_of(PillowFilter filter)
{
    return filter == PillowFilter::lanczos ? Kernel{lanczos, 3} : Kernel{bicubic, 2};
}

// Per output position: the first input position, and the fixed-point weights from there.
struct Taps {
    std::vector<int64_t> first, count;
    std::vector<int32_t> weights; // stride per output position
    int64_t stride;
};

Taps make_taps(int64_t from, int64_t to, const Kernel &kernel)
{
    const double scale = static_cast<double>(from) / static_cast<double>(to), shrink = std::max(scale, 1.0);
    const double support = kernel.support * shrink;
    Taps taps;
    taps.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
    taps.weights.assign(static_cast<size_t>(to * taps.stride), 0);
    std::vector<double> w(static_cast<size_t>(taps.stride));
    for (int64_t o = 0; o < to; o++) {
        const double centre = (static_cast<double>(o) + 0.5) * scale;
        const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
        const int64_t end = std::min<int64_t>(from, static_cast<int64_t>(centre + support + 0.5));
        double sum = 0;
        for (int64_t i = begin; i < end; i++) {
            w[static_cast<size_t>(i - begin)] = kernel.weight((static_cast<double>(i) - centre + 0.5) * (1.0 / shrink));
            sum += w[static_cast<size_t>(i - begin)];
        }
        for (int64_t i = 0; i < end - begin; i++) {
            const double share = sum != 0 ? w[static_cast<size_t>(i)] / sum : w[static_cast<size_t>(i)];
            const double fixed = share * (1 << fraction_bits);
            taps.weights[static_cast<size_t>(o * taps.stride + i)] =
                static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
        taps.first.push_back(begin);
        taps.count.push_back(end - begin);
    }
    return taps;
}

uint8_t to_byte(int32_t sum)
{
    return static_cast<uint8_t>(std::clamp(sum >> fraction_bits, 0, 255));
}

template <int C> void pass_columns(const uint8_t *in, uint8_t *out, int64_t width, const Taps &taps)
{
    for (int64_t x = 0; x < width; x++) {
        const uint8_t *pixel = in + taps.first[static_cast<size_t>(x)] * C;
        const int32_t *weight = taps.weights.data() + x * taps.stride;
        std::array<int32_t, C> sum;
        sum.fill(1 << (fraction_bits - 1));
        for (int64_t i = 0; i < taps.count[static_cast<size_t>(x)]; i++)
            for (int c = 0; c < C; c++)
                sum[static_cast<size_t>(c)] += pixel[i * C + c] * weight[i];
        for (int c = 0; c < C; c++)
            out[x * C + c] = to_byte(sum[static_cast<size_t>(c)]);
    }
}

using ColumnPass = void (*)(const uint8_t *, uint8_t *, int64_t, const Taps &);
constexpr ColumnPass column_passes[channels_max] = {pass_columns<1>, pass_columns<2>, pass_columns<3>, pass_columns<4>};

// One output row of the vertical pass: rows of `size` bytes, added up in `sum`.
void pass_row(const uint8_t *in, uint8_t *out, int64_t size, const int32_t *weight, int64_t count, int32_t *sum)
{
    std::fill(sum, sum + size, 1 << (fraction_bits - 1));
    for (int64_t i = 0; i < count; i++)
        for (int64_t x = 0; x < size; x++)
            sum[x] += in[i * size + x] * weight[i];
    for (int64_t x = 0; x < size; x++)
        out[x] = to_byte(sum[x]);
}

at::Tensor resize_width(const at::Tensor &images, int64_t width, const Kernel &kernel)
{
    const int64_t rows = images.size(0) * images.size(1), from = images.size(2), channels = images.size(3);
    const Taps taps = make_taps(from, width, kernel);
    at::Tensor out = at::empty({images.size(0), images.size(1), width, channels}, at::kByte);
    const uint8_t *source = images.const_data_ptr<uint8_t>();
    uint8_t *target = out.mutable_data_ptr<uint8_t>();
    const ColumnPass pass = column_passes[channels - 1];
    at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; y++)
            pass(source + y * from * channels, target + y * width * channels, width, taps);
    });
    return out;
}

at::Tensor resize_height(const at::Tensor &images, int64_t height, const Kernel &kernel)
{
    const int64_t from = images.size(1), size = images.size(2) * images.size(3);
    const Taps taps = make_taps(from, height, kernel);
    at::Tensor out = at::empty({images.size(0), height, images.size(2), images.size(3)}, at::kByte);
    const uint8_t *source = images.const_data_ptr<uint8_t>();
    uint8_t *target = out.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, images.size(0) * height, 16, [&](int64_t begin, int64_t end) {
        std::vector<int32_t> sum(static_cast<size_t>(size));
        for (int64_t row = begin; row < end; row++) {
            const int64_t y = row % height;
            const uint8_t *image = source + row / height * from * size;
            pass_row(image + taps.first[static_cast<size_t>(y)] * size, target + row * size, size,
                     taps.weights.data() + y * taps.stride, taps.count[static_cast<size_t>(y)], sum.data());
        }
    });
    return out;
}

void check_pictures(const at::Tensor &t, int64_t height, int64_t width)
{
    if (t.scalar_type() != at::kByte || !t.is_cpu() || t.dim() != 4 || t.numel() == 0 || height < 1 || width < 1)
        throw Error(MDL_EINVAL, "pictures of " + c10::str(t.sizes()) + " cannot become " + std::to_string(width) + "x" +
                                    std::to_string(height));
}

// Pillow 13 takes the vertical pass first where that saves most; up to 12 it was always the second. The order shows in
// the last bit, because each pass rounds.
bool vertical_first(int64_t from_height, int64_t from_width, int64_t height, int64_t width)
{
    return from_height > height && from_height - height > 2 * (from_width - width);
}

} // namespace

Fit fit_cover(int64_t height, int64_t width, int64_t to_height, int64_t to_width)
{
    const double h = static_cast<double>(height), w = static_cast<double>(width);
    Fit fit{to_height, to_width, 0, 0};
    if (w / h > static_cast<double>(to_width) / static_cast<double>(to_height))
        fit.width = std::max(to_width, static_cast<int64_t>(static_cast<double>(width * to_height) / h));
    else
        fit.height = std::max(to_height, static_cast<int64_t>(static_cast<double>(height * to_width) / w));
    fit.top = (fit.height - to_height) / 2;
    fit.left = (fit.width - to_width) / 2;
    return fit;
}

Fit fit_short_side(int64_t height, int64_t width, int64_t size, int64_t crop)
{
    const int64_t shorter = std::min(height, width), longer = std::max(height, width);
    const auto stretched = static_cast<int64_t>(static_cast<double>(size * longer) / static_cast<double>(shorter));
    Fit fit{size, size, 0, 0};
    (height <= width ? fit.width : fit.height) = stretched;
    fit.top = (fit.height - crop) / 2;
    fit.left = (fit.width - crop) / 2;
    return fit;
}

at::Tensor bicubic_float(const at::Tensor &frames, int64_t height, int64_t width)
{
    return at::_upsample_bicubic2d_aa(frames.to(at::kFloat), {height, width}, /*align_corners=*/false).clamp_(0, 255);
}

at::Tensor resize_frames(const at::Tensor &frames, int64_t height, int64_t width)
{
    check_pictures(frames, height, width);
    if (frames.size(2) == height && frames.size(3) == width)
        return frames;
    at::Tensor out = at::empty({frames.size(0), frames.size(1), height, width}, at::kByte);
    for (int64_t f = 0; f < frames.size(0); f++) // one by one: in float32 a whole segment would be gigabytes
        out.narrow(0, f, 1).copy_(bicubic_float(frames.narrow(0, f, 1), height, width).round_());
    return out;
}

at::Tensor resize_and_crop_frames(const at::Tensor &frames, int64_t height, int64_t width)
{
    check_pictures(frames, height, width);
    const Fit fit = fit_cover(frames.size(2), frames.size(3), height, width);
    return resize_frames(frames, fit.height, fit.width)
        .narrow(2, fit.top, height)
        .narrow(3, fit.left, width)
        .contiguous();
}

at::Tensor pillow_resize(const at::Tensor &images, int64_t height, int64_t width, PillowFilter filter)
{
    check_pictures(images, height, width);
    if (images.size(3) > channels_max)
        throw Error(MDL_EINVAL, "pictures have at most " + std::to_string(channels_max) + " channels");
    const Kernel kernel = kernel_of(filter);
    at::Tensor out = images.contiguous();
    if (vertical_first(out.size(1), out.size(2), height, width))
        out = resize_height(out, height, kernel);
    if (out.size(2) != width)
        out = resize_width(out, width, kernel);
    if (out.size(1) != height)
        out = resize_height(out, height, kernel);
    return out;
}

} // namespace mdl
