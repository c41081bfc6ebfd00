#include "model/source_config.h"

#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "core/error.h"

namespace lorikeet {
namespace {

constexpr const char* kHead = "lm_head.weight";

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
  const ModelSource::Entry* embedding = source.Find(source.embedding_name());
  if (head == nullptr || embedding == nullptr) return false;
  const bool comparable = head->shape == embedding->shape && head->shape.size() == 2 &&
                          head->shape[0] > 0 && head->shape[1] > 0;
  return !comparable || !SameValues(source, *head, *embedding);
}

// null for none; all layers must have the same.
Json WindowOf(const ModelConfig& config, const std::string& where) {
  if (!config.has_windows()) return nullptr;
  const int64_t window = config.window(0);
  for (const int64_t other : config.windows) {
    if (other == window) continue;
    Fail(ErrorCode::kUnsupported,
         "{}: only some layers have a sliding window, which the family "
         "of the result cannot say",
         where);
  }
  return window;
}

}  // namespace

ModelSource WithExplicitConfig(const ModelSource& source) {
  const ModelConfig c = ReadModelConfig(source);
  Json config = source.config();
  config["num_key_value_heads"] = c.num_key_value_heads;
  config["head_dim"] = c.head_dim;
  config["max_position_embeddings"] = c.max_position_embeddings;
  if (!config.contains("rms_norm_eps")) config["rms_norm_eps"] = c.rms_norm_eps;
  config["rope_theta"] = c.rope_theta;
  config["sliding_window"] = WindowOf(c, source.path());
  config["tie_word_embeddings"] = c.tie_word_embeddings;
  std::vector<ModelSource::Part> parts;
  for (const ModelSource::Entry& entry : source.entries()) {
    parts.push_back({entry.name, entry.name, {}});
  }
  return source.Rebuilt(std::move(config), parts, {});
}

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
