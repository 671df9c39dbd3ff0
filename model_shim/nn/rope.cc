#include "nn/rope.h"
#include "error.h"
#include "nn/grad.h"

#include <ATen/ATen.h>

#include <cmath>

namespace mdl::nn
{

namespace
{

// angles of one axis: positions (n), float32 -> (n, width/2)
at::Tensor axis_angles(const at::Tensor &positions, int64_t width)
{
    const at::Tensor k = at::arange(0, width, 2, at::kFloat).div_(static_cast<double>(width));
    return at::outer(positions, at::pow(10000.0, k).reciprocal_());
}

Rope rope_from(int64_t dim, const at::Tensor &t, const at::Tensor &rows, const at::Tensor &columns, c10::Device device)
{
    if (dim % 16)
        throw Error(MDL_EWEIGHTS, "a head of " + std::to_string(dim) + " does not split into 3-D rotary positions");
    const int64_t f = t.size(0), h = rows.size(0), w = columns.size(0), t_dim = dim / 4, axis_dim = dim / 8 * 3;
    const at::Tensor at_t = axis_angles(t, t_dim).view({f, 1, 1, t_dim / 2});
    const at::Tensor at_row = axis_angles(rows, axis_dim).view({1, h, 1, axis_dim / 2});
    const at::Tensor at_column = axis_angles(columns, axis_dim).view({1, 1, w, axis_dim / 2});
    const auto spread = [&](const at::Tensor &part) { return part.expand({f, h, w, part.size(-1)}); };
    // cos and sin of the small tables first: the same numbers for a fraction of the work.
    const auto table = [&](const at::Tensor &a, const at::Tensor &b, const at::Tensor &c) {
        return at::cat({spread(a), spread(b), spread(c)}, -1).view({f * h * w, dim / 2}).to(device);
    };
    Rope rope;
    rope.cos = table(at_t.cos(), at_row.cos(), at_column.cos());
    rope.sin = table(at_t.sin(), at_row.sin(), at_column.sin());
    rope.turns = at::complex(rope.cos, rope.sin).unsqueeze(1);
    return rope;
}

int64_t round_half_even(double x)
{
    return static_cast<int64_t>(std::nearbyint(x));
}

at::Tensor spread_over(int64_t start, int64_t stop, int64_t n)
{
    const double last = static_cast<double>(stop * (n - 1)) / static_cast<double>(n);
    return at::linspace(static_cast<double>(start), last, n, at::kFloat);
}

} // namespace

at::Tensor Rope::cos_doubled() const
{
    return cos.repeat_interleave(2, 1);
}

at::Tensor Rope::sin_doubled() const
{
    return sin.repeat_interleave(2, 1);
}

Rope rope_slice(int64_t dim, const Grid &grid, int64_t max_height, int64_t max_width, c10::Device device)
{
    if (grid.height > max_height || grid.width > max_width)
        throw Error(MDL_EINVAL, "the picture is larger than the model's rotary tables: " + std::to_string(grid.height) +
                                    "x" + std::to_string(grid.width) + " tokens, at most " +
                                    std::to_string(max_height) + "x" + std::to_string(max_width));
    const auto axis = [](int64_t n) { return at::arange(n, at::kFloat); };
    return rope_from(dim, axis(grid.frames), axis(grid.height), axis(grid.width), device);
}

CropRegion rope_crop_region(int64_t height, int64_t width, int64_t base_height, int64_t base_width)
{
    const double ratio = static_cast<double>(height) / static_cast<double>(width);
    int64_t crop_height = base_height, crop_width = base_width;
    if (ratio > static_cast<double>(base_height) / static_cast<double>(base_width))
        crop_width = round_half_even(static_cast<double>(base_height) / static_cast<double>(height) *
                                     static_cast<double>(width));
    else
        crop_height =
            round_half_even(static_cast<double>(base_width) / static_cast<double>(width) * static_cast<double>(height));
    const int64_t top = round_half_even(static_cast<double>(base_height - crop_height) / 2.0);
    const int64_t left = round_half_even(static_cast<double>(base_width - crop_width) / 2.0);
    return {top, left, top + crop_height, left + crop_width};
}

Rope rope_linspace(int64_t dim, const Grid &grid, const CropRegion &crop, c10::Device device)
{
    return rope_from(dim, spread_over(0, grid.frames, grid.frames), spread_over(crop.top, crop.bottom, grid.height),
                     spread_over(crop.left, crop.right, grid.width), device);
}

namespace
{

at::Tensor pairs(const at::Tensor &y)
{
    return at::view_as_complex(y.unflatten(-1, at::IntArrayRef{y.size(-1) / 2, 2}));
}

} // namespace

void rope_apply_(const at::Tensor &x, const Rope &rope)
{
    if (x.scalar_type() == at::kFloat) {
        pairs(x).mul_(rope.turns);
        return;
    }
    at::Tensor wide = x.to(at::kFloat, false, false, at::MemoryFormat::Contiguous);
    pairs(wide).mul_(rope.turns);
    x.copy_(wide);
}

void rope_apply_from_(at::Tensor &x, int64_t first, const Rope &rope)
{
    const at::Tensor part = x.narrow(1, first, rope.tokens());
    if (!tracked(x)) {
        rope_apply_(part, rope);
        return;
    }
    const at::Tensor wide = x.scalar_type() == at::kDouble ? part : part.to(at::kFloat);
    const at::Tensor turned = at::view_as_real(pairs(wide.contiguous()) * rope.turns).flatten(-2);
    x = at::cat({x.narrow(1, 0, first), turned.to(x.scalar_type())}, 1);
}

} // namespace mdl::nn
