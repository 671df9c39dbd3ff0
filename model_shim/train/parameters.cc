// parameters.cc - see parameters.h.
#include "train/parameters.h"

#include "error.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace mdl
{
namespace
{

struct Row {
    const char *name;
    Part part;
    const char *component;
    std::vector<const char *> prefixes; // of the keys; "" = all
};

const std::vector<Row> &table()
{
    static const std::vector<Row> rows = {
        {"vae", Part::vae, "vae", {""}},
        {"vae.encoder", Part::vae, "vae", {"encoder."}},
        {"vae.decoder", Part::vae, "vae", {"decoder."}},
        {"transformer", Part::transformer, "transformer", {""}},
        {"transformer.embed", Part::transformer, "transformer", {"patch_embed."}},
        {"transformer.time", Part::transformer, "transformer", {"time_embedding.", "ofs_embedding."}},
        {"transformer.blocks", Part::transformer, "transformer", {"transformer_blocks."}},
        {"transformer.head", Part::transformer, "transformer", {"norm_final.", "norm_out.", "proj_out."}},
        {"sketch_dit", Part::sketch_dit, "sketch_dit", {""}},
        {"sketch_dit.blocks", Part::sketch_dit, "sketch_dit", {"transformer_blocks."}},
        {"sketch_dit.zero_conv", Part::sketch_dit, "sketch_dit", {"zero_conv."}},
        {"memory", Part::memory, "memory", {""}},
        {"memory.mapping", Part::memory, "memory", {"key_mapping_", "value_mapping_"}},
        {"memory.layers", Part::memory, "memory", {"layers.", "proj_out"}},
    };
    return rows;
}

bool begins_with(const std::string &text, const char *prefix)
{
    return text.rfind(prefix, 0) == 0;
}

bool matches(const Row &row, const std::string &key)
{
    return std::any_of(row.prefixes.begin(), row.prefixes.end(),
                       [&key](const char *prefix) { return begins_with(key, prefix); });
}

// The matrices that Muon is for: maps between hidden states. Embeddings, modulations and heads are AdamW's.
bool is_hidden_matrix(const std::string &key, const at::Tensor &t)
{
    if (t.dim() != 2)
        return false;
    for (const char *place : {".attn1.to_", ".ff.net.", "zero_conv", ".to_q", ".to_k", ".to_v", ".to_out"})
        if (key.find(place) != std::string::npos)
            return true;
    return begins_with(key, "layers.");
}

} // namespace

Parameters::Parameters(const std::string &names)
{
    for (size_t from = 0; from < names.size();) {
        const size_t to = std::min(names.find(',', from), names.size());
        const std::string name = names.substr(from, to - from);
        const auto row = std::find_if(table().begin(), table().end(), [&name](const Row &r) { return name == r.name; });
        if (row == table().end())
            fail(MDL_EINVAL, "no part that can train is called \"%s\"", name.c_str());
        rows_.push_back(static_cast<size_t>(row - table().begin()));
        from = to + 1;
    }
    if (rows_.empty())
        throw Error(MDL_EINVAL, "no part is to train");
}

std::vector<std::string> Parameters::part_names()
{
    std::vector<std::string> names;
    for (const Row &row : table())
        names.emplace_back(row.name);
    return names;
}

bool Parameters::trains(Part p) const
{
    return std::any_of(rows_.begin(), rows_.end(), [p](size_t i) { return table()[i].part == p; });
}

WeightOptions Parameters::options(Part p, const WeightOptions &usual)
{
    if (!trains(p))
        return usual;
    WeightOptions own = usual;
    own.dtype = at::kFloat;
    own.adopt = [this, p, usual](const std::string &key, const at::Tensor &stored) {
        const auto chosen = std::find_if(rows_.begin(), rows_.end(), [p, &key](size_t i) {
            return table()[i].part == p && matches(table()[i], key);
        });
        if (chosen == rows_.end())
            return stored.to(usual.dtype);
        // A copy: what is stored is a view of a file.
        const at::Tensor leaf = stored.to(at::kFloat, false, true).contiguous().set_requires_grad(true);
        all_.push_back({std::string(table()[*chosen].component) + "/" + key, leaf, {}, is_hidden_matrix(key, leaf)});
        return leaf;
    };
    return own;
}

void Parameters::loaded(bool averaged)
{
    const c10::AutoGradMode off(false);
    for (size_t i : rows_)
        if (std::none_of(all_.begin(), all_.end(), [i](const Parameter &p) {
                const std::string component = std::string(table()[i].component) + "/";
                return begins_with(p.name, component.c_str()) && matches(table()[i], p.name.substr(component.size()));
            }))
            fail(MDL_EINVAL, "this model has no weights called %s", table()[i].name);
    std::sort(all_.begin(), all_.end(), [](const Parameter &a, const Parameter &b) { return a.name < b.name; });
    for (Parameter &p : all_)
        if (averaged)
            p.average = p.value.detach().clone();
}

int64_t Parameters::count() const
{
    int64_t n = 0;
    for (const Parameter &p : all_)
        n += p.value.numel();
    return n;
}

void Parameters::average(double decay, int64_t step)
{
    const c10::AutoGradMode off(false);
    // Early steps count for more than the decay says, else the start would be remembered for long.
    const double kept = std::min(decay, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
    for (Parameter &p : all_)
        if (p.average.defined())
            p.average.lerp_(p.value.detach(), 1 - kept);
}

AveragesInUse::AveragesInUse(Parameters &p) : parameters_(p)
{
    swap();
}

AveragesInUse::~AveragesInUse()
{
    swap();
}

void AveragesInUse::swap()
{
    const c10::AutoGradMode off(false);
    for (Parameter &p : parameters_.all()) {
        if (!p.average.defined())
            continue;
        const at::Tensor value = p.value.detach().clone();
        p.value.copy_(p.average);
        p.average.copy_(value);
    }
}

} // namespace mdl
