#include "model/parameters.h"

#include "model/linear_shapes.h"

namespace lorikeet {
int64_t NormParameters(const ModelConfig& c) {
  return c.num_hidden_layers * (2 * c.hidden_size + (c.qk_norm ? 2 * c.head_dim : 0)) +
         c.hidden_size;
}

int64_t BiasParameters(const ModelConfig& c) {
  int64_t layer = c.qkv_bias ? c.q_size() + 2 * c.kv_size() : 0;
  if (c.o_bias) layer += c.hidden_size;
  if (c.mlp_bias) layer += 2 * c.intermediate_size + c.hidden_size;
  return c.num_hidden_layers * layer;
}

int64_t MatrixParameters(const ModelConfig& c) {
  int64_t layers = 0;
  ForEachShape(c, PlainShapes(c), [&](const LinearShape& linear, int64_t count, int64_t) {
    layers += count * linear.in * linear.out;
  });
  return layers + (c.tie_word_embeddings ? 1 : 2) * c.vocab_size * c.hidden_size;
}

int64_t CountParameters(const ModelConfig& c) {
  return MatrixParameters(c) + NormParameters(c) + BiasParameters(c);
}

}  // namespace lorikeet
