#include "data/epoch.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/random.h"

namespace lorikeet {

std::vector<int64_t> EpochOrder(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  const RandomStream random(seed, "epoch_order", "", static_cast<uint64_t>(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Below(i, i)]);
  return order;
}

BatchCursor::BatchCursor(const Options& options) : options_(options) {
  if (options.num_examples < 1) {
    Fail(ErrorCode::kInvalidArgument, "there are no examples to train on");
  }
  if (options.batch_size < 1) {
    Fail(ErrorCode::kInvalidArgument, "a batch of {} examples: it must hold at least 1",
         options.batch_size);
  }
  if (BatchesPerEpoch() == 0) {
    Fail(ErrorCode::kInvalidArgument,
         "{} examples do not fill one batch of {}, and batches that are not full are dropped; "
         "lower the batch "
         "size",
         options.num_examples, options.batch_size);
  }
}

int64_t BatchCursor::BatchesPerEpoch() const {
  const int64_t full = options_.num_examples / options_.batch_size;
  return !options_.drop_last && options_.num_examples % options_.batch_size != 0 ? full + 1 : full;
}

std::vector<int64_t> BatchCursor::Next() {
  if (order_.empty()) {
    order_ = EpochOrder(options_.num_examples, options_.seed, epoch_);
    if (!options_.shuffle) std::sort(order_.begin(), order_.end());
  }
  const int64_t end = std::min(position_ + options_.batch_size, options_.num_examples);
  std::vector<int64_t> batch(order_.begin() + position_, order_.begin() + end);
  position_ = end;
  const int64_t left = options_.num_examples - position_;
  if (left == 0 || (options_.drop_last && left < options_.batch_size)) {
    ++epoch_;
    position_ = 0;
    order_.clear();
  }
  return batch;
}

Json BatchCursor::ToJson() const {
  return {{"epoch", epoch_},
          {"position", position_},
          {"num_examples", options_.num_examples},
          {"batch_size", options_.batch_size},
          {"seed", options_.seed},
          {"shuffle", options_.shuffle},
          {"drop_last", options_.drop_last}};
}

void BatchCursor::Restore(const Json& saved) {
  const Json here = ToJson();
  for (const auto& [key, value] : here.items()) {
    const auto it = saved.find(key);  // end() where `saved` is no object
    if (it == saved.end() || it->is_number_integer() != value.is_number_integer() ||
        it->is_boolean() != value.is_boolean()) {
      Fail(ErrorCode::kCorruptFile, "saved data cursor: \"{}\" is missing or of a wrong type", key);
    }
    if (key != "epoch" && key != "position" && *it != value) {
      Fail(
          ErrorCode::kInvalidArgument,
          "cannot resume: the saved run had {} {}, this one has {}; use the same data and settings",
          key, it->dump(), value.dump());
    }
  }
  const auto epoch = saved["epoch"].get<int64_t>(), position = saved["position"].get<int64_t>();
  if (epoch < 0 || position < 0 || position >= options_.num_examples ||
      position % options_.batch_size != 0) {
    Fail(ErrorCode::kCorruptFile, "saved data cursor: epoch {}, position {} of {} cannot be", epoch,
         position, options_.num_examples);
  }
  epoch_ = epoch;
  position_ = position;
  order_.clear();
}

}  // namespace lorikeet
