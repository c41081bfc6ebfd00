// The YAML side of options: a flat map in, the resolved map out.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "options/args.h"
#include "options/args_value.h"

namespace lorikeet {
namespace {

constexpr uintmax_t kMaxFileBytes = 1 << 20;

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

std::vector<std::string> ScalarItems(const YAML::Node& sequence, const std::string& where) {
  std::vector<std::string> items;
  for (const YAML::Node& item : sequence) {
    if (!item.IsScalar()) {
      Fail(ErrorCode::kInvalidArgument, "{}: a list may hold only plain values, no lists or maps",
           where);
    }
    items.push_back(item.Scalar());
  }
  return items;
}

void SetFromNode(const Option& option, const YAML::Node& node, const std::string& where) {
  if (node.IsScalar()) {
    SetFromText(option, node.Scalar(), where);
  } else if (node.IsNull()) {
    if (!IsOptional(option)) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: has no value; write one, or delete the line for the default ({})", where,
           option.default_text);
    }
    SetFromText(option, "null", where);
  } else if (node.IsSequence() && IsList(option)) {
    SetFromItems(option, ScalarItems(node, where), where);
  } else {
    Fail(ErrorCode::kInvalidArgument, "{}: takes {}, not a {}", where,
         IsList(option) ? "a list" : "one value", node.IsSequence() ? "list" : "map");
  }
}

// Checks the parser's events and keeps nothing.
class IgnoreEvents : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// The only document of a text; null if it is empty. YAML::LoadAll would do as well, but does not
// terminate on some damaged texts ("!a,b"): it takes the same token for a new document for ever.
YAML::Node LoadDocument(const std::string& text, const std::string& where) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    IgnoreEvents events;
    if (parser.HandleNextDocument(events) && parser.HandleNextDocument(events)) {
      Fail(ErrorCode::kInvalidArgument, "{}: must be one YAML map of 'key: value' lines", where);
    }
    return YAML::Load(text);
  } catch (const YAML::Exception& e) {
    Fail(ErrorCode::kInvalidArgument, "{}:{}: not valid YAML: {}", where, e.mark.line + 1, e.msg);
  }
}

// Whether an entry is a key of another trainer that asks for what happens anyway.
bool IsNeutralEntry(const OptionTable& table, const std::string& key, const YAML::Node& value) {
  if (table.Find(key) != nullptr) return false;
  const ForeignKey* foreign = table.FindForeign(key);
  if (foreign == nullptr) return false;
  if (value.IsSequence()) return value.size() == 0 && IsNeutralValue(*foreign, "[]");
  return value.IsNull() || (value.IsScalar() && IsNeutralValue(*foreign, value.Scalar()));
}

}  // namespace

void ApplyYaml(const OptionTable& table, const std::string& text, const std::string& where) {
  const YAML::Node document = LoadDocument(text, where);
  if (document.IsNull()) return;
  if (!document.IsMap()) {
    Fail(ErrorCode::kInvalidArgument, "{}: must be one YAML map of 'key: value' lines", where);
  }
  struct Seen {
    std::string key;
    int line;
  };
  std::map<const Option*, Seen> seen;
  for (const auto& entry : document) {
    const int line = LineOf(entry.first);
    if (!entry.first.IsScalar()) {
      Fail(ErrorCode::kInvalidArgument, "{}:{}: a key must be a plain word", where, line);
    }
    const std::string key = entry.first.Scalar();
    if (IsNeutralEntry(table, key, entry.second)) continue;
    const Option& option = table.Get(key, fmt::format("{}:{}", where, line));
    const auto [earlier, is_new] = seen.try_emplace(&option, Seen{key, line});
    if (!is_new) {
      Fail(ErrorCode::kInvalidArgument,
           "{}:{}: '{}' is set a second time (first as '{}' in line {}); keep one", where, line,
           key, earlier->second.key, earlier->second.line);
    }
    SetFromNode(option, entry.second, fmt::format("{}:{}: {}", where, line, key));
  }
}

void ApplyYamlFile(const OptionTable& table, const std::string& path) {
  std::string text;
  try {
    std::error_code ignored;
    if (std::filesystem::file_size(path, ignored) > kMaxFileBytes && !ignored) {
      Fail(ErrorCode::kInvalidArgument, "{}: too large for a configuration file (over 1 MiB)",
           path);
    }
    text = ReadFile(path);
  } catch (const Error& e) {
    Fail(ErrorCode::kInvalidArgument, "--config {}", e.what());
  }
  ApplyYaml(table, text, path);
}

void SetOption(const OptionTable& table, const std::string& name, const std::string& text,
               const std::string& where) {
  const Option& option = table.Get(name, where);
  if (IsList(option) && text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    const YAML::Node list = LoadDocument(text, where);
    if (list.IsSequence()) return SetFromItems(option, ScalarItems(list, where), where);
  }
  SetFromText(option, text, where);
}

std::string ToYaml(const OptionTable& table) {
  std::string yaml, group;
  for (const Option& option : table.options()) {
    if (option.traits.group != group) {
      yaml += fmt::format("{}# {}\n", yaml.empty() ? "" : "\n", option.traits.group);
      group = option.traits.group;
    }
    yaml += fmt::format("{}: {}\n", option.name, FieldAsYaml(option.field));
  }
  return yaml;
}

OrderedJson ToJson(const OptionTable& table) {
  OrderedJson json = OrderedJson::object();
  for (const Option& option : table.options()) json[option.name] = FieldAsJson(option.field);
  return json;
}

OrderedJson ChangedToJson(const OptionTable& table) {
  OrderedJson json = OrderedJson::object();
  for (const Option& option : table.options()) {
    if (FieldAsYaml(option.field) == option.default_text) continue;
    json[option.name] = FieldAsJson(option.field);
  }
  return json;
}

}  // namespace lorikeet
