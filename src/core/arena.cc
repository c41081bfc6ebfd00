#include "core/arena.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "core/dry.h"
#include "core/error.h"
#include "core/round_up.h"

namespace lorikeet {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kDryPage = 4096;
constexpr size_t kDryArena = size_t{1} << 42;

// Anonymous pages: zeroed, and resident only once touched.
std::byte* MapAnonymous(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    Fail(
        ErrorCode::kOutOfMemory,
        "cannot reserve {} MiB of address space ({}); raise its limit (ulimit -v), or make the run "
        "smaller: lorikeet estimate tells what it needs",
        bytes >> 20, std::strerror(errno));
  }
  // Large pages cut the page faults and TLB misses of first use; best effort.
  if (bytes >= (size_t{8} << 20)) madvise(p, bytes, MADV_HUGEPAGE);
  return static_cast<std::byte*>(p);
}

// Addresses of a dry run, different from those of all others alive. They lie above what Linux gives
// to programs that do not ask for more than 47 (x86-64) or 48 bits (AArch64).
// `next` goes round in [begin, 2 * begin): those of long ago are no longer in use.
std::byte* DryAddresses(size_t bytes, uintptr_t begin, uintptr_t* next) {
  if (*next < begin || bytes > 2 * begin - *next) *next = begin;
  auto* address = reinterpret_cast<std::byte*>(*next);  // NOLINT(performance-no-int-to-ptr)
  *next += (bytes + kDryPage - 1) / kDryPage * kDryPage;
  return address;
}
thread_local uintptr_t next_dry_arena = 0, next_dry_buffer = 0;

Tensor Shaped(void* data, DType dtype, std::initializer_list<int64_t> shape) {
  return Tensor(data, dtype, shape);
}

}  // namespace

Arena::Arena(size_t bytes)
    : dry_(DryScope::active()), size_(dry_ ? kDryArena : RoundUp(std::max(bytes, kAlign), kAlign)) {
  base_ = dry_ ? DryAddresses(size_, uintptr_t{1} << 53, &next_dry_arena) : MapAnonymous(size_);
}

Arena::~Arena() {
  if (base_ != nullptr && !dry_) munmap(base_, size_);
}

Tensor Arena::Take(const char* name, DType dtype, std::initializer_list<int64_t> shape) {
  Tensor tensor = Shaped(base_ + used_, dtype, shape);
  const size_t end = used_ + RoundUp(static_cast<size_t>(tensor.bytes()), kAlign);
  if (end > size_) {
    std::fprintf(stderr, "arena: '%s' needs %zu bytes, %zu of %zu are free\n%s", name, end - used_,
                 size_ - used_, size_, Report().c_str());
  }
  CHECK(end <= size_);
  blocks_.push_back({name, used_, end});
  used_ = end;
  if (used_ > high_) {
    high_ = used_;
    blocks_at_high_ = blocks_;
  }
  return tensor;
}

void Arena::Reserve(size_t bytes) {
  if (dry_ || bytes <= size_) return;
  CHECK(used_ == 0);
  munmap(base_, size_);
  base_ = nullptr;
  size_ = RoundUp(bytes, kAlign);
  base_ = MapAnonymous(size_);
}

void Arena::Rewind(size_t mark) {
  CHECK(mark <= used_);
  while (!blocks_.empty() && blocks_.back().begin >= mark) blocks_.pop_back();
  used_ = mark;
}

std::vector<Arena::Holding> Arena::HoldingsAtHighMark() const {
  std::map<std::string, size_t> sums;
  for (const Block& block : blocks_at_high_) sums[block.name] += block.end - block.begin;
  std::vector<Holding> holdings;
  holdings.reserve(sums.size());
  for (const auto& [name, bytes] : sums) holdings.push_back({name, bytes});
  std::stable_sort(holdings.begin(), holdings.end(),
                   [](const Holding& a, const Holding& b) { return a.bytes > b.bytes; });
  return holdings;
}

std::string Arena::Report() const {
  std::string report;
  for (const Holding& holding : HoldingsAtHighMark()) {
    report += fmt::format("{:>10.1f} MiB  {}\n", static_cast<double>(holding.bytes) / (1 << 20),
                          holding.name);
  }
  return report;
}

Buffer::Buffer(DType dtype, std::initializer_list<int64_t> shape) {
  tensor_ = Shaped(nullptr, dtype, shape);
  const size_t bytes = RoundUp(std::max(static_cast<size_t>(tensor_.bytes()), kAlign), kAlign);
  if (DryScope::active()) {
    tensor_.data = DryAddresses(bytes, uintptr_t{1} << 54, &next_dry_buffer);
    return;
  }
  tensor_.data = MapAnonymous(bytes);
  bytes_ = bytes;
}

Buffer::~Buffer() {
  if (bytes_ != 0) munmap(tensor_.data, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : tensor_(std::exchange(other.tensor_, Tensor())), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(tensor_, other.tensor_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Tensor TensorPool::Take(DType dtype, std::initializer_list<int64_t> shape) {
  constexpr int64_t kMinSlab = int64_t{32} << 20;  // bytes; an unused part does not become resident
  Tensor tensor = Shaped(nullptr, dtype, shape);
  const auto bytes = static_cast<int64_t>(RoundUp(static_cast<size_t>(tensor.bytes()), kAlign));
  if (slabs_.empty() || used_ + bytes > slabs_.back().tensor().size()) {
    int64_t before = 0;
    for (const Buffer& buffer : slabs_) before += buffer.tensor().size();
    const int64_t slab = std::max({bytes, kMinSlab, before});
    slabs_.emplace_back(DType::kU8, std::initializer_list<int64_t>{slab});
    used_ = 0;
  }
  tensor.data = static_cast<std::byte*>(slabs_.back().tensor().data) + used_;
  used_ += bytes;
  return tensor;
}

}  // namespace lorikeet
