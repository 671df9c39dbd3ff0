// state.h - what one segment hands to the next when a run is interrupted between them: a checked, versioned envelope
// around a back end's own bytes.
//
// Layout, little endian, no padding:
//   8 magic "LAstate1" | 8 fingerprint of run and model | 4 segment | 4 zero | 8 payload size | 8 payload hash |
//   payload
// A state goes only into the run that it came from: another model, parameter, seed or version has another fingerprint.
// Threads: pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mdl
{

// FNV-1a over bytes; `seed` continues an earlier hash.
constexpr uint64_t hash_start = 14695981039346656037ull;
uint64_t hash_bytes(const void *data, size_t size, uint64_t seed = hash_start);

// Collects what a run depends on into one number.
class Fingerprint
{
  public:
    Fingerprint &add(std::string_view text);
    Fingerprint &add(int64_t number);
    Fingerprint &add(double number);
    uint64_t value() const
    {
        return hash;
    }

  private:
    uint64_t hash = hash_start;
};

std::vector<uint8_t> state_pack(uint64_t fingerprint, int32_t segment, const std::vector<uint8_t> &payload);

// The payload inside `state` (borrowed). Throws Error(MDL_EINVAL) saying what does not fit: damaged, of another run, or
// not of segment `segment`.
std::string_view state_open(const void *state, uint64_t size_bytes, uint64_t fingerprint, int32_t segment);

} // namespace mdl
