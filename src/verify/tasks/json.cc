// Following a small schema: a JSON object with given keys, types and values.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxBytes = 16 << 10;

// A rule is an object with "kind" and the keys of that kind; "example" is a value that satisfies
// it.
//   text, number, bool   "value": exactly this
//   choice               "values": one of these strings
//   range                "least", "most": a whole number between
//   numbers              "count", "least", "most": so many whole numbers
//   texts                "values": these strings in this order
//   object               "fields": a list of {"key", "rule"}: these keys and no others
Json RandomObject(ProblemRandom& random, int keys, bool nested);

std::string Word(ProblemRandom& random) { return std::string(random.PickFrom(CommonWords())); }

std::vector<std::string> Words(ProblemRandom& random, int64_t count) {
  std::vector<std::string> words;
  while (static_cast<int64_t>(words.size()) < count) {
    const std::string word = Word(random);
    if (std::ranges::count(words, word) == 0) words.push_back(word);
  }
  return words;
}

Json RandomRule(ProblemRandom& random, int kinds, bool nested) {
  const int64_t kind = random.Between(0, nested ? kinds : kinds - 1);
  const int64_t least = random.Between(0, 40), most = least + random.Between(5, 50);
  if (kind == kinds) return RandomObject(random, static_cast<int>(random.Between(1, 3)), false);
  switch (kind) {
    case 0: {
      const std::string word = Word(random);
      return {{"kind", "text"}, {"value", word}, {"example", word}};
    }
    case 1: {
      return {{"kind", "number"}, {"value", least}, {"example", least}};
    }
    case 2: {
      const bool value = random.Coin();
      return {{"kind", "bool"}, {"value", value}, {"example", value}};
    }
    case 3: {
      const std::vector<std::string> values = Words(random, 3);
      return {{"kind", "choice"}, {"values", values}, {"example", values[1]}};
    }
    case 4:
      return {{"kind", "range"}, {"least", least}, {"most", most}, {"example", least + 1}};
    case 5: {
      const int64_t count = random.Between(2, 4);
      const std::vector<int64_t> example(static_cast<size_t>(count), most);
      return {{"kind", "numbers"},
              {"count", count},
              {"least", least},
              {"most", most},
              {"example", example}};
    }
    default: {
      const std::vector<std::string> values = Words(random, random.Between(2, 3));
      return {{"kind", "texts"}, {"values", values}, {"example", values}};
    }
  }
}

Json RandomObject(ProblemRandom& random, int keys, bool nested) {
  Json fields = Json::array(), example = Json::object();
  const int kinds = keys < 2 ? 3 : keys < 3 ? 5 : 7;
  for (const std::string& key : Words(random, keys)) {
    Json rule = RandomRule(random, kinds, nested);
    example[key] = rule.at("example");
    fields.push_back({{"key", key}, {"rule", std::move(rule)}});
  }
  return {{"kind", "object"}, {"fields", std::move(fields)}, {"example", std::move(example)}};
}

std::string Described(const Json& rule) {
  const std::string kind = rule.at("kind").get<std::string>();
  if (kind == "text") return "the string " + rule.at("value").dump();
  if (kind == "number") return "the number " + rule.at("value").dump();
  if (kind == "bool") return rule.at("value").dump();
  if (kind == "texts") return "the list " + rule.at("values").dump();
  if (kind == "choice") {
    std::vector<std::string> values;
    for (const Json& value : rule.at("values")) values.push_back(value.dump());
    return fmt::format("{}", fmt::join(values, " or "));
  }
  if (kind == "range") {
    return fmt::format("a whole number from {} to {}", rule.at("least").dump(),
                       rule.at("most").dump());
  }
  if (kind == "numbers") {
    return fmt::format("a list of {} whole numbers from {} to {}", rule.at("count").dump(),
                       rule.at("least").dump(), rule.at("most").dump());
  }
  std::string fields;
  for (const Json& field : rule.at("fields")) {
    fields += fmt::format("{}{}: {}", fields.empty() ? "" : ", ", field.at("key").dump(),
                          Described(field.at("rule")));
  }
  return "{" + fields + "}";
}

Question MakeJson(ProblemRandom& random, int difficulty) {
  Json rule = RandomObject(random, difficulty, difficulty >= 4);
  return {
      .prompt = fmt::format("Write a JSON object like this, with no other keys:\n{}\nReply with "
                            "the JSON only.",
                            Described(rule)),
      .answer = rule.at("example").dump(),
      .data = {{"rule", std::move(rule)}}};
}

bool IsWholeBetween(const Json& value, const Json& rule) {
  return value.is_number_integer() && value >= rule.at("least") && value <= rule.at("most");
}

bool Obeys(const Json& value, const Json& rule, const std::string& kind) {
  if (kind == "text" || kind == "bool") return value == rule.at("value");
  if (kind == "number") return value.is_number() && value == rule.at("value");
  if (kind == "texts") return value == rule.at("values");
  if (kind == "choice") return std::ranges::count(rule.at("values"), value) > 0;
  if (kind == "range") return IsWholeBetween(value, rule);
  if (kind == "numbers") {
    return value.is_array() && value.size() == rule.at("count").get<size_t>() &&
           std::ranges::all_of(value, [&](const Json& v) { return IsWholeBetween(v, rule); });
  }
  Fail(ErrorCode::kInvalidArgument, "a rule of kind '{}'", kind);
}

// The fault of the value at `path`; "" if it has none.
std::string FaultOf(const Json& value, const Json& rule, const std::string& path) {
  const std::string kind = rule.at("kind").get<std::string>();
  if (kind != "object") {
    return Obeys(value, rule, kind) ? "" : fmt::format("{} is not {}", path, Described(rule));
  }
  if (!value.is_object()) return path + " is no object";
  for (const Json& field : rule.at("fields")) {
    const std::string key = field.at("key").get<std::string>();
    const auto found = value.find(key);
    if (found == value.end()) return fmt::format("{} has no key \"{}\"", path, key);
    std::string fault = FaultOf(*found, field.at("rule"), key);
    if (!fault.empty()) return fault;
  }
  return value.size() == rule.at("fields").size() ? "" : path + " has a key too many";
}

// The parser keeps the last of equal keys without an error.
bool HasEqualKeys(std::string_view text) {
  std::vector<std::set<std::string>> open;
  bool equal = false;
  const auto look = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::key) {
      equal = equal || !open.back().insert(parsed.get<std::string>()).second;
    }
    if (event == Json::parse_event_t::object_end) open.pop_back();
    return true;
  };
  return Json::parse(text, look).is_discarded() || equal;
}

// Whether a number with a point or an exponent is a whole number as the machine's double and not as
// it is written: 5.0000000000000001, 1e-400.
bool HasRoundedNumber(std::string_view text) {
  struct Numbers : nlohmann::json_sax<Json> {
    bool rounded = false;
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t value, const string_t& written) override {
      if (std::floor(value) != value) return true;
      const std::optional<math::Rational> exact = ParseNumber(written);
      rounded = rounded || !exact || !exact->integer();
      return true;
    }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(size_t) override { return true; }
    bool key(string_t&) override { return true; }
    bool end_object() override { return true; }
    bool start_array(size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
      return false;
    }
  } numbers;
  return Json::sax_parse(text, &numbers) && numbers.rounded;
}

// The last fenced block if there is one, else from the first '{' to the last '}'.
std::string_view JsonIn(std::string_view text) {
  constexpr std::string_view kFence = "```";
  const size_t close = text.rfind(kFence);
  const size_t open = close == std::string_view::npos || close == 0 ? std::string_view::npos
                                                                    : text.rfind(kFence, close - 1);
  if (open != std::string_view::npos && open + kFence.size() <= close) {
    text = text.substr(open + kFence.size(), close - open - kFence.size());
  }
  const size_t begin = text.find('{'), end = text.rfind('}');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  return text.substr(begin, end + 1 - begin);
}

Grade GradeJson(const Problem& problem, std::string_view completion) {
  const Json& rule = problem.data.at("rule");
  const std::string_view text = JsonIn(FinalText(completion));
  if (text.empty()) return Grade::Wrong("no JSON object");
  if (text.size() > kMaxBytes) return Grade::Wrong("a JSON object of more than 16 KiB");
  Json value;
  try {
    value = ParseJson(text, "the answer");
  } catch (const Error&) {
    return Grade::Wrong(Quoted(text) + " is not valid JSON");
  }
  if (HasEqualKeys(text)) return Grade::Wrong("a key is there twice");
  if (HasRoundedNumber(text)) return Grade::Wrong("a number that is whole only after rounding");
  const std::string fault = FaultOf(value, rule, "the object");
  return fault.empty() ? Grade::Correct() : Grade::Wrong(fault);
}

}  // namespace

std::vector<TaskRow> JsonTasks() {
  return {{"json", "a JSON object that follows a schema",
           "keys; from 2 on choices and ranges, from 3 on lists, from 4 on objects within", 1, 10,
           1, MakeJson, GradeJson}};
}

}  // namespace lorikeet
