// deliver.cc - see deliver.h.
#include "longanimation/deliver.h"

#include "error.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mdl
{
namespace
{

// VAE output [1,3,n,H,W] -> uint8 [n,H,W,3]: to [0,1] in the type of computing, then rounded half to even.
at::Tensor pictures_of(const at::Tensor &decoded)
{
    const at::Tensor unit = decoded.mul(0.5).add_(0.5).clamp_(0, 1).to(at::kFloat);
    return unit.mul_(255.0).round_().to(at::kByte).squeeze(0).permute({1, 2, 3, 0}).contiguous().cpu();
}

// The fewest latent frames whose decoding begins with the same slices and gives `frames` frames: causal, so that what
// comes later changes nothing. An odd number, as the whole is.
int64_t latents_needed(const Vae &vae, int64_t frames, int64_t all)
{
    int64_t n = 1;
    while (n < all && vae.frames_of(n) < frames)
        n += 2;
    return std::min(n, all);
}

} // namespace

void decode_segment(const Components &n, const Manifest &m, const Segment &segment, const at::Tensor &latents,
                    const RunTap &tap, const OnPictures &on_pictures)
{
    const VaeConfig &vae = n.shapes().vae;
    const VaeTiling tiling = m.vae_tiling ? VaeTiling::half_sample(vae) : VaeTiling{};
    at::Tensor z = latents.narrow(1, 1, latents.size(1) - 1).permute({0, 2, 1, 3, 4}).mul(1.0 / vae.scaling_factor);
    if (tap)
        tap(segment.index, "decoder_input", z);
    else
        z = z.narrow(2, 0, latents_needed(n.vae(), segment.keep_to, z.size(2)));

    std::vector<at::Tensor> decoded, pictures; // for the tap only
    n.vae().decode(z.contiguous(), tiling, [&](const at::Tensor &frames, int64_t first) {
        if (!at::isfinite(frames).all().item<bool>())
            fail(MDL_ENAN, "segment %d: frames from %lld on are not finite", segment.index,
                 static_cast<long long>(first));
        const int64_t from = std::max<int64_t>(first, segment.keep_from);
        const int64_t to = std::min<int64_t>(first + frames.size(2), segment.keep_to);
        if (tap) {
            decoded.push_back(frames.clone());
            pictures.push_back(pictures_of(frames));
        }
        if (from < to)
            on_pictures(pictures_of(frames.narrow(2, from - first, to - from)), from);
    });
    if (tap) {
        const at::Tensor all = at::cat(decoded, 2);
        tap(segment.index, "decoded", all);
        tap(segment.index, "decoded_first5", all.narrow(2, 0, std::min<int64_t>(5, all.size(2))));
        tap(segment.index, "output_u8", at::cat(pictures));
    }
}

} // namespace mdl
