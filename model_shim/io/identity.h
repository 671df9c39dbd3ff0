// identity.h - which weights these are, without reading tens of gigabytes: SHA-256 over a sample of the files.
#pragma once
#include <string>
#include <vector>

namespace mdl
{

// 64 hex digits over, file by file in the given order: its size, its first mebibyte (a weight file's header is there)
// and 64 KiB at 64 evenly spaced places. Other weights have other bytes everywhere, so a sample tells them apart; it is
// no proof against somebody who wants to deceive. Throws Error(MDL_EWEIGHTS) for a file that cannot be read.
std::string sample_sha256(const std::vector<std::string> &files);

} // namespace mdl
