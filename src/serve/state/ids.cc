#include "serve/state/ids.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/error.h"

namespace lorikeet {
namespace {

constexpr std::string_view kIdCharacters = "abcdefghijklmnopqrstuvwxyz234567";
constexpr size_t kIdLength = 26;

}  // namespace

std::string_view IdPrefix(IdKind kind) {
  switch (kind) {
    case IdKind::kFile:
      return "file-";
    case IdKind::kJob:
      return "ftjob-";
    case IdKind::kEvent:
      return "ftevent-";
    case IdKind::kCheckpoint:
      return "ftckpt-";
  }
  CHECK(false);
}

std::string NewId(IdKind kind) {
  std::array<uint8_t, kIdLength> random{};
  ssize_t got = 0;
  do {
    got = getrandom(random.data(), random.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(random.size())) {
    Fail(ErrorCode::kIo, "random numbers of the system: cannot read: {}", std::strerror(errno));
  }
  std::string id(IdPrefix(kind));
  for (const uint8_t byte : random) id += kIdCharacters[byte % kIdCharacters.size()];
  return id;
}

bool IsId(IdKind kind, std::string_view text) {
  const std::string_view prefix = IdPrefix(kind);
  return text.size() == prefix.size() + kIdLength && text.starts_with(prefix) &&
         text.find_first_not_of(kIdCharacters, prefix.size()) == std::string_view::npos;
}

}  // namespace lorikeet
