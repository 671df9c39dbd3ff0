#include "nn/group_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace mdl::nn
{

namespace
{

constexpr int64_t block_rows = 256;

// Number, sum divided by it, and sum of squared distances from that.
struct Moments {
    double count = 0, mean = 0, squares = 0;

    void join(const Moments &m) // Chan, Golub, LeVeque
    {
        const double all = count + m.count, apart = m.mean - mean;
        if (all == 0)
            return;
        squares += m.squares + apart * apart * count * m.count / all;
        mean += apart * m.count / all;
        count = all;
    }
};

// Per channel: mean and squares of the rows x[0..rows), each `channels` long.
void block_moments(const float *__restrict__ x, int64_t rows, int64_t channels, float *__restrict__ mean,
                   float *__restrict__ squares)
{
    std::fill(mean, mean + channels, 0.0f);
    std::fill(squares, squares + channels, 0.0f);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < channels; c++)
            mean[c] += x[r * channels + c];
    const float share = 1.0f / static_cast<float>(rows);
    for (int64_t c = 0; c < channels; c++)
        mean[c] *= share;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < channels; c++) {
            const float d = x[r * channels + c] - mean[c];
            squares[c] += d * d;
        }
}

// (blocks, 2, channels): what block_moments gives for each.
at::Tensor all_blocks(const float *x, int64_t rows, int64_t channels)
{
    const int64_t blocks = (rows + block_rows - 1) / block_rows;
    at::Tensor found = at::empty({blocks, 2, channels}, at::kFloat);
    float *out = found.mutable_data_ptr<float>();
    at::parallel_for(0, blocks, 8, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; b++) {
            const int64_t from = b * block_rows, count = std::min(block_rows, rows - from);
            float *mean = out + b * 2 * channels;
            block_moments(x + from * channels, count, channels, mean, mean + channels);
        }
    });
    return found;
}

std::vector<Moments> group_moments(const float *x, int64_t rows, int64_t channels, int64_t groups)
{
    const at::Tensor found = all_blocks(x, rows, channels);
    const float *of = found.const_data_ptr<float>();
    std::vector<Moments> all(static_cast<size_t>(groups));
    for (int64_t b = 0; b < found.size(0); b++, of += 2 * channels) {
        const auto count = static_cast<double>(std::min(block_rows, rows - b * block_rows));
        for (int64_t c = 0; c < channels; c++)
            all[static_cast<size_t>(c / (channels / groups))].join({count, of[c], of[channels + c]});
    }
    return all;
}

} // namespace

bool group_norm_scale_takes(const at::Tensor &x)
{
    return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 5 && x.numel() > 0 &&
           x.is_contiguous(at::MemoryFormat::ChannelsLast3d);
}

ChannelScale group_norm_scale(const at::Tensor &x, int64_t groups, const at::Tensor &weight, const at::Tensor &bias,
                              double eps)
{
    const int64_t batch = x.size(0), channels = x.size(1), rows = x.numel() / batch / channels;
    const at::Tensor gain = weight.contiguous(), offset = bias.contiguous();
    const float *g = gain.const_data_ptr<float>(), *o = offset.const_data_ptr<float>(), *in = x.const_data_ptr<float>();
    ChannelScale made{at::empty({batch, channels, 1, 1, 1}, x.options().memory_format(at::MemoryFormat::Contiguous)),
                      {}};
    made.shift = at::empty_like(made.scale);
    float *scale = made.scale.mutable_data_ptr<float>(), *shift = made.shift.mutable_data_ptr<float>();
    for (int64_t b = 0; b < batch; b++) {
        const std::vector<Moments> all = group_moments(in + b * rows * channels, rows, channels, groups);
        for (int64_t c = 0; c < channels; c++) {
            const Moments &m = all[static_cast<size_t>(c / (channels / groups))];
            const double factor = g[c] / std::sqrt(m.squares / m.count + eps);
            scale[b * channels + c] = static_cast<float>(factor);
            shift[b * channels + c] = static_cast<float>(o[c] - m.mean * factor);
        }
    }
    return made;
}

} // namespace mdl::nn
