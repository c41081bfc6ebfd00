#include "model/source_config.h"

#include <algorithm>
#include <cstring>

#include "core/arena.h"

namespace lorikeet {
namespace {

constexpr const char *kHead = "lm_head.weight", *kEmbedding = "model.embed_tokens.weight";

// Whether two matrices of one shape have the same values; a few rows of each in memory at a time.
bool SameValues(const ModelSource& source, const ModelSource::Entry& a,
                const ModelSource::Entry& b) {
  constexpr int64_t kPiece = int64_t{1} << 18;  // elements
  const int64_t rows = a.shape[0], cols = a.shape[1];
  const int64_t height = std::clamp<int64_t>(kPiece / std::max<int64_t>(cols, 1), 1, rows);
  const Buffer of_a(DType::kF32, {height, cols}), of_b(DType::kF32, {height, cols});
  for (int64_t begin = 0; begin < rows; begin += height) {
    const int64_t end = std::min(rows, begin + height);
    source.ReadRows(a.name, begin, end, DType::kF32, of_a.tensor().data);
    source.ReadRows(b.name, begin, end, DType::kF32, of_b.tensor().data);
    const auto bytes = static_cast<size_t>(of_a.tensor().Rows(0, end - begin).bytes());
    if (std::memcmp(of_a.tensor().data, of_b.tensor().data, bytes) != 0) return false;
  }
  return true;
}

// As transformers decides it when both are in the checkpoint.
bool HasOwnHead(const ModelSource& source) {
  const ModelSource::Entry* head = source.Find(kHead);
  const ModelSource::Entry* embedding = source.Find(kEmbedding);
  if (head == nullptr || embedding == nullptr) return false;
  const bool comparable = head->shape == embedding->shape && head->shape.size() == 2 &&
                          head->shape[0] > 0 && head->shape[1] > 0;
  return !comparable || !SameValues(source, *head, *embedding);
}

}  // namespace

ModelConfig ReadModelConfig(const ModelSource& source) {
  ModelConfig config = ReadModelConfig(source.config(), source.path());
  if (config.tie_word_embeddings && HasOwnHead(source)) {
    config.tie_word_embeddings = false;
    config.notes.push_back(source.path() +
                           ": has a lm_head.weight that is not the embedding, though "
                           "tie_word_embeddings is true; it is used as the head");
  }
  return config;
}

}  // namespace lorikeet
