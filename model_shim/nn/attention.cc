#include "nn/attention.h"
#include "nn/grad.h"
#include "nn/onednn.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace mdl::nn
{

namespace
{

// Scores of so many query rows are held at once, per thread: 4 MiB, within reach of the caches.
constexpr int64_t scores_at_once = int64_t{1} << 20;
constexpr int64_t rows_min = 64, rows_max = 512;

// The fast kernel of libtorch for the CPU multiplies by BLAS; this does the same by oneDNN, see there. Plain softmax
// over whole rows, since all keys fit beside a block of queries.
at::Tensor attention_by_onednn(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale)
{
    const int64_t batch = q.size(0), heads = q.size(1), queries = q.size(2), keys = k.size(2), dim = v.size(3);
    at::Tensor out = at::empty({batch, queries, heads * dim}, q.options());
    const at::Tensor keys_dense = k.contiguous(), values_turned = v.transpose(2, 3).contiguous();
    const int64_t rows = std::clamp(scores_at_once / keys / 16 * 16, rows_min, rows_max);
    const int64_t blocks = (queries + rows - 1) / rows;
    at::parallel_for(0, batch * heads * blocks, 1, [&](int64_t begin, int64_t end) {
        const c10::InferenceMode inference;
        for (int64_t task = begin; task < end; task++) {
            const int64_t b = task / blocks / heads, h = task / blocks % heads, from = task % blocks * rows;
            const int64_t count = std::min(rows, queries - from);
            const at::Tensor block = q[b][h].narrow(0, from, count).mul(scale);
            const at::Tensor weights = onednn_linear(block, keys_dense[b][h], {}).softmax(-1);
            out[b]
                .narrow(0, from, count)
                .narrow(1, h * dim, dim)
                .copy_(onednn_linear(weights, values_turned[b][h], {}));
        }
    });
    return out;
}

// With short sequences the fused kernel's derivative is slower on the CPU than plain products.
constexpr int64_t plain_scores_max = int64_t{1} << 26;

at::Tensor attention_plain(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale)
{
    const at::Tensor scores = at::matmul(q * scale, k.transpose(2, 3));
    const auto type = scores.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return at::matmul(at::softmax(scores, -1, type).to(v.scalar_type()), v).transpose(1, 2).flatten(2);
}

} // namespace

at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &bias,
                     std::optional<double> scale)
{
    const double factor = scale.value_or(1 / std::sqrt(static_cast<double>(q.size(-1))));
    const bool recorded = tracked(q, k, v);
    if (!bias.defined() && !recorded && onednn_takes(q))
        return attention_by_onednn(q, k, v, factor);
    if (!bias.defined() && recorded && q.device().is_cpu() &&
        q.size(0) * q.size(1) * q.size(2) * k.size(2) <= plain_scores_max)
        return attention_plain(q, k, v, factor);
    const std::optional<at::Tensor> mask = bias.defined() ? std::optional(bias) : std::nullopt;
    const at::Tensor a = at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, scale);
    return a.transpose(1, 2).flatten(2); // a view: the fast kernels write (batch, tokens, heads, dim)
}

} // namespace mdl::nn
