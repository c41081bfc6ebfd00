// lorikeet eval: negative log-likelihood of text under a model.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "chat/chat_format.h"
#include "cli/commands.h"
#include "cli/eval_options.h"
#include "core/error.h"
#include "core/file.h"
#include "core/finite.h"
#include "core/format.h"
#include "engine/loaded_model.h"
#include "model/lora.h"
#include "options/args.h"
#include "train/scoring.h"

namespace lorikeet {
namespace {

const CommandHelp& Help() {
  static const CommandHelp kHelp = {
      .name = "eval",
      .summary =
          "The mean negative log-likelihood (nats per token), perplexity and bits that a model, "
          "with or without an adapter, gives a data file or a text.",
      .epilog =
          "Examples:\n"
          "  lorikeet eval SmolLM2-135M-Instruct --data heldout.jsonl\n"
          "  lorikeet eval MODEL --adapter out/first --data heldout.jsonl --json\n"
          "  lorikeet eval model.gguf --text book.txt --max_length 512 --dtype f32\n"};
  return kHelp;
}

// Sequences to score and the bytes of their counted text, if known.
struct EvalData {
  std::vector<Example> examples;
  int64_t bytes = 0;
};

Example WholeSequence(std::span<const int32_t> ids) {
  Example example;
  example.tokens.assign(ids.begin(), ids.end() - 1);
  example.target_tokens.assign(ids.begin() + 1, ids.end());
  example.weights.assign(example.tokens.size(), 1.0F);
  return example;
}

// Cuts as tools/reference_nll.py does: each piece begins with what the tokenizer puts before a text
// (BOS), which is not counted; a last piece of one token has nothing to predict.
EvalData FromText(const std::string& path, const LoadedModel& loaded, int64_t max_length) {
  const std::string text = ReadFile(path);
  const TokenizerBundle& bundle = loaded.Text();
  const Encoding encoding = bundle.tokenizer.EncodeWithOffsets(text);
  const std::span<const int32_t> ids(encoding.ids);
  const size_t room = static_cast<size_t>(max_length), lead = bundle.leading_ids.size();
  if (lead + 1 > room) {
    Fail(
        ErrorCode::kInvalidArgument,
        "max_length {}: leaves no room for text after the {} tokens that the tokenizer puts before "
        "it",
        max_length, lead);
  }
  EvalData data;
  for (size_t begin = 0, end; begin < ids.size(); begin = end) {
    std::vector<int32_t> piece;
    if (begin > 0 || NeedsBos(bundle, text)) piece = bundle.leading_ids;
    const size_t before = piece.size();
    end = std::min(begin + room - before, ids.size());
    piece.insert(piece.end(), ids.begin() + begin, ids.begin() + end);
    if (piece.size() < 2) continue;
    data.examples.push_back(WholeSequence(piece));
    for (size_t t = 1; t < before; ++t) data.examples.back().weights[t - 1] = 0;
    data.bytes += encoding.end[end - 1] - encoding.begin[begin + (before > 0 ? 0 : 1)];
  }
  if (data.examples.empty()) {
    Fail(ErrorCode::kInvalidArgument, "{}: has fewer than 2 tokens; there is nothing to predict",
         path);
  }
  return data;
}

// The bytes of the counted tokens, special ones included, as the tokenizer decodes them.
int64_t CountedBytes(const std::vector<Example>& examples, const Tokenizer& tokenizer) {
  int64_t bytes = 0;
  for (const Example& example : examples) {
    std::vector<int32_t> ids;
    for (size_t t = 0; t < example.tokens.size(); ++t) {
      if (example.weights[t] > 0) ids.push_back(example.target_tokens[t]);
    }
    bytes += static_cast<int64_t>(tokenizer.Decode(ids).size());
  }
  return bytes;
}

EvalData FromFiles(const EvalOptions& options, const LoadedModel& loaded) {
  const RenderConfig render = RenderConfigOf(options.rendering);
  Dataset dataset = LoadExamples(options.data, loaded.ForData(), render);
  if (!options.common.quiet && !options.json) {
    for (const std::string& note : dataset.stats.notes) fmt::print(stderr, "note: {}\n", note);
    if (dataset.stats.truncated > 0) {
      fmt::print(stderr, "note: examples cut to max_length {}: {}\n", options.rendering.max_length,
                 dataset.stats.truncated);
    }
  }
  EvalData data{std::move(dataset.examples), 0};
  if (loaded.tokenizer && dataset.stats.format != Format::kTokens) {
    data.bytes = CountedBytes(data.examples, loaded.tokenizer->tokenizer);
  }
  return data;
}

void WriteLogprobs(const Score& score, const std::string& path) {
  WriteFileAtomically(path, [&](int fd) {
    for (const std::vector<float>& logprobs : score.logprobs) {
      const std::string line = OrderedJson{{"logprobs", logprobs}}.dump() + "\n";
      WriteAll(fd, line.data(), line.size(), path);
    }
  });
}

// Fails where the loss is not finite, with the first weight that is not.
void RequireFinite(const EvalOptions& options, const Model& model,
                   const std::optional<LoraAdapter>& adapter, double nll) {
  if (std::isfinite(nll)) return;
  std::string weight;
  const auto look = [&weight](const std::string& name, const Tensor& values) {
    if (weight.empty() && values && !IsFinite(values)) weight = name;
  };
  if (adapter) {
    for (const LoraPair& pair : adapter->pairs()) {
      look(fmt::format("{}: lora_A of {}", *options.adapter, pair.module), pair.a);
      look(fmt::format("{}: lora_B of {}", *options.adapter, pair.module), pair.bt);
    }
  }
  const std::string& path = model.source().path();
  look(path + ": model.embed_tokens", model.weights().embed_tokens);
  ForEachLinear(model.weights(), [&](const Linear& linear) {
    look(path + ": " + linear.name, linear.weight);
    look(path + ": the bias of " + linear.name, linear.bias);
  });
  ForEachNorm(model.weights(),
              [&](const Norm& norm) { look(path + ": " + norm.name, norm.weight); });
  if (!weight.empty()) {
    Fail(ErrorCode::kCorruptFile,
         "{} has a value that is NaN or infinite, so the loss is {}; the file is damaged, get it "
         "again",
         weight, nll);
  }
  Fail(ErrorCode::kDiverged,
       "{}: the loss is {} although every weight is finite: values overflow on the way, as those "
       "of a "
       "diverged run do; use an earlier checkpoint, or --dtype f32",
       options.adapter.value_or(path), nll);
}

OrderedJson Report(const EvalOptions& options, const LoadedModel& loaded, const Score& score,
                   int64_t bytes) {
  const double bits = score.nll / std::log(2.0);
  OrderedJson json = {{"model", loaded.model->source().path()},
                      {"adapter", options.adapter.value_or("")},
                      {"dtype", DTypeName(loaded.model->compute())},
                      {"nll", score.nll},
                      {"perplexity", std::exp(score.nll)},
                      {"bits_per_token", bits},
                      {"bits_per_byte", nullptr},
                      {"counted_tokens", score.counted_tokens},
                      {"tokens", score.tokens},
                      {"sequences", score.sequences}};
  if (bytes > 0) {
    json["bits_per_byte"] =
        bits * static_cast<double>(score.counted_tokens) / static_cast<double>(bytes);
    json["counted_bytes"] = bytes;
  }
  return json;
}

std::string ReportText(const OrderedJson& report) {
  std::string text = fmt::format(
      "nll            {:.4f} nats per token\nperplexity     {:.4f}\nbits per token {:.4f}\n",
      report["nll"].get<double>(), report["perplexity"].get<double>(),
      report["bits_per_token"].get<double>());
  if (report["bits_per_byte"].is_number()) {
    text += fmt::format("bits per byte  {:.4f}\n", report["bits_per_byte"].get<double>());
  }
  return text + fmt::format("counted        {} of {} tokens in {} sequences\n",
                            HumanCount(report["counted_tokens"].get<int64_t>()),
                            HumanCount(report["tokens"].get<int64_t>()),
                            HumanCount(report["sequences"].get<int64_t>()));
}

}  // namespace

int RunEval(int argc, char** argv) {
  EvalOptions options;
  if (!ParseCommandLine(Help(), argc, argv, options)) return 0;
  options.common.Apply();
  if (options.data.empty() == !options.text) {
    Fail(ErrorCode::kInvalidArgument, "give what to evaluate: either --data FILE or --text FILE");
  }
  const LoadedModel loaded =
      LoadModel(BaseModelOf(options.model, options.adapter), ParseComputeDtype(options.dtype));
  options.common.PrintNotes(loaded.model->config().notes);
  std::optional<LoraAdapter> adapter;
  if (options.adapter) adapter = LoraAdapter::Load(*loaded.model, *options.adapter);
  const LoraWeights* lora = adapter ? &adapter->weights() : nullptr;
  const EvalData data = options.text ? FromText(*options.text, loaded, options.rendering.max_length)
                                     : FromFiles(options, loaded);
  const Score score = ScoreExamples(
      *loaded.model, lora, data.examples,
      {.batch_tokens = options.batch_tokens, .logprobs = options.token_logprobs.has_value()});
  RequireFinite(options, *loaded.model, adapter, score.nll);
  if (options.token_logprobs) WriteLogprobs(score, *options.token_logprobs);
  if (options.dump_logits) WriteLogits(*loaded.model, lora, data.examples, *options.dump_logits);
  const OrderedJson report = Report(options, loaded, score, data.bytes);
  const std::string text = options.json ? report.dump(2) + "\n" : ReportText(report);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace lorikeet
