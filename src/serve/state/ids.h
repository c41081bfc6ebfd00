// An `IdKind` is a kind of stored object; ids of a kind are its prefix ("file-", "ftjob-") and 26
// random characters of a-z and 2-7: 130 bits that cannot be guessed, safe in URLs and file names.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

enum class IdKind : uint8_t { kFile, kJob, kEvent, kCheckpoint };

// "file-", "ftjob-", "ftevent-", "ftckpt-".
std::string_view IdPrefix(IdKind kind);
// From the system's random numbers. Throws Error(kIo) if it has none.
std::string NewId(IdKind kind);
// Whether `text` has the form of an id of that kind. Only such a text becomes part of a path.
bool IsId(IdKind kind, std::string_view text);

}  // namespace lorikeet
