#include "core/heap.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/machine.h"

namespace lorikeet {
namespace {

// False with a sanitizer, whose heap keeps what is freed.
#if defined(__has_feature)
constexpr bool kOwnHeap = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kOwnHeap = false;
#else
constexpr bool kOwnHeap = true;
#endif

// As after parsing: many small blocks are freed below one that stays.
TEST(ReleaseFreedMemory, ReturnsWhatTheHeapKeeps) {
  if (!kOwnHeap) GTEST_SKIP() << "the heap is the sanitizer's";
  constexpr size_t kBlocks = 200'000, kBytes = 200;
  std::vector<std::unique_ptr<char[]>> blocks(kBlocks);
  for (auto& block : blocks) block = std::make_unique<char[]>(kBytes);
  const auto stays = std::make_unique<char[]>(kBytes);
  blocks.clear();
  const int64_t kept = ResidentBytes();
  ReleaseFreedMemory();
  EXPECT_LT(ResidentBytes(), kept - static_cast<int64_t>(kBlocks * kBytes / 2));
}

}  // namespace
}  // namespace lorikeet
