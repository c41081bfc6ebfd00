#include "data/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/format.h"
#include "core/text.h"
#include "core/utf8.h"
#include "data/packer.h"

namespace lorikeet {
namespace {

// A run of an example's tokens that are all trained or all not.
struct Run {
  std::vector<int32_t> ids;
  bool trained = false;
};

std::vector<Run> RunsOf(const Example& example) {
  std::vector<Run> runs;
  const auto add = [&](int32_t id, bool trained) {
    if (runs.empty() || runs.back().trained != trained) runs.push_back({{}, trained});
    runs.back().ids.push_back(id);
  };
  if (!example.tokens.empty()) add(example.tokens.front(), false);
  for (size_t t = 0; t < example.tokens.size(); ++t) {
    add(example.target_tokens[t], example.weights[t] > 0);
  }
  return runs;
}

// Control characters of the data shown as pictures: they must not reach the terminal.
std::string Visible(const std::string& text) {
  std::string visible;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte == 0x7F) {
      visible += "␡";
    } else if (byte < 0x20 && c != '\n' && c != '\t') {
      visible += {'\xE2', '\x90', static_cast<char>(0x80 + byte)};  // U+2400 + byte
    } else {
      visible += c;
    }
  }
  return visible;
}

std::string QuotedToken(const TokenizerBundle& bundle, int32_t id) {
  return JsonQuoted(bundle.tokenizer.Decode(std::span(&id, 1)));
}

double Percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

struct Packing {
  int64_t budget = 0, batches = 0;
  double filled = 0;  // tokens in percent of the batches' budget
};

Packing PackingOf(const Dataset& dataset, const InspectOptions& options) {
  constexpr int64_t kDefaultBudget = 2048;
  Packing packing;
  packing.budget = options.tokens_per_batch > 0
                       ? options.tokens_per_batch
                       : std::max(kDefaultBudget, dataset.stats.lengths.longest);
  if (packing.budget < dataset.stats.lengths.longest) {
    return packing;  // does not fit; the caller reports it
  }
  // Packing depends on lengths alone: these examples have no content.
  std::vector<Example> lengths(dataset.examples.size());
  std::vector<const Example*> pointers;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const size_t n = dataset.examples[i].tokens.size();
    lengths[i].tokens.resize(n);
    lengths[i].target_tokens.resize(n);
    lengths[i].weights.resize(n);
    pointers.push_back(&lengths[i]);
  }
  packing.batches = static_cast<int64_t>(Pack(pointers, packing.budget).size());
  packing.filled = Percent(dataset.stats.tokens, packing.batches * packing.budget);
  return packing;
}

using Out = std::back_insert_iterator<std::string>;

void WriteCounts(Out out, const Dataset& dataset, const TokenizerBundle& bundle,
                 const InspectOptions& options) {
  const DataStats& stats = dataset.stats;
  fmt::format_to(out, "format    {}\n", FormatName(stats.format));
  fmt::format_to(out, "rows      {}  ->  {} examples", HumanCount(stats.rows),
                 HumanCount(stats.examples));
  const auto also = [&](int64_t count, const char* what) {
    if (count > 0) fmt::format_to(out, ", {} {}", HumanCount(count), what);
  };
  also(stats.split_rows, "rows split by turn");
  also(stats.truncated, "truncated");
  also(stats.dropped_too_long, "dropped as too long");
  also(stats.dropped_by_truncation, "dropped because truncation left nothing to train");
  also(stats.rows_without_target, "rows with nothing to train");
  fmt::format_to(out, "\ntokens    {}, of them trained {} ({:.1f} %)\n", HumanCount(stats.tokens),
                 HumanCount(stats.trained_tokens), Percent(stats.trained_tokens, stats.tokens));
  fmt::format_to(out, "BOS       {}\n", stats.bos_rule);
  if (!dataset.examples.empty()) {
    const std::vector<int32_t>& ids = dataset.examples.front().tokens;
    fmt::format_to(out, "first ids");
    for (size_t i = 0; i < std::min<size_t>(8, ids.size()); ++i) {
      fmt::format_to(out, " {} {}", ids[i], QuotedToken(bundle, ids[i]));
    }
    fmt::format_to(out, "\n");
  }
  const Packing packing = PackingOf(dataset, options);
  if (packing.batches > 0) {
    fmt::format_to(out,
                   "packing   in batches of at most {} tokens: {}, {:.1f} % filled, no padding\n",
                   HumanCount(packing.budget), HumanCount(packing.batches), packing.filled);
  } else {
    fmt::format_to(out, "packing   the longest example does not fit {} tokens\n",
                   HumanCount(packing.budget));
  }
  for (const std::string& note : stats.notes) fmt::format_to(out, "note      {}\n", note);
}

// `eighths` of a character cell, in block elements.
std::string Bar(int64_t eighths) {
  constexpr const char* kPartial[8] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string bar;
  for (int64_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kPartial[eighths % 8];
}

void WriteHistogram(Out out, const LengthHistogram& histogram) {
  constexpr int64_t kWidest = 40;  // cells
  fmt::format_to(out, "\nlength in tokens: {} shortest, {} median, {} at 90 %, {} longest\n",
                 histogram.shortest, histogram.median, histogram.percentile_90, histogram.longest);
  const int64_t max = histogram.counts.empty() ? 0 : *std::ranges::max_element(histogram.counts);
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    const int64_t count = histogram.counts[i],
                  begin = histogram.first + static_cast<int64_t>(i) * histogram.width;
    int64_t eighths = count * kWidest * 8 / std::max<int64_t>(max, 1);
    if (count > 0) eighths = std::max<int64_t>(eighths, 1);
    fmt::format_to(out, "{:>7} -{:>7}  {:<8} {}\n", begin, begin + histogram.width - 1,
                   HumanCount(count), Bar(eighths));
  }
}

void WriteExample(Out out, const Dataset& dataset, size_t index, const TokenizerBundle& bundle,
                  bool color) {
  const Example& example = dataset.examples[index];
  const std::vector<Run> runs = RunsOf(example);
  fmt::format_to(out, "\nexample {} (line {}), {} tokens; trained: {}\n", index + 1,
                 dataset.line[index], example.num_tokens(),
                 color ? "\x1b[32mgreen\x1b[0m" : "⟦in brackets⟧");
  for (const Run& run : runs) {
    const std::string text = Visible(bundle.tokenizer.Decode(run.ids));
    if (!run.trained) {
      fmt::format_to(out, "{}", text);
    } else {
      fmt::format_to(out, "{}{}{}", color ? "\x1b[32m" : "⟦", text, color ? "\x1b[0m" : "⟧");
    }
  }
  fmt::format_to(out, "\n");
  int64_t turn = 0;
  for (const Run& run : runs) {
    if (!run.trained) continue;
    fmt::format_to(out, "  trained part {}: {} tokens, the last:", ++turn, run.ids.size());
    for (size_t i = run.ids.size() - std::min<size_t>(3, run.ids.size()); i < run.ids.size(); ++i) {
      fmt::format_to(out, "  {} {}", run.ids[i], QuotedToken(bundle, run.ids[i]));
    }
    fmt::format_to(out, "\n");
  }
}

// The indices to show, in [begin, end).
std::pair<size_t, size_t> Shown(const Dataset& dataset, const InspectOptions& options) {
  const auto count = static_cast<int64_t>(dataset.examples.size());
  if (options.examples < 1) return {0, 0};
  if (options.first_example < 0 || options.first_example >= count) {
    Fail(ErrorCode::kInvalidArgument, "example {}: the data holds {}, counted from 1",
         options.first_example + 1, count);
  }
  const int64_t end =
      std::min(count - options.first_example, options.examples) + options.first_example;
  return {static_cast<size_t>(options.first_example), static_cast<size_t>(end)};
}

OrderedJson ExampleJson(const Dataset& dataset, size_t index, const TokenizerBundle& bundle) {
  OrderedJson parts = OrderedJson::array();
  for (const Run& run : RunsOf(dataset.examples[index])) {
    parts.push_back({{"trained", run.trained},
                     {"text", ToValidUtf8(bundle.tokenizer.Decode(run.ids))},
                     {"ids", run.ids}});
  }
  return {{"index", index},
          {"line", dataset.line[index]},
          {"tokens", dataset.examples[index].num_tokens()},
          {"parts", std::move(parts)}};
}

}  // namespace

std::string InspectData(const Dataset& dataset, const TokenizerBundle& bundle,
                        const InspectOptions& options) {
  const auto [begin, end] = Shown(dataset, options);
  std::string text;
  const Out out(text);
  WriteCounts(out, dataset, bundle, options);
  WriteHistogram(out, dataset.stats.lengths);
  for (size_t i = begin; i < end; ++i) WriteExample(out, dataset, i, bundle, options.color);
  return text;
}

OrderedJson InspectDataJson(const Dataset& dataset, const TokenizerBundle& bundle,
                            const InspectOptions& options) {
  const DataStats& stats = dataset.stats;
  const auto [begin, end] = Shown(dataset, options);
  OrderedJson shown = OrderedJson::array(), first_ids = OrderedJson::array();
  for (size_t i = begin; i < end; ++i) shown.push_back(ExampleJson(dataset, i, bundle));
  if (!dataset.examples.empty()) {
    const std::vector<int32_t>& ids = dataset.examples.front().tokens;
    first_ids =
        std::vector<int32_t>(ids.begin(), ids.begin() + std::min<int64_t>(8, std::ssize(ids)));
  }
  const Packing packing = PackingOf(dataset, options);
  return {{"format", FormatName(stats.format)},
          {"rows", stats.rows},
          {"examples", stats.examples},
          {"tokens", stats.tokens},
          {"trained_tokens", stats.trained_tokens},
          {"trained_percent", Percent(stats.trained_tokens, stats.tokens)},
          {"split_rows", stats.split_rows},
          {"rows_without_target", stats.rows_without_target},
          {"truncated", stats.truncated},
          {"dropped_too_long", stats.dropped_too_long},
          {"dropped_by_truncation", stats.dropped_by_truncation},
          {"reworded_rows", stats.reworded},
          {"straddling_tokens", stats.straddling},
          {"examples_without_end_token", stats.without_end},
          {"bos_rule", stats.bos_rule},
          {"first_ids", std::move(first_ids)},
          {"lengths",
           {{"shortest", stats.lengths.shortest},
            {"median", stats.lengths.median},
            {"percentile_90", stats.lengths.percentile_90},
            {"longest", stats.lengths.longest},
            {"first_bin", stats.lengths.first},
            {"bin_width", stats.lengths.width},
            {"counts", stats.lengths.counts}}},
          {"packing",
           {{"tokens_per_batch", packing.budget},
            {"batches", packing.batches},
            {"filled_percent", packing.filled}}},
          {"notes", stats.notes},
          {"shown", std::move(shown)}};
}

}  // namespace lorikeet
