// lineart.h - lines out of colour frames: the "informative drawings" generator (Annotators' sk_model.pth), the
// threshold, and the +1/-1 coding that the sketch path is trained on.
//
// The networks never see grey: a pixel is line (+1) or background (-1).
#pragma once
#include "io/weights.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace mdl
{

// Convolutions with InstanceNorm (no affine, eps 1e-5) between them; widths are read from the weights.
//   model0  ReflectPad3 Conv7      3 ->  64       model3  ConvT3 s2 256 -> 128, ConvT3 s2 128 -> 64
//   model1  Conv3 s2  64 -> 128 -> 256             model4  ReflectPad3 Conv7 64 -> 1, Sigmoid
//   model2  n residual blocks of two ReflectPad1 Conv3 256
class Lineart
{
  public:
    // Opens a folder or file and checks every tensor.
    static Lineart open(const std::string &path, const WeightOptions &options);
    explicit Lineart(Weights &weights);

    // uint8 [F,3,H,W], H and W multiples of 4 -> [F,1,H,W] in (0,1), 1 = paper; type and device of computing.
    // Frames are done in chunks that fit into a few hundred megabytes; they do not influence one another.
    at::Tensor forward(const at::Tensor &frames) const;

    // forward() for one chunk, with the output of every stage ("model0" ... "model3") noted in `stages` if given.
    at::Tensor forward_chunk(const at::Tensor &frames, std::map<std::string, at::Tensor> *stages = nullptr) const;

  private:
    struct Conv {
        at::Tensor weight, bias;
    };
    Conv conv(Weights &weights, const std::string &name, int64_t in, int64_t kernel, int64_t out = 0,
              bool transposed = false);

    Conv entry_, exit_;
    std::vector<Conv> down_, up_;
    std::vector<std::pair<Conv, Conv>> residual_;
};

constexpr double lineart_threshold = 0.78;

// True on paper. `y` as forward() gives it; in bfloat16 the threshold rounds to 0.78125, as in the reference.
at::Tensor lineart_paper(const at::Tensor &y, double threshold = lineart_threshold);
// The same for ready-made line art: uint8 grey (0 line, 255 paper) of any shape, compared in float32.
at::Tensor lineart_paper_ready(const at::Tensor &grey, double threshold = lineart_threshold);
// uint8 [F,3,H,W] -> uint8 [F,1,H,W], ITU-R 601 luma in 16-bit fixed point (Pillow's "L").
at::Tensor lineart_grey(const at::Tensor &frames);

// Paper mask [F,1,H,W] -> [F,3,H,W] of +1 (line) and -1 (paper).
at::Tensor lineart_sketch(const at::Tensor &paper, c10::ScalarType dtype);

} // namespace mdl
