#include "longanimation/vae_tiles.h"
#include "error.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mdl
{

namespace
{

// b's first rows (dim 3) or columns (dim 4) fade over from a's last ones.
void blend_(const at::Tensor &a, const at::Tensor &b, int64_t dim, int64_t extent)
{
    extent = std::min({a.size(dim), b.size(dim), extent});
    if (extent == 0)
        return;
    at::Tensor share = at::arange(extent, at::kDouble).div_(static_cast<double>(extent));
    if (dim == 3)
        share = share.unsqueeze(1);
    const auto like_b = [&b](const at::Tensor &weight) { return weight.to(b.device(), at::kFloat); };
    at::Tensor head = b.narrow(dim, 0, extent);
    const at::Tensor tail = a.narrow(dim, a.size(dim) - extent, extent);
    head.copy_(tail.to(at::kFloat).mul(like_b(1 - share)).add_(head.to(at::kFloat).mul(like_b(share))));
}

} // namespace

VaeTiling VaeTiling::half_sample(const VaeConfig &config)
{
    VaeTiling t;
    t.enabled = true;
    t.tile_height = config.sample_height / 2;
    t.tile_width = config.sample_width / 2;
    return t;
}

// The products are truncated exactly as the reference does it, in double.
VaeTilePlan::Axis VaeTilePlan::axis(int64_t tile_in, int64_t tile_out, double overlap)
{
    Axis a;
    a.tile = tile_in;
    a.step = static_cast<int64_t>(static_cast<double>(tile_in) * (1 - overlap));
    a.blend = static_cast<int64_t>(static_cast<double>(tile_out) * overlap);
    a.keep = tile_out - a.blend;
    if (a.step < 1 || a.keep < 1)
        throw Error(MDL_EINVAL, "tiles of the VAE are too small");
    return a;
}

VaeTilePlan VaeTilePlan::encoding(const VaeConfig &c, const VaeTiling &t)
{
    VaeTilePlan plan;
    plan.enabled_ = t.enabled;
    if (t.enabled) {
        plan.y_ = axis(t.tile_height, t.tile_height / c.spatial_ratio(), t.overlap_height);
        plan.x_ = axis(t.tile_width, t.tile_width / c.spatial_ratio(), t.overlap_width);
    }
    return plan;
}

VaeTilePlan VaeTilePlan::decoding(const VaeConfig &c, const VaeTiling &t)
{
    VaeTilePlan plan;
    plan.enabled_ = t.enabled;
    if (t.enabled) {
        plan.y_ = axis(t.tile_height / c.spatial_ratio(), t.tile_height, t.overlap_height);
        plan.x_ = axis(t.tile_width / c.spatial_ratio(), t.tile_width, t.overlap_width);
    }
    return plan;
}

bool VaeTilePlan::needed(const at::Tensor &video) const
{
    return enabled_ && (video.size(3) > y_.tile || video.size(4) > x_.tile);
}

at::Tensor VaeTilePlan::run(const at::Tensor &video, const std::function<at::Tensor(const at::Tensor &)> &network) const
{
    std::vector<at::Tensor> rows, above;
    for (int64_t y = 0; y < video.size(3); y += y_.step) {
        std::vector<at::Tensor> tiles, kept;
        for (int64_t x = 0; x < video.size(4); x += x_.step) {
            const at::Tensor tile = network(video.narrow(3, y, std::min(y_.tile, video.size(3) - y))
                                                .narrow(4, x, std::min(x_.tile, video.size(4) - x)));
            if (!above.empty())
                blend_(above.at(tiles.size()), tile, 3, y_.blend);
            if (!tiles.empty())
                blend_(tiles.back(), tile, 4, x_.blend);
            tiles.push_back(tile);
            kept.push_back(
                tile.narrow(3, 0, std::min(y_.keep, tile.size(3))).narrow(4, 0, std::min(x_.keep, tile.size(4))));
        }
        rows.push_back(at::cat(kept, 4));
        above = std::move(tiles);
    }
    return at::cat(rows, 3);
}

} // namespace mdl
