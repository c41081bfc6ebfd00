#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/parallel.h"
#include "model/block.h"

namespace lorikeet {
namespace {

// First byte of a row of a head's page; t (K, P, kPagePositions, Dh).
std::byte* RowOf(const Tensor& t, int64_t head, int32_t page, int64_t row) {
  const int64_t element = ((head * t.shape[1] + page) * kPagePositions + row) * t.shape[3];
  return static_cast<std::byte*>(t.data) + DTypeBytes(t.dtype, element);
}

size_t RowBytes(const Tensor& t, int64_t rows) {
  return static_cast<size_t>(DTypeBytes(t.dtype, rows * t.shape[3]));
}

// The decoding state of a layer: that of its attention block.
StateShape StateOf(const LayerSpec& layer) {
  StateShape state;
  for (const SublayerSpec& sublayer : layer.sublayers) {
    for (const BlockSpec& branch : sublayer.branches) {
      const StateShape own = std::visit([](const auto& s) { return DecodingState(s); }, branch);
      CHECK(own.kv_heads == 0 || state.kv_heads == 0);  // one per layer
      if (own.kv_heads > 0) state = own;
    }
  }
  return state;
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, DType dtype, int64_t pages)
    : references_(static_cast<size_t>(pages)),
      used_before_(static_cast<size_t>(pages)),
      free_(pages) {
  for (const LayerSpec& layer : config.layers) {
    const StateShape state = StateOf(layer);
    for (std::vector<Buffer>* buffers : {&k_, &v_}) {
      buffers->emplace_back(dtype, std::initializer_list<int64_t>{state.kv_heads, pages,
                                                                  kPagePositions, state.head_dim});
    }
  }
}

size_t KvCache::Bytes(const ModelConfig& config, DType dtype, int64_t pages) {
  int64_t elements = 0;
  for (const LayerSpec& layer : config.layers) {
    const StateShape state = StateOf(layer);
    elements += 2 * pages * kPagePositions * state.kv_heads * state.head_dim;
  }
  return static_cast<size_t>(DTypeBytes(dtype, elements));
}

int32_t KvCache::Allocate(int32_t previous) {
  CHECK(free_ > 0);
  const auto is_free = [&](int64_t page) {
    return page < pages() && references_[static_cast<size_t>(page)] == 0;
  };
  int64_t page = previous + 1;
  if (!is_free(page)) {
    page = std::find(references_.begin(), references_.end(), 0) - references_.begin();
  }
  const auto index = static_cast<size_t>(page);
  references_[index] = 1;
  --free_;
  if (used_before_[index]) ZeroRows(static_cast<int32_t>(page), 0);
  used_before_[index] = true;
  return static_cast<int32_t>(page);
}

void KvCache::Share(int32_t page) {
  CHECK(references(page) > 0);
  ++references_[static_cast<size_t>(page)];
}

void KvCache::Release(int32_t page) {
  CHECK(references(page) > 0);
  if (--references_[static_cast<size_t>(page)] == 0) ++free_;
}

void KvCache::CopyRows(int32_t from, int32_t to, int64_t rows) {
  CHECK(references(from) > 0 && references(to) > 0 && rows <= kPagePositions);
  ParallelRanges(static_cast<int64_t>(k_.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) {
      for (const Tensor& t : {k(l), v(l)}) {
        for (int64_t h = 0; h < t.shape[0]; ++h) {
          std::memcpy(RowOf(t, h, to, 0), RowOf(t, h, from, 0), RowBytes(t, rows));
        }
      }
    }
  });
}

void KvCache::ZeroRows(int32_t page, int64_t first_row) {
  ParallelRanges(static_cast<int64_t>(k_.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) {
      for (const Tensor& t : {k(l), v(l)}) {
        for (int64_t h = 0; h < t.shape[0]; ++h) {
          std::memset(RowOf(t, h, page, first_row), 0, RowBytes(t, kPagePositions - first_row));
        }
      }
    }
  });
}

}  // namespace lorikeet
