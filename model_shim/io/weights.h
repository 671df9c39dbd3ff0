// weights.h - the tensors of one network, by name: out of a component folder, a file, or a generator (parity).
//
//   Weights w = Weights::open(dir + "/transformer", {"diffusion_pytorch_model"}, {at::kBFloat16, device});
//   Transformer net(config, w);      // calls w.get(name, shape) for each tensor
//   w.finish();                      // names everything missing, unexpected or misshaped at once
//
// One thread. Tensors outlive the Weights; those that are views of a file keep its mapping alive.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace mdl
{

struct WeightOptions {
    c10::ScalarType dtype = c10::ScalarType::Float; // of computing; the stored types may differ and be mixed
    // The meta device checks names and shapes without reading anything.
    c10::Device device = c10::Device(c10::DeviceType::CPU);
    // Sees every tensor as the network would get it; the network gets what it returns. This is how weights become
    // trainable (train/parameters.h).
    std::function<at::Tensor(const std::string &name, const at::Tensor &tensor)> adopt = {};
};

class Weights
{
  public:
    using Shape = std::vector<int64_t>;

    // `path` is a safetensors file, or a folder holding <stem>.safetensors or <stem>.safetensors.index.json with its
    // shards (also with .fp16 or .bf16 before .safetensors), or exactly one index or file of another name. `stems` are
    // tried in order. Throws Error(MDL_EWEIGHTS).
    static Weights open(const std::string &path, const std::vector<std::string> &stems, const WeightOptions &options);
    // Tensors made on demand by `make`.
    static Weights generated(std::map<std::string, Shape> shapes,
                             std::function<at::Tensor(const std::string &name, const Shape &shape)> make,
                             const WeightOptions &options);

    // The same with whatever name and shape is asked for.
    static Weights generated_on_demand(std::function<at::Tensor(const std::string &name, const Shape &shape)> make,
                                       const WeightOptions &options);

    // The tensor in the type of computing, on the device; no copy where the stored one already fits. A missing or
    // misshaped one is noted for finish() and stands in as zeros, so that one look finds everything.
    at::Tensor get(const std::string &name, at::IntArrayRef shape);
    at::Tensor get(const std::string &name, at::IntArrayRef shape, c10::ScalarType dtype);

    // Only these rows of a tensor, (rows.size(), shape[1], ...): of a large table nothing else is read.
    at::Tensor get_rows(const std::string &name, at::IntArrayRef shape, const std::vector<int64_t> &rows);

    bool has(const std::string &name) const;
    const Shape *shape(const std::string &name) const; // null when there is no such tensor
    std::map<std::string, Shape> shapes() const;       // of everything there is
    // Every problem so far, one sentence each. Tensors nobody asked for are problems, unless their name begins with
    // one of `ignorable`.
    std::vector<std::string> problems(const std::vector<std::string> &ignorable = {}) const;
    void finish(const std::vector<std::string> &ignorable = {}) const;

    const std::string &what() const
    {
        return what_;
    }
    const WeightOptions &options() const
    {
        return options_;
    }
    const std::vector<std::string> &files() const // the files read, index included; empty for a generator
    {
        return files_;
    }
    uint64_t stored_bytes() const
    {
        return stored_bytes_;
    }
    int64_t parameters() const;
    int64_t used_parameters() const; // of the tensors that were asked for

  private:
    struct Item {
        Shape shape;
        std::function<at::Tensor()> read; // stored type, on the CPU
        bool used = false;
    };

    at::Tensor adopted(const std::string &name, const at::Tensor &tensor) const;
    const Item *find(const std::string &name, at::IntArrayRef shape);
    void add_file(const std::string &file, const std::map<std::string, std::string> *index, const std::string &base);
    void add_index(const std::string &folder, const std::string &file);

    std::string what_;
    WeightOptions options_;
    std::map<std::string, Item> items_;
    std::function<at::Tensor(const std::string &, const Shape &)> on_demand_;
    std::vector<std::string> problems_;
    std::vector<std::string> files_;
    uint64_t stored_bytes_ = 0;
};

// The weight file or index of a component, as Weights::open chooses it.
std::string weights_find(const std::string &path, const std::vector<std::string> &stems);

} // namespace mdl
