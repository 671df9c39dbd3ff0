// state.cc - see state.h.
#include "state.h"

#include "error.h"

#include <cstring>

namespace mdl
{
namespace
{

constexpr char magic[8] = {'L', 'A', 's', 't', 'a', 't', 'e', '1'};
constexpr size_t header_bytes = 40;

void put(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t get(const uint8_t *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= static_cast<uint64_t>(in[i]) << (8 * i);
    return value;
}

} // namespace

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    const uint8_t *bytes = static_cast<const uint8_t *>(data);
    uint64_t h = seed;
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 1099511628211ull;
    return h;
}

Fingerprint &Fingerprint::add(std::string_view text)
{
    add(static_cast<int64_t>(text.size()));
    hash = hash_bytes(text.data(), text.size(), hash);
    return *this;
}

Fingerprint &Fingerprint::add(int64_t number)
{
    uint8_t bytes[8];
    put(bytes, static_cast<uint64_t>(number), 8);
    hash = hash_bytes(bytes, sizeof bytes, hash);
    return *this;
}

Fingerprint &Fingerprint::add(double number)
{
    int64_t bits;
    static_assert(sizeof bits == sizeof number);
    std::memcpy(&bits, &number, sizeof bits);
    return add(bits);
}

std::vector<uint8_t> state_pack(uint64_t fingerprint, int32_t segment, const std::vector<uint8_t> &payload)
{
    std::vector<uint8_t> out(header_bytes + payload.size());
    std::memcpy(out.data(), magic, sizeof magic);
    put(out.data() + 8, fingerprint, 8);
    put(out.data() + 16, static_cast<uint32_t>(segment), 4);
    put(out.data() + 24, payload.size(), 8);
    put(out.data() + 32, hash_bytes(payload.data(), payload.size()), 8);
    if (!payload.empty())
        std::memcpy(out.data() + header_bytes, payload.data(), payload.size());
    return out;
}

std::string_view state_open(const void *state, uint64_t size_bytes, uint64_t fingerprint, int32_t segment)
{
    const uint8_t *in = static_cast<const uint8_t *>(state);
    if (!in || size_bytes < header_bytes || std::memcmp(in, magic, sizeof magic) != 0)
        throw Error(MDL_EINVAL, "the resume state is not one of this program");
    const uint64_t payload_bytes = get(in + 24, 8);
    if (payload_bytes != size_bytes - header_bytes ||
        get(in + 32, 8) != hash_bytes(in + header_bytes, static_cast<size_t>(payload_bytes)))
        throw Error(MDL_EINVAL, "the resume state is damaged");
    if (get(in + 8, 8) != fingerprint)
        throw Error(MDL_EINVAL, "the resume state belongs to a run with other parameters, another model or version");
    if (get(in + 16, 4) != static_cast<uint32_t>(segment))
        fail(MDL_EINVAL, "the resume state is of segment %lld, not %d", static_cast<long long>(get(in + 16, 4)),
             segment);
    return {reinterpret_cast<const char *>(in + header_bytes), static_cast<size_t>(payload_bytes)};
}

} // namespace mdl
