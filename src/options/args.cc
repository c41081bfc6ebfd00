#include "options/args.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <set>

#include "core/check.h"
#include "core/error.h"
#include "core/suggest.h"
#include "options/args_value.h"

namespace lorikeet {
namespace {

std::string WithUnderscores(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::string WithHyphens(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::vector<std::string> NamesOf(const Option& option) {
  std::vector<std::string> names = {option.name};
  names.insert(names.end(), option.traits.aliases.begin(), option.traits.aliases.end());
  return names;
}

// "--lora-r,--lora_r,--r,-r": every spelling of every name, as CLI11 wants it.
std::string SpellingsOf(const Option& option) {
  std::set<std::string> spellings;
  for (const std::string& name : NamesOf(option)) {
    spellings.insert("--" + WithUnderscores(name));
    spellings.insert("--" + WithHyphens(name));
    if (name.size() == 1) spellings.insert("-" + name);
    if (IsBool(option)) {
      spellings.insert("!--no_" + WithUnderscores(name));
      spellings.insert("!--no-" + WithHyphens(name));
    }
  }
  return fmt::format("{}", fmt::join(spellings, ","));
}

// Whether argument i is a key of another trainer with a neutral value, as --key=value or in two
// arguments. `count`: how many arguments that is.
bool IsNeutral(const OptionTable& table, int argc, const char* const* argv, int i, int* count) {
  const std::string argument = argv[i];
  if (argument.rfind("--", 0) != 0) return false;
  const size_t equals = argument.find('=');
  const ForeignKey* foreign = table.FindForeign(argument.substr(2, equals - 2));
  if (foreign == nullptr || (equals == std::string::npos && i + 1 == argc)) return false;
  *count = equals == std::string::npos ? 2 : 1;
  return IsNeutralValue(*foreign, *count == 2 ? argv[i + 1] : argument.substr(equals + 1));
}

// `--packing false` as `--packing=false`: other trainers' flags take a word, and CLI11's do not.
// Flags of other trainers with neutral values are left out.
std::vector<std::string> JoinedBools(const OptionTable& table, int argc, const char* const* argv) {
  std::vector<std::string> joined;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--") {
      joined.insert(joined.end(), argv + i, argv + argc);
      break;
    }
    int neutral = 0;
    if (IsNeutral(table, argc, argv, i, &neutral)) {
      i += neutral - 1;
      continue;
    }
    joined.push_back(argument);
    if (argument.rfind("--", 0) != 0 || i + 1 == argc) continue;
    const Option* option = table.Find(argument.substr(2));
    const std::string next = WithUnderscores(argv[i + 1]);
    static const std::set<std::string> kWords = {"true", "True", "TRUE", "false", "False", "FALSE"};
    if (option != nullptr && IsBool(*option) && kWords.count(next) != 0)
      joined.back() += "=" + std::string(argv[++i]);
  }
  return joined;
}

// The texts of the command line by option, not yet checked.
class RawCommandLine {
 public:
  RawCommandLine(const OptionTable& table, std::vector<std::string> arguments) : table_(table) {
    app_.set_help_flag("-h,--help");
    app_.allow_extras();
    for (const Option& option : table.options()) Declare(option);
    app_.add_option("--config", config_)->expected(1)->take_last();
    app_.add_option("--set", sets_)->allow_extra_args(false);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 reads its vector from the back
    try {
      app_.parse(arguments);
    } catch (const CLI::CallForHelp&) {
      help_ = true;
    } catch (const CLI::ParseError& e) {
      Fail(ErrorCode::kInvalidArgument, "{} (see --help)", e.what());
    }
    if (!help_) RefuseExtras();
  }

  bool help() const { return help_; }
  const std::vector<std::string>& config() const { return config_; }
  const std::vector<std::string>& sets() const { return sets_; }

  void Apply(std::vector<std::string>* typed) const {
    for (size_t i = 0; i < typed_.size(); ++i) {
      const Option& option = table_.options()[i];
      const std::vector<std::string> texts = option_of_[i]->results();
      if (texts.empty()) continue;
      if (typed != nullptr) typed->push_back(option.name);
      const std::string where = "--" + WithHyphens(option.name);
      for (const std::string& text : texts) RefuseFlagAsValue(text, where);
      if (texts.size() > 1 && IsList(option)) {
        SetFromItems(option, texts, where);  // given one by one: nothing is split
      } else if (option.traits.whole) {
        SetFromText(option, texts.back(), where);  // "[INST]" is a text too, not YAML's list
      } else {
        SetOption(table_, option.name, texts.back(), where);
      }
    }
  }

 private:
  void Declare(const Option& option) {
    const std::string spellings = SpellingsOf(option);
    std::vector<std::string>& typed = typed_.emplace_back();
    if (IsBool(option)) {
      option_of_.push_back(app_.add_flag(spellings)->take_last());
      return;
    }
    const bool positional = option.traits.positional;
    CLI::Option* added =
        app_.add_option(positional ? option.name + "," + spellings : spellings, typed);
    if (!IsList(option)) {
      added->expected(1)->allow_extra_args(false)->take_last();
    } else if (!positional) {
      // One value per --flag, so that what follows stays positional.
      added->allow_extra_args(false);
    }
    option_of_.push_back(added);
  }

  void RefuseExtras() const {
    std::vector<std::string> extras = app_.remaining();
    std::erase(extras, "--");
    if (extras.empty()) return;
    const auto is_flag = [](const std::string& text) { return text.size() > 1 && text[0] == '-'; };
    const auto flag = std::find_if(extras.begin(), extras.end(), is_flag);
    if (flag == extras.end()) {
      Fail(ErrorCode::kInvalidArgument,
           "unexpected argument '{}' (options are written --name value; see --help)", extras[0]);
    }
    const std::string name =
        WithUnderscores(flag->substr(flag->find_first_not_of('-'), flag->find('=')));
    table_.Get(name.substr(0, name.find('=')), *flag);
    Fail(ErrorCode::kInvalidArgument, "{}: not understood here; see --help", *flag);
  }

  void RefuseFlagAsValue(const std::string& text, const std::string& where) const {
    if (text.rfind("--", 0) == 0 && table_.Find(text.substr(2, text.find('=') - 2)) != nullptr) {
      Fail(ErrorCode::kInvalidArgument, "{}: needs a value, but {} follows", where, text);
    }
  }

  const OptionTable& table_;
  CLI::App app_;
  bool help_ = false;
  std::vector<std::string> config_, sets_;
  std::deque<std::vector<std::string>> typed_;  // CLI11 keeps pointers to these
  std::vector<CLI::Option*> option_of_;
};

void ApplySet(const OptionTable& table, const std::string& assignment,
              std::vector<std::string>* typed) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    Fail(ErrorCode::kInvalidArgument, "--set {}: write --set key=value", assignment);
  }
  const std::string key = assignment.substr(0, equals);
  const ForeignKey* foreign = table.Find(key) != nullptr ? nullptr : table.FindForeign(key);
  if (foreign != nullptr && IsNeutralValue(*foreign, assignment.substr(equals + 1))) return;
  SetOption(table, key, assignment.substr(equals + 1), "--set " + key);
  if (typed != nullptr) typed->push_back(table.Find(key)->name);
}

void CheckRequired(const OptionTable& table) {
  for (const Option& option : table.options()) {
    if (option.traits.required && IsEmpty(option)) {
      Fail(ErrorCode::kInvalidArgument, "--{} {} is missing: {}", WithHyphens(option.name),
           MetavarOf(option), option.help);
    }
  }
}

}  // namespace

void OptionTable::Add(Option option, OptionField default_value) {
  option.default_text = FieldAsYaml(default_value);
  if (option.traits.group.empty() && !options_.empty())
    option.traits.group = options_.back().traits.group;
  for (const std::string& name : NamesOf(option)) CHECK(Find(name) == nullptr);
  options_.push_back(std::move(option));
}

const Option* OptionTable::Find(std::string_view name) const {
  const std::string wanted = WithUnderscores(name);
  for (const Option& option : options_) {
    for (const std::string& own : NamesOf(option)) {
      if (WithUnderscores(own) == wanted) return &option;
    }
  }
  return nullptr;
}

std::vector<std::string> OptionTable::Names() const {
  std::vector<std::string> names;
  for (const Option& option : options_) {
    const std::vector<std::string> own = NamesOf(option);
    names.insert(names.end(), own.begin(), own.end());
  }
  return names;
}

const ForeignKey* OptionTable::FindForeign(std::string_view name) const {
  const std::string wanted = WithUnderscores(name);
  for (const Option& option : options_) {
    for (const ForeignKey& foreign : option.traits.foreign) {
      if (foreign.key == wanted) return &foreign;
    }
  }
  return nullptr;
}

const Option& OptionTable::Get(const std::string& name, const std::string& where) const {
  if (const Option* option = Find(name)) return *option;
  if (const ForeignKey* foreign = FindForeign(name)) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not used here: {}", where, name,
         foreign->advice);
  }
  const std::string suggestion = DidYouMean(name, Names());
  Fail(ErrorCode::kInvalidArgument, "{}: unknown option '{}'{}", where, name,
       suggestion.empty() ? "; see --help" : suggestion);
}

bool ApplyCommandLine(const OptionTable& table, const CommandHelp& command, int argc,
                      const char* const* argv, std::vector<std::string>* typed) {
  const RawCommandLine raw(table, JoinedBools(table, argc, argv));
  if (raw.help()) {
    std::fputs(HelpText(table, command).c_str(), stdout);
    return false;
  }
  if (!raw.config().empty()) ApplyYamlFile(table, raw.config().back());
  for (const std::string& assignment : raw.sets()) ApplySet(table, assignment, typed);
  raw.Apply(typed);
  CheckRequired(table);
  return true;
}

}  // namespace lorikeet
