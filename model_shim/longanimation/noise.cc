// noise.cc - see noise.h.
#include "longanimation/noise.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

namespace mdl
{

SeededNoise::SeededNoise(uint64_t seed, const Compute &c) : seed_(seed), compute_(c)
{
    begin_segment();
}

void SeededNoise::begin_segment()
{
    main_ = at::make_generator<at::CPUGeneratorImpl>(seed_);
    sketch_ = at::make_generator<at::CPUGeneratorImpl>(seed_ + 1);
}

at::Tensor SeededNoise::draw(at::Generator &from, at::IntArrayRef shape) const
{
    return at::randn(shape, from, at::TensorOptions().dtype(at::kFloat)).to(compute_.device, compute_.dtype);
}

at::Tensor SeededNoise::sketch(const std::string &, at::IntArrayRef shape)
{
    return draw(sketch_, shape);
}

at::Tensor SeededNoise::main(const std::string &, at::IntArrayRef shape)
{
    return draw(main_, shape);
}

} // namespace mdl
