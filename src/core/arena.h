// An `Arena` is a bump allocator. Marks nest: `Rewind` frees all blocks taken since a mark.
// Every block is named, so that `Report` can list the blocks held at the high mark.
// Memory is reserved at construction and touched only when used. In a dry run (core/dry.h) tensors
// have addresses only: an arena counts them as it does otherwise, and has a capacity of 4 TiB.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lorikeet {

class Arena {
 public:
  explicit Arena(size_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised memory, aligned to 64 bytes. CHECKs that it fits: sizes are computed
  // before the first step (plan/memory_plan.h), so an overflow is a bug.
  Tensor Take(const char* name, DType dtype, std::initializer_list<int64_t> shape);
  // Grows to at least `bytes`, while nothing is taken: for borrowers that need more than the first
  // one did.
  void Reserve(size_t bytes);
  size_t Mark() const { return used_; }
  void Rewind(size_t mark);
  size_t HighMark() const { return high_; }
  size_t Capacity() const { return size_; }
  // One line per name: bytes held at the high mark, largest first.
  std::string Report() const;
  struct Holding {
    std::string name;
    size_t bytes;
  };
  std::vector<Holding> HoldingsAtHighMark() const;

 private:
  struct Block {
    const char* name;
    size_t begin, end;
  };
  std::byte* base_ = nullptr;
  bool dry_;
  size_t size_ = 0, used_ = 0, high_ = 0;
  std::vector<Block> blocks_, blocks_at_high_;
};

// Frees, at the end of its scope, the blocks taken in it.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.Mark()) {}
  ~ArenaScope() { arena_.Rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  size_t mark_;
};

// Owned memory of one tensor that outlives a step (weights, gradients, moments). Zeroed, 64-byte
// aligned.
class Buffer {
 public:
  Buffer() = default;
  Buffer(DType dtype, std::initializer_list<int64_t> shape);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  const Tensor& tensor() const { return tensor_; }

 private:
  Tensor tensor_;
  size_t bytes_ = 0;  // mapped
};

// Owned memory of many tensors with the lifetime of the pool: weights, gradients, moments. They lie
// one after another in large mappings, and so in large pages: the first touch of thousands of small
// tensors then costs one page fault per 2 MiB instead of one per 4 KiB.
class TensorPool {
 public:
  // Zeroed, 64-byte aligned.
  Tensor Take(DType dtype, std::initializer_list<int64_t> shape);

 private:
  std::vector<Buffer> slabs_;  // each about as large as all before it, so that they stay few
  int64_t used_ = 0;           // bytes used of the last slab
};

}  // namespace lorikeet
