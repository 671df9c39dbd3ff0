#include "io/weights.h"
#include "error.h"
#include "io/json.h"
#include "io/safetensors.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <set>

namespace fs = std::filesystem;

namespace mdl
{

namespace
{

constexpr const char *file_suffix = ".safetensors", *index_suffix = ".safetensors.index.json";
constexpr size_t problems_shown = 12;

bool ends_with(const std::string &text, const std::string &end)
{
    return text.size() >= end.size() && !text.compare(text.size() - end.size(), end.size(), end);
}

std::string shape_text(at::IntArrayRef shape)
{
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); i++)
        text += (i ? "," : "") + std::to_string(shape[i]);
    return text + "]";
}

// The only file of its kind in a folder; an index counts before single files.
std::string only_file(const fs::path &folder)
{
    std::vector<std::string> indices, files;
    for (const auto &entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename();
        if (ends_with(name, index_suffix))
            indices.push_back(entry.path());
        else if (ends_with(name, file_suffix))
            files.push_back(entry.path());
    }
    const auto &found = indices.empty() ? files : indices;
    if (found.size() != 1)
        throw Error(MDL_EWEIGHTS, folder.string() + ": " + (found.empty() ? "no" : "more than one possible") +
                                      " safetensors file or index");
    return found.front();
}

std::map<std::string, std::string> read_index(const std::string &path)
{
    const Json index = json_read(path);
    std::map<std::string, std::string> files;
    const Json &weight_map = json_need(index, "weight_map");
    if (!weight_map.is_object() || weight_map.empty())
        throw Error(MDL_EWEIGHTS, path + ": weight_map is no object with anything in it");
    for (const auto &[name, file] : weight_map.items()) {
        const std::string value = file.is_string() ? file.get<std::string>() : "";
        if (!ends_with(value, file_suffix) || value.find_first_of(std::string("/\\\0", 3)) != std::string::npos ||
            value[0] == '.')
            throw Error(MDL_EWEIGHTS, path + ": \"" + name + "\" is in no file of this folder: \"" + value + "\"");
        files.emplace(name, value);
    }
    return files;
}

// Integers would become numbers of another meaning.
at::Tensor weight_of(const Safetensors &file, const std::string &name)
{
    const at::Tensor stored = file.tensor(name);
    if (!stored.is_floating_point())
        throw Error(MDL_EWEIGHTS,
                    "\"" + name + "\" is stored as " + c10::toString(stored.scalar_type()) + ", no type of weights");
    return stored;
}

} // namespace

std::string weights_find(const std::string &path, const std::vector<std::string> &stems)
try {
    if (!fs::is_directory(path)) {
        if (!fs::exists(path))
            throw Error(MDL_EWEIGHTS, path + ": not found");
        return path;
    }
    for (const std::string &stem : stems)
        for (const char *variant : {"", ".fp16", ".bf16"})
            for (const char *suffix : {index_suffix, file_suffix}) {
                const fs::path file = fs::path(path) / (stem + variant + suffix);
                if (fs::exists(file))
                    return file;
            }
    return only_file(path);
} catch (const fs::filesystem_error &e) {
    throw Error(MDL_EWEIGHTS, e.what());
}

Weights Weights::open(const std::string &path, const std::vector<std::string> &stems, const WeightOptions &options)
{
    const fs::path file = weights_find(path, stems);
    Weights w;
    w.what_ = path;
    w.options_ = options;
    if (ends_with(file.string(), ".json"))
        w.add_index(file.parent_path(), file);
    else
        w.add_file(file, nullptr, "");
    return w;
}

void Weights::add_index(const std::string &folder, const std::string &file)
{
    const auto index = read_index(file);
    files_.push_back(file);
    std::set<std::string> shards;
    for (const auto &[name, shard] : index)
        shards.insert(shard);
    for (const std::string &shard : shards)
        add_file((fs::path(folder) / shard).string(), &index, shard);
    for (const auto &[name, shard] : index)
        if (!items_.count(name))
            problems_.push_back("\"" + name + "\" is not in " + shard + " as the index says");
}

void Weights::add_file(const std::string &file, const std::map<std::string, std::string> *index,
                       const std::string &base)
{
    const auto opened = Safetensors::open(file);
    files_.push_back(file);
    stored_bytes_ += opened->size_bytes();
    for (const auto &[name, entry] : opened->entries()) {
        if (index) {
            auto it = index->find(name);
            if (it == index->end() || it->second != base) {
                problems_.push_back("\"" + name + "\" is in " + base + " but the index does not say so");
                continue;
            }
        }
        items_.emplace(name, Item{entry.shape, [opened, name = name] { return weight_of(*opened, name); }});
    }
}

Weights Weights::generated(std::map<std::string, Shape> shapes,
                           std::function<at::Tensor(const std::string &, const Shape &)> make,
                           const WeightOptions &options)
{
    Weights w;
    w.what_ = "generated weights";
    w.options_ = options;
    for (const auto &[name, shape] : shapes)
        w.items_.emplace(name, Item{shape, [make, name = name, shape = shape] { return make(name, shape); }});
    return w;
}

Weights Weights::generated_on_demand(std::function<at::Tensor(const std::string &, const Shape &)> make,
                                     const WeightOptions &options)
{
    Weights w;
    w.what_ = "generated weights";
    w.options_ = options;
    w.on_demand_ = std::move(make);
    return w;
}

at::Tensor Weights::get(const std::string &name, at::IntArrayRef shape)
{
    return get(name, shape, options_.dtype);
}

// The item, marked as used; null with the problem noted when it is missing or has another shape.
const Weights::Item *Weights::find(const std::string &name, at::IntArrayRef shape)
{
    auto it = items_.find(name);
    if (it == items_.end()) {
        problems_.push_back("\"" + name + "\" " + shape_text(shape) + " is missing");
        return nullptr;
    }
    Item &item = it->second;
    item.used = true;
    if (at::IntArrayRef(item.shape) == shape)
        return &item;
    problems_.push_back("\"" + name + "\" has the shape " + shape_text(item.shape) + ", not " + shape_text(shape));
    return nullptr;
}

at::Tensor Weights::get(const std::string &name, at::IntArrayRef shape, c10::ScalarType dtype)
{
    const auto wanted = at::TensorOptions().dtype(dtype).device(options_.device);
    if (on_demand_)
        return adopted(name, on_demand_(name, shape.vec()).to(wanted));
    const Item *item = find(name, shape);
    if (!item)
        return at::zeros({}, wanted).expand(shape);
    if (options_.device.is_meta())
        return at::empty(shape, wanted);
    const at::Tensor stored = item->read();
    // To the device first: the stored form is never larger than needed, and converting is faster there.
    return adopted(name, stored.to(options_.device).to(dtype));
}

at::Tensor Weights::adopted(const std::string &name, const at::Tensor &tensor) const
{
    return options_.adopt ? options_.adopt(name, tensor) : tensor;
}

at::Tensor Weights::get_rows(const std::string &name, at::IntArrayRef shape, const std::vector<int64_t> &rows)
{
    const auto wanted = at::TensorOptions().dtype(options_.dtype).device(options_.device);
    std::vector<int64_t> chosen = shape.vec();
    chosen.at(0) = static_cast<int64_t>(rows.size());
    for (int64_t row : rows)
        if (row < 0 || row >= shape[0])
            throw Error(MDL_EWEIGHTS, "\"" + name + "\" has no row " + std::to_string(row));
    if (on_demand_) {
        const at::Tensor table = on_demand_(name, shape.vec());
        return table.is_meta() ? at::empty(chosen, wanted)
                               : table.index_select(0, at::tensor(rows, at::kLong).to(table.device())).to(wanted);
    }
    const Item *item = find(name, shape);
    if (!item)
        return at::zeros({}, wanted).expand(chosen);
    if (options_.device.is_meta())
        return at::empty(chosen, wanted);
    return item->read().index_select(0, at::tensor(rows, at::kLong)).to(wanted);
}

bool Weights::has(const std::string &name) const
{
    return on_demand_ || items_.count(name) > 0;
}

const Weights::Shape *Weights::shape(const std::string &name) const
{
    auto it = items_.find(name);
    return it == items_.end() ? nullptr : &it->second.shape;
}

std::map<std::string, Weights::Shape> Weights::shapes() const
{
    std::map<std::string, Shape> all;
    for (const auto &[name, item] : items_)
        all.emplace(name, item.shape);
    return all;
}

std::vector<std::string> Weights::problems(const std::vector<std::string> &ignorable) const
{
    std::vector<std::string> all = problems_;
    for (const auto &[name, item] : items_) {
        if (item.used)
            continue;
        const auto begins = [&name = name](const std::string &prefix) { return name.rfind(prefix, 0) == 0; };
        if (std::none_of(ignorable.begin(), ignorable.end(), begins))
            all.push_back("\"" + name + "\" " + shape_text(item.shape) + " is unexpected");
    }
    return all;
}

void Weights::finish(const std::vector<std::string> &ignorable) const
{
    const auto all = problems(ignorable);
    if (all.empty())
        return;
    std::string text = what_ + ": " + std::to_string(all.size()) + (all.size() == 1 ? " problem: " : " problems: ");
    for (size_t i = 0; i < std::min(all.size(), problems_shown); i++)
        text += (i ? "; " : "") + all[i];
    throw Error(MDL_EWEIGHTS, text + (all.size() > problems_shown ? "; ..." : ""));
}

int64_t Weights::parameters() const
{
    int64_t count = 0;
    for (const auto &[name, item] : items_)
        count += c10::multiply_integers(item.shape);
    return count;
}

int64_t Weights::used_parameters() const
{
    int64_t count = 0;
    for (const auto &[name, item] : items_)
        count += item.used ? c10::multiply_integers(item.shape) : 0;
    return count;
}

} // namespace mdl
