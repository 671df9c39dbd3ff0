#include "longanimation/t5_tokenizer.h"
#include "error.h"
#include "io/json.h"

#include <sentencepiece_processor.h>

#include <filesystem>
#include <nlohmann/json.hpp>

namespace fs = std::filesystem;

namespace mdl
{

namespace
{

constexpr size_t model_max_bytes = size_t{256} << 20;

int64_t sentinel_count(const fs::path &folder)
{
    const fs::path config = folder / "tokenizer_config.json";
    return fs::exists(config) ? json_int(json_read(config), "extra_ids", 100, 0, 10000) : 100;
}

} // namespace

T5Tokenizer::T5Tokenizer(const std::string &path) : processor_(new sentencepiece::SentencePieceProcessor)
{
    const bool folder = fs::is_directory(path);
    const std::string file = folder ? (fs::path(path) / "spiece.model").string() : path;
    const std::string model = read_file(file, model_max_bytes);
    if (const auto status = processor_->LoadFromSerializedProto(model); !status.ok())
        throw Error(MDL_EWEIGHTS, file + ": no sentencepiece model: " + status.ToString());
    pad_ = processor_->pad_id();
    end_ = processor_->eos_id();
    if (pad_ < 0 || end_ < 0 || processor_->unk_id() < 0)
        throw Error(MDL_EWEIGHTS, file + ": no pad, end or unknown token");
    literals_ = {{"<pad>", pad_}, {"</s>", end_}, {"<unk>", processor_->unk_id()}};
    const int64_t count = sentinel_count(folder ? fs::path(path) : fs::path(path).parent_path());
    for (int64_t k = 0; k < count; k++)
        literals_.push_back({"<extra_id_" + std::to_string(k) + ">", pieces() + count - 1 - k});
}

T5Tokenizer::~T5Tokenizer() = default;
T5Tokenizer::T5Tokenizer(T5Tokenizer &&) noexcept = default;

int64_t T5Tokenizer::pieces() const
{
    return processor_->GetPieceSize();
}

std::vector<int64_t> T5Tokenizer::ids(const std::string &text) const
{
    std::vector<int64_t> all;
    const auto encode_part = [&](size_t from, size_t to) {
        if (from == to)
            return;
        std::vector<int> part;
        const auto status = processor_->Encode(std::string_view(text).substr(from, to - from), &part);
        if (!status.ok())
            throw Error(MDL_EINVAL, "text that cannot be encoded: " + status.ToString());
        all.insert(all.end(), part.begin(), part.end());
    };
    size_t done = 0;
    for (size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1))
        for (const Literal &literal : literals_)
            if (!text.compare(at, literal.text.size(), literal.text)) {
                encode_part(done, at);
                all.push_back(literal.id);
                done = at + literal.text.size();
                at = done - 1;
                break;
            }
    encode_part(done, text.size());
    return all;
}

std::vector<int64_t> T5Tokenizer::encode(const std::string &text, int64_t length) const
{
    if (length < 1)
        throw Error(MDL_EINVAL, "a text needs room for its end token");
    std::vector<int64_t> all = ids(text);
    all.resize(std::min(all.size(), static_cast<size_t>(length - 1)));
    if (all.empty() || all.back() != end_)
        all.push_back(end_);
    all.resize(static_cast<size_t>(length), pad_);
    return all;
}

} // namespace mdl
