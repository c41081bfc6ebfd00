// A `TinyPolicy` for tests: a small random chat model that learns within a few steps, with its
// tokenizer, training run and generator.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/tiny_bundle.h"
#include "model/random_model_for_test.h"
#include "rl/rollout.h"
#include "sample/generator.h"
#include "train/training_run.h"

namespace lorikeet {

// The vocabulary is padded beyond the tokens of the tiny bundle, as in real models.
inline constexpr Architecture kTinyChat = {.model_type = "llama",
                                           .hidden = 32,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .head_dim = 8,
                                           .intermediate = 48,
                                           .layers = 2,
                                           .vocab = 272,
                                           .tied = false,
                                           .biases = false};

class TinyPolicy {
 public:
  explicit TinyPolicy(Method method = Method::kLora, DType compute = DType::kF32)
      : text_(MakeTinyBundle({.chat_template = kChatMl})),
        chat_template_(text_.chat_template, "tiny bundle", text_.bos_token, text_.eos_token),
        model_(Files().Load(compute)) {
    const RunOptions options = {.tokens_per_microbatch = 256};
    if (method == Method::kFull) {
      run_ = std::make_unique<TrainingRun>(*model_, options);
    } else {
      LoraConfig config = {.r = 4, .lora_alpha = 32};
      // With the random model's norms the hidden state is so small that only an adapted head learns
      // within a few steps.
      config.target_modules = {"all-linear", "lm_head"};
      run_ =
          std::make_unique<TrainingRun>(*model_, LoraAdapter::Create(*model_, config, 1), options);
    }
    generator_ = std::make_unique<Generator>(
        *model_, GeneratorLimits{.slots = 16, .capacity = 160, .tokens_per_step = 128},
        run_->workspace());
  }
  TinyPolicy(const TinyPolicy&) = delete;
  TinyPolicy& operator=(const TinyPolicy&) = delete;

  TrainingRun& run() { return *run_; }
  Generator& generator() { return *generator_; }
  ChatFormat format() const { return {text_, chat_template_}; }
  std::vector<int32_t> stop_tokens() const { return {text_.eos_id}; }

 private:
  static const RandomModel& Files() {
    static const RandomModel files(kTinyChat, "tiny_policy");
    return files;
  }

  TokenizerBundle text_;
  ChatTemplate chat_template_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<TrainingRun> run_;
  std::unique_ptr<Generator> generator_;
};

inline Problem TinyProblem(int64_t index, const std::string& content = "say") {
  Problem problem;
  problem.task = "tiny";
  problem.grader = "none";
  problem.messages = {{.role = "user", .content = content + " " + std::to_string(index)}};
  problem.id = "tiny-" + std::to_string(index);
  return problem;
}

// A toy task whose reward is dense enough for a few steps: the share of ASCII bytes in a
// completion. Correct from two fifths, as a third of all random completions are.
inline std::vector<Grade> RewardAscii(std::span<const RewardRequest> requests) {
  std::vector<Grade> grades;
  for (const RewardRequest& request : requests) {
    const std::string_view completion = request.completion;
    const auto ascii = std::count_if(completion.begin(), completion.end(),
                                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    const double share = completion.empty()
                             ? 0
                             : static_cast<double>(ascii) / static_cast<double>(completion.size());
    grades.push_back({share >= 0.4 ? Verdict::kCorrect : Verdict::kWrong, share, ""});
  }
  return grades;
}

}  // namespace lorikeet
