// t5_tokenizer.h - text -> ids of T5, by libsentencepiece. (transformers T5Tokenizer, slow, legacy)
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sentencepiece
{
class SentencePieceProcessor;
}

namespace mdl
{

// Immutable; any thread.
class T5Tokenizer
{
  public:
    // A tokenizer folder (spiece.model and, where present, tokenizer_config.json) or a model file.
    explicit T5Tokenizer(const std::string &path);
    ~T5Tokenizer();
    T5Tokenizer(T5Tokenizer &&) noexcept;

    // Exactly `length` ids: the text's, cut so that the end token fits, then padding. Text is taken as it is, after
    // cutting it at the literals <pad>, </s>, <unk> and <extra_id_k>, which stand for themselves.
    std::vector<int64_t> encode(const std::string &text, int64_t length) const;
    // The same without cutting and padding: what the text comes to, end token left out.
    std::vector<int64_t> ids(const std::string &text) const;

    int64_t pieces() const; // sentinels not counted
    int64_t sentinels() const
    {
        return static_cast<int64_t>(literals_.size()) - 3;
    }

  private:
    struct Literal {
        std::string text;
        int64_t id;
    };

    std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
    std::vector<Literal> literals_;
    int64_t pad_ = 0, end_ = 1;
};

} // namespace mdl
