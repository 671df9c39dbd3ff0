// identity.cc - see identity.h.
#include "io/identity.h"

#include "error.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>

namespace mdl
{
namespace
{

constexpr int64_t head_bytes = 1 << 20, sample_bytes = 1 << 16, samples = 64;

class Sha256
{
  public:
    Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free)
    {
        if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
            throw Error(MDL_EINTERNAL, "SHA-256 is not available");
    }
    void add(const void *data, size_t size)
    {
        if (EVP_DigestUpdate(context_.get(), data, size) != 1)
            throw Error(MDL_EINTERNAL, "SHA-256 failed");
    }
    std::string hex()
    {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned int size = 0;
        if (EVP_DigestFinal_ex(context_.get(), digest, &size) != 1)
            throw Error(MDL_EINTERNAL, "SHA-256 failed");
        std::string text;
        for (unsigned int i = 0; i < size; i++) {
            text += "0123456789abcdef"[digest[i] >> 4];
            text += "0123456789abcdef"[digest[i] & 15];
        }
        return text;
    }

  private:
    std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX *)> context_;
};

void add_part(Sha256 &hash, std::ifstream &file, const std::string &path, int64_t at, int64_t size)
{
    std::string part(static_cast<size_t>(size), '\0');
    file.seekg(at);
    if (!file.read(part.data(), size))
        fail(MDL_EWEIGHTS, "%s cannot be read", path.c_str());
    hash.add(part.data(), part.size());
}

void add_file(Sha256 &hash, const std::string &path)
{
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const int64_t size = static_cast<int64_t>(file.tellg());
    if (!file || size < 0)
        fail(MDL_EWEIGHTS, "%s cannot be read", path.c_str());
    const std::string length = std::to_string(size) + "\n";
    hash.add(length.data(), length.size());
    add_part(hash, file, path, 0, std::min(size, head_bytes));
    if (size > head_bytes + sample_bytes)
        for (int64_t i = 0; i < samples; i++)
            add_part(hash, file, path, head_bytes + (size - head_bytes - sample_bytes) / (samples - 1) * i,
                     sample_bytes);
}

} // namespace

std::string sample_sha256(const std::vector<std::string> &files)
{
    Sha256 hash;
    for (const std::string &path : files)
        add_file(hash, path);
    return hash.hex();
}

} // namespace mdl
