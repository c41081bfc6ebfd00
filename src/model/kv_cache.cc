#include "model/kv_cache.h"

#include "kernels/attention.h"

namespace lorikeet {
namespace {

int64_t RoundUp(int64_t capacity) {
  return (capacity + kAttentionBlock - 1) / kAttentionBlock * kAttentionBlock;
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, DType dtype, int64_t slots, int64_t capacity)
    : slots_(slots), capacity_(RoundUp(capacity)) {
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    k_.emplace_back(dtype, std::initializer_list<int64_t>{slots_, config.num_key_value_heads,
                                                          capacity_, config.head_dim});
    v_.emplace_back(dtype, std::initializer_list<int64_t>{slots_, config.num_key_value_heads,
                                                          capacity_, config.head_dim});
  }
}

size_t KvCache::Bytes(const ModelConfig& config, DType dtype, int64_t slots, int64_t capacity) {
  return static_cast<size_t>(2 * config.num_hidden_layers *
                             DTypeBytes(dtype, slots * RoundUp(capacity) * config.kv_size()));
}

}  // namespace lorikeet
