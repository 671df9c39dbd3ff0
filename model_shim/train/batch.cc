// batch.cc - see batch.h.
#include "train/batch.h"

#include "error.h"
#include "longanimation/lineart.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

namespace mdl
{
namespace
{

// splitmix64's finisher: neighbouring numbers become unrelated seeds.
uint64_t mixed(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

at::Tensor borrow(const uint8_t *data, at::IntArrayRef shape)
{
    return at::from_blob(const_cast<uint8_t *>(data), shape, at::TensorOptions().dtype(at::kByte));
}

} // namespace

Draws::Draws(uint64_t seed, int64_t step, int64_t pass, const Compute &c)
    : generator_(at::make_generator<at::CPUGeneratorImpl>(
          mixed(mixed(mixed(seed) + static_cast<uint64_t>(step)) + static_cast<uint64_t>(pass)))),
      compute_(c)
{
}

at::Tensor Draws::normal(at::IntArrayRef shape)
{
    return at::randn(shape, generator_, at::TensorOptions().dtype(at::kFloat)).to(compute_.device);
}

double Draws::uniform()
{
    return at::rand({}, generator_, at::TensorOptions().dtype(at::kDouble)).item<double>();
}

int64_t Draws::below(int64_t n)
{
    return std::min(static_cast<int64_t>(uniform() * static_cast<double>(n)), n - 1);
}

BatchMaker::BatchMaker(NetworkSize size, int64_t frames, const Compute &c) : size_(size), frames_(frames), compute_(c)
{
}

at::Tensor BatchMaker::pixels(const uint8_t *rgb, int64_t frames) const
{
    const at::Tensor packed = borrow(rgb, {frames, size_.height, size_.width, 3}).to(at::kFloat);
    return packed.div(127.5).sub(1).permute({3, 0, 1, 2}).unsqueeze(0).contiguous();
}

at::Tensor BatchMaker::lines(const uint8_t *grey, int64_t frames) const
{
    const at::Tensor paper = lineart_paper_ready(borrow(grey, {frames, 1, size_.height, size_.width}));
    return lineart_sketch(paper, at::kFloat).permute({1, 0, 2, 3}).unsqueeze(0).contiguous();
}

void BatchMaker::add(const mdl_train_sample &s, bool needs_history, const std::string &usual_prompt)
{
    if (!s.color || !s.lines || !s.reference || !s.reference_lines)
        throw Error(MDL_EINVAL, "a sample lacks frames, lines or reference");
    if (needs_history && (!s.history || s.history_frames < 1))
        throw Error(MDL_EINVAL, "a sample of this stage needs a history");
    color_.push_back(pixels(s.color, frames_));
    sketch_.push_back(lines(s.lines, frames_));
    reference_.push_back(pixels(s.reference, 1));
    reference_sketch_.push_back(lines(s.reference_lines, 1));
    batch_.history.push_back(s.history ? borrow(s.history, {s.history_frames, size_.height, size_.width, 3}).clone()
                                       : at::Tensor());
    batch_.prompts.push_back(s.prompt ? s.prompt : usual_prompt);
}

Batch BatchMaker::take()
{
    const auto joined = [this](std::vector<at::Tensor> &parts) {
        const at::Tensor all = at::cat(parts).to(compute_.device);
        parts.clear();
        return all;
    };
    Batch b = std::move(batch_);
    batch_ = {};
    b.color = joined(color_);
    b.sketch = joined(sketch_);
    b.reference = joined(reference_);
    b.reference_sketch = joined(reference_sketch_);
    return b;
}

} // namespace mdl
