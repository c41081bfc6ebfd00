#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/heap.h"
#include "core/parallel.h"
#include "core/random.h"
#include "data/remarks.h"

namespace lorikeet {
namespace {

// Result of one row; filled by any thread, merged in the order of the file.
struct RowOutcome {
  std::optional<Format> format;
  std::vector<Example> examples;
  std::set<std::string> ignored_keys;
  std::vector<Remark> remarks;
  std::string taken_columns;
  std::vector<std::string> missing_columns;
  std::optional<int64_t> edited_message, reworded_message;
  int64_t truncated = 0, dropped_too_long = 0, dropped_by_truncation = 0, straddling = 0,
          without_end = 0;
  bool split = false, has_target = false, bos_added = false, starts_with_bos = false,
       has_assistant = false;
  std::optional<std::string> error;
  std::exception_ptr failure;  // not the row's fault, e.g. out of memory
};

// inputs ids[0 ... n-2], targets ids[1 ... n-1], weights of the targets, up to the last trained
// one.
Example ShiftTokens(const MarkedTokens& marked) {
  size_t end = marked.ids.size();
  while (end > 1 && marked.weights[end - 1] == 0) --end;
  Example example;
  if (end < 2) return example;
  const auto last = static_cast<int64_t>(end);
  example.tokens.assign(marked.ids.begin(), marked.ids.begin() + last - 1);
  example.target_tokens.assign(marked.ids.begin() + 1, marked.ids.begin() + last);
  example.weights.assign(marked.weights.begin() + 1, marked.weights.begin() + last);
  return example;
}

void Truncate(Example& example, int64_t length) {
  while (length > 0 && example.weights[static_cast<size_t>(length - 1)] == 0) --length;
  const auto n = static_cast<size_t>(length);
  example.tokens.resize(n);
  example.target_tokens.resize(n);
  example.weights.resize(n);
}

class RowReader {
 public:
  RowReader(const TokenizerBundle& bundle, const RenderConfig& config)
      : bundle_(bundle), config_(config), renderer_(bundle, config) {
    end_ids_.insert(bundle.eos_ids.begin(), bundle.eos_ids.end());
    if (bundle.eos_id >= 0) end_ids_.insert(bundle.eos_id);
  }

  RowOutcome Read(const Row& row) const {
    RowOutcome outcome;
    try {
      Record record = ParseRecord(row, &outcome.ignored_keys, config_.columns);
      outcome.format = record.format;
      outcome.remarks = std::move(record.remarks);
      outcome.taken_columns = std::move(record.taken);
      outcome.missing_columns = std::move(record.missing_columns);
      for (const Message& message : record.messages) {
        outcome.has_assistant |= message.role == "assistant";
      }
      if (record.format == Format::kTokens) {
        AddTokens(record, outcome);
      } else {
        Renderer::Result result = renderer_.Render(record);
        outcome.split = result.renderings.size() > 1;
        outcome.edited_message = result.edited_message;
        outcome.reworded_message = result.reworded_message;
        std::move(result.remarks.begin(), result.remarks.end(),
                  std::back_inserter(outcome.remarks));
        outcome.ignored_keys.insert(result.unread_keys.begin(), result.unread_keys.end());
        for (const Rendering& rendering : result.renderings) {
          AddExample(Mark(rendering, bundle_), outcome);
          outcome.bos_added |= NeedsBos(bundle_, rendering.text);
        }
      }
    } catch (const Error& e) {
      outcome.error = e.what();
    } catch (...) {
      outcome.failure = std::current_exception();
    }
    return outcome;
  }

 private:
  void AddTokens(const Record& record, RowOutcome& outcome) const {
    const auto vocab = static_cast<int64_t>(bundle_.tokenizer.VocabSize());
    for (const int32_t id : record.tokens) {
      if (id >= vocab) {
        Fail(ErrorCode::kInvalidArgument, "token id {} is beyond the tokenizer's {} tokens", id,
             vocab);
      }
    }
    MarkedTokens marked{record.tokens, record.weights, 0};
    if (marked.weights.empty()) marked.weights.assign(marked.ids.size(), 1.0F);
    AddExample(marked, outcome);
  }

  void AddExample(const MarkedTokens& marked, RowOutcome& outcome) const {
    outcome.straddling += marked.straddling;
    outcome.starts_with_bos |=
        !marked.ids.empty() && bundle_.bos_id >= 0 && marked.ids[0] == bundle_.bos_id;
    Example example = ShiftTokens(marked);
    if (example.tokens.empty()) return;
    outcome.has_target = true;
    if (config_.max_length > 0 && example.num_tokens() > config_.max_length) {
      if (config_.overlong == Overlong::kDrop) {
        ++outcome.dropped_too_long;
        return;
      }
      Truncate(example, config_.max_length);
      if (example.tokens.empty()) {
        ++outcome.dropped_by_truncation;
        return;
      }
      ++outcome.truncated;
    }
    outcome.without_end += !TrainsAnEnd(example);
    outcome.examples.push_back(std::move(example));
  }

  bool TrainsAnEnd(const Example& example) const {
    for (size_t t = example.tokens.size(); t-- > 0;) {
      const int32_t id = example.target_tokens[t];
      if (example.weights[t] > 0 && (end_ids_.contains(id) || bundle_.tokenizer.IsSpecial(id))) {
        return true;
      }
    }
    return false;
  }

  const TokenizerBundle& bundle_;
  const RenderConfig& config_;
  Renderer renderer_;
  std::set<int32_t> end_ids_;
};

// Merges outcomes in the order of the file.
class Loader {
 public:
  explicit Loader(const std::string& path) : path_(path) {}

  void Add(const Row& row, RowOutcome outcome) {
    if (outcome.failure) std::rethrow_exception(outcome.failure);
    if (!outcome.error && format_ && *outcome.format != *format_) {
      outcome.error =
          fmt::format("a row of format {} in a file of format {}; give each its own file",
                      FormatName(*outcome.format), FormatName(*format_));
    }
    if (outcome.error) {
      errors_.Add(row.line, *outcome.error);
      return;
    }
    if (!format_) format_ = outcome.format;
    Count(row, outcome);
    for (Example& example : outcome.examples) {
      dataset_.examples.push_back(std::move(example));
      dataset_.line.push_back(row.line);
    }
  }

  bool enough_errors() const { return errors_.enough(); }
  void ThrowIfErrors() const { errors_.ThrowIfAny(path_); }

  Dataset Finish(const TokenizerBundle& bundle, const RenderConfig& config) {
    ThrowIfErrors();
    FailMissingColumns();
    dataset_.stats.format = *format_;
    if (dataset_.examples.empty()) FailNothingTrained(config);
    dataset_.stats.bos_rule = BosRule(bundle);
    AddNotes();
    CountExamples(dataset_);
    return std::move(dataset_);
  }

 private:
  void Count(const Row& row, const RowOutcome& outcome) {
    DataStats& stats = dataset_.stats;
    ++stats.rows;
    stats.truncated += outcome.truncated;
    stats.dropped_too_long += outcome.dropped_too_long;
    stats.dropped_by_truncation += outcome.dropped_by_truncation;
    stats.straddling += outcome.straddling;
    stats.without_end += outcome.without_end;
    const auto place = [&](std::optional<int64_t> message) {
      return fmt::format("line {}, message {}", row.line, message.value_or(0) + 1);
    };
    if (outcome.split && stats.split_rows++ == 0) first_split_ = place(outcome.edited_message);
    if (outcome.reworded_message && stats.reworded++ == 0) {
      first_reworded_ = place(outcome.reworded_message);
    }
    if (!outcome.has_target && stats.rows_without_target++ == 0) first_without_target_ = row.line;
    if (outcome.straddling > 0 && first_straddling_ == 0) first_straddling_ = row.line;
    any_assistant_ |= outcome.has_assistant;
    any_bos_added_ |= outcome.bos_added;
    any_bos_ |= outcome.starts_with_bos;
    for (const std::string& key : outcome.ignored_keys) ++ignored_keys_[key];
    for (const std::string& column : outcome.missing_columns) ++missing_columns_[column];
    if (!outcome.taken_columns.empty()) ++taken_columns_[outcome.taken_columns];
    remarks_.Add(fmt::format("line {}", row.line), outcome.remarks);
  }

  void FailMissingColumns() const {
    for (const auto& [column, rows] : missing_columns_) {
      if (rows < dataset_.stats.rows) continue;
      Fail(ErrorCode::kInvalidArgument, "{}: no row has the column \"{}\" that data_columns names",
           path_, column);
    }
  }

  [[noreturn]] void FailNothingTrained(const RenderConfig& config) const {
    const DataStats& stats = dataset_.stats;
    std::string why = "every row is empty, or its weights are 0";
    if (stats.dropped_too_long > 0) {
      why = fmt::format("all {} examples are longer than max_length {}; raise it or truncate",
                        stats.dropped_too_long, config.max_length);
    } else if (stats.dropped_by_truncation > 0) {
      why = fmt::format("max_length {} cuts off every trained token; raise it", config.max_length);
    } else if (stats.format != Format::kText && stats.format != Format::kTokens &&
               !any_assistant_ && stats.format != Format::kPromptCompletion) {
      why =
          "no row has an assistant turn; training on all tokens is possible on request (train_on: "
          "all)";
    }
    Fail(ErrorCode::kInvalidArgument, "{}: nothing in it would be trained (rows: {}): {}", path_,
         stats.rows, why);
  }

  std::string BosRule(const TokenizerBundle& bundle) const {
    if (*format_ == Format::kTokens) return "as the rows give it";
    if (any_bos_added_) return "added, as the tokenizer asks (the text does not begin with it)";
    if (any_bos_) return "in the text already (chat template or data); none added";
    return bundle.bos_id < 0 ? "the tokenizer has none"
                             : "none: the tokenizer does not ask for one";
  }

  void AddNotes() {
    DataStats& stats = dataset_.stats;
    const auto note = [&](std::string text) { stats.notes.push_back(std::move(text)); };
    for (const auto& [columns, rows] : taken_columns_) {
      note(fmt::format("columns taken: {} (rows: {}); --data-columns names others", columns, rows));
    }
    if (!ignored_keys_.empty()) note("keys ignored: " + JoinKeys());
    for (std::string& text : remarks_.Notes()) note(std::move(text));
    if (stats.split_rows > 0) {
      note(fmt::format(
          "the chat template edits earlier turns once later ones follow (the first: {}); rows "
          "whose turns "
          "became examples of their own, each in the text the model would have seen: {}",
          first_split_, stats.split_rows));
    }
    if (stats.reworded > 0) {
      note(
          fmt::format("the chat template does not give the words of an assistant turn as they are "
                      "(the first: {}); lorikeet inspect data shows it; such rows: {}",
                      first_reworded_, stats.reworded));
    }
    if (stats.rows_without_target > 0) {
      note(fmt::format("rows with nothing to train, left out: {} (the first: line {})",
                       stats.rows_without_target, first_without_target_));
    }
    if (stats.straddling > 0) {
      note(
          fmt::format("tokens that reach from a prompt into a trained part, not trained: {} (the "
                      "first: line {}); a "
                      "completion should begin with the space before its first word",
                      stats.straddling, first_straddling_));
    }
    if (stats.without_end == static_cast<int64_t>(dataset_.examples.size())) {
      note("no end-of-turn or EOS token is trained: the model will not learn to stop");
    } else if (stats.without_end > 0) {
      note(fmt::format("examples that train no end-of-turn or EOS token: {}", stats.without_end));
    }
  }

  std::string JoinKeys() const {
    constexpr size_t kMax = 12;
    std::string joined;
    size_t count = 0;
    for (const auto& [key, rows] : ignored_keys_) {
      if (count++ == kMax) {
        return joined + fmt::format(" and {} more", ignored_keys_.size() - kMax);
      }
      joined += fmt::format("{}{} ({} {})", joined.empty() ? "" : ", ", key, rows,
                            rows == 1 ? "row" : "rows");
    }
    return joined;
  }

  const std::string& path_;
  Dataset dataset_;
  RowErrors errors_;
  std::optional<Format> format_;
  std::map<std::string, int64_t> ignored_keys_, missing_columns_, taken_columns_;  // rows of each
  RemarkCounter remarks_;
  std::string first_split_, first_reworded_;
  int64_t first_without_target_ = 0, first_straddling_ = 0;
  bool any_assistant_ = false, any_bos_added_ = false, any_bos_ = false;
};

// A width of 1, 2 or 5 times a power of ten that needs at most 12 bins.
int64_t BinWidth(int64_t shortest, int64_t longest) {
  constexpr int64_t kMaxBins = 12;
  for (int64_t power = 1;; power *= 10) {
    for (const int64_t step : {1, 2, 5}) {
      const int64_t width = step * power;
      if (longest / width - shortest / width < kMaxBins) return width;
    }
  }
}

LengthHistogram CountLengths(const std::vector<Example>& examples) {
  LengthHistogram histogram;
  if (examples.empty()) return histogram;
  std::vector<int64_t> lengths;
  lengths.reserve(examples.size());
  for (const Example& example : examples) lengths.push_back(example.num_tokens());
  std::sort(lengths.begin(), lengths.end());
  histogram.shortest = lengths.front();
  histogram.median = lengths[lengths.size() / 2];
  histogram.percentile_90 = lengths[(lengths.size() - 1) * 9 / 10];
  histogram.longest = lengths.back();
  histogram.width = BinWidth(histogram.shortest, histogram.longest);
  histogram.first = histogram.shortest / histogram.width * histogram.width;
  const auto bin = [&](int64_t length) {
    return static_cast<size_t>((length - histogram.first) / histogram.width);
  };
  histogram.counts.assign(bin(histogram.longest) + 1, 0);
  for (const int64_t length : lengths) ++histogram.counts[bin(length)];
  return histogram;
}

}  // namespace

int64_t CountTokens(const std::vector<Example>& examples) {
  int64_t tokens = 0;
  for (const Example& example : examples) tokens += example.num_tokens();
  return tokens;
}

int64_t CountTrainedTokens(const std::vector<Example>& examples) {
  int64_t trained = 0;
  for (const Example& example : examples) {
    trained += std::count_if(example.weights.begin(), example.weights.end(),
                             [](float weight) { return weight > 0; });
  }
  return trained;
}

int64_t MeanContextLength(const std::vector<Example>& examples) {
  double squares = 0, sum = 0;
  for (const Example& example : examples) {
    const auto n = static_cast<double>(example.num_tokens());
    squares += n * n;
    sum += n;
  }
  return sum > 0 ? static_cast<int64_t>(squares / sum + 0.5) : 1;
}

void CountExamples(Dataset& dataset) {
  DataStats& stats = dataset.stats;
  stats.examples = static_cast<int64_t>(dataset.examples.size());
  stats.tokens = CountTokens(dataset.examples);
  stats.trained_tokens = CountTrainedTokens(dataset.examples);
  stats.lengths = CountLengths(dataset.examples);
}

Dataset LoadDataset(const std::string& path, const TokenizerBundle& bundle,
                    const RenderConfig& config) {
  if (config.max_length < 0) {
    Fail(ErrorCode::kInvalidArgument, "max_length {}: it must be 0 (no limit) or more",
         config.max_length);
  }
  const RowFile file(path);
  const std::span<const Row> rows = file.rows();
  const RowReader reader(bundle, config);
  Loader loader(path);
  // Rows are loaded in pieces: memory between parsing and merging stays small, and the errors of a
  // bad file are the same for any number of threads.
  constexpr size_t kRowsAtOnce = 4096;
  for (size_t begin = 0; begin < rows.size() && !loader.enough_errors(); begin += kRowsAtOnce) {
    const auto piece = rows.subspan(begin, std::min(kRowsAtOnce, rows.size() - begin));
    std::vector<RowOutcome> outcomes(piece.size());
    ParallelDynamic(static_cast<int64_t>(piece.size()), [&](int64_t i) {
      outcomes[static_cast<size_t>(i)] = reader.Read(piece[static_cast<size_t>(i)]);
    });
    for (size_t i = 0; i < piece.size() && !loader.enough_errors(); ++i) {
      loader.Add(piece[i], std::move(outcomes[i]));
    }
  }
  Dataset dataset = loader.Finish(bundle, config);
  ReleaseFreedMemory();
  return dataset;
}

std::pair<Dataset, Dataset> SplitHeldOut(Dataset dataset, double amount, uint64_t seed) {
  std::map<int64_t, bool> held_out;  // by line
  for (const int64_t line : dataset.line) held_out[line] = false;
  const auto rows = static_cast<int64_t>(held_out.size());
  const double wanted = amount < 1 ? amount * static_cast<double>(rows) + 0.5 : amount;
  const auto count =
      wanted >= 0 && wanted < static_cast<double>(rows) ? static_cast<int64_t>(wanted) : rows;
  if (count < 1 || count >= rows) {
    Fail(ErrorCode::kInvalidArgument,
         "cannot hold out {} of {} rows: both sides need at least one; give a smaller count or a "
         "fraction "
         "between 0 and 1",
         amount, rows);
  }
  const RandomStream random(seed, "held_out");
  std::vector<std::pair<uint64_t, int64_t>> drawn;
  for (const auto& [line, held] : held_out) {
    drawn.emplace_back(random.Bits(static_cast<uint64_t>(line)), line);
  }
  std::sort(drawn.begin(), drawn.end());
  for (int64_t i = 0; i < count; ++i) held_out[drawn[static_cast<size_t>(i)].second] = true;

  std::pair<Dataset, Dataset> sides;
  sides.first.stats = sides.second.stats = dataset.stats;
  for (size_t i = 0; i < dataset.examples.size(); ++i) {
    Dataset& side = held_out[dataset.line[i]] ? sides.second : sides.first;
    side.examples.push_back(std::move(dataset.examples[i]));
    side.line.push_back(dataset.line[i]);
  }
  CountExamples(sides.first);
  CountExamples(sides.second);
  return sides;
}

}  // namespace lorikeet
