// Options: ONE declaration each, and everything else read from it: default, flag, YAML key, help
// text, the resolved config.yaml, JSON. An options struct declares its fields like this:
//
//   struct SftOptions {
//     std::string model;
//     int lora_r;
//     template <class V>
//     void ForEach(V& v) {
//       v(model, "model", "", "Folder, GGUF file or name in the Hugging Face cache.",
//         {.group = "Model", .aliases = {"base_model"}, .required = true});
//       v(lora_r, "lora_r", 32, "Rank of the adapters.", {.group = "Adapter", .min = 1});
//     }
//   };
//
// Field types: bool, int, int64_t, double, std::string, std::vector<std::string>, and std::optional
// of the first five
// ("null" leaves it open). Structs compose: call other.ForEach(v) inside ForEach.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"

namespace lorikeet {

// A key of other trainers that has no place here. Values that ask for what happens anyway (lists of
// them: "0", "false"), and null, are accepted and change nothing; others are refused with advice.
struct ForeignKey {
  std::string key, advice;
  std::vector<std::string> neutral = {};
};

struct OptionTraits {
  std::string group = {};                 // heading in --help; empty: that of the option before
  std::vector<std::string> aliases = {};  // other names for flag and key; "x" is also -x
  std::vector<std::string> choices = {};  // the only values a string (or list element) may have
  std::optional<double> min = {};         // value >= min
  std::optional<double> above = {};       // value > above
  std::optional<double> max = {};         // value <= max
  bool required = false;                  // a string, list or optional that may not stay empty
  bool positional = false;  // also taken from arguments without a flag, in order of declaration
  // FILE, DIR, ...; a word for the type if empty. FILE, FILES, DIR and PATH are paths, in which a
  // leading ~ is the user's home folder.
  std::string metavar = {};
  bool whole = false;  // a list whose text is one item, not split at commas
  std::vector<ForeignKey> foreign = {};
  // Texts that mean the same as null, for an optional field: "-1" where others write no limit so.
  std::vector<std::string> none = {};
};

using OptionField =
    std::variant<bool*, int*, int64_t*, double*, std::string*, std::vector<std::string>*,
                 std::optional<bool>*, std::optional<int>*, std::optional<int64_t>*,
                 std::optional<double>*, std::optional<std::string>*>;

struct Option {
  std::string name;
  std::string help;
  OptionTraits traits;
  OptionField field;
  std::string default_text;  // as config.yaml would show it
};

// What an options struct declares, bound to one instance of it (which must outlive the table).
class OptionTable {
 public:
  template <class Options>
  requires(!std::is_same_v<std::remove_const_t<Options>, OptionTable>) explicit OptionTable(
      Options& options) {
    options.ForEach(*this);
  }
  template <class T>
  void operator()(T& field, const char* name, const std::type_identity_t<T>& default_value,
                  const char* help, OptionTraits traits = {}) {
    T shown = default_value;
    Add(Option{name, help, std::move(traits), &field, ""}, &shown);
  }
  const std::vector<Option>& options() const { return options_; }
  // By name or alias, '-' and '_' being equal; null if there is none.
  const Option* Find(std::string_view name) const;
  std::vector<std::string> Names() const;
  // Throws Error(kInvalidArgument) for a name that is no option: `where` says where it stood.
  const Option& Get(const std::string& name, const std::string& where) const;
  // The key of another trainer; null if the name is none.
  const ForeignKey* FindForeign(std::string_view name) const;

 private:
  void Add(Option option, OptionField default_value);
  std::vector<Option> options_;
};

// What --help says around the options.
struct CommandHelp {
  std::string name = {};     // "sft"
  std::string summary = {};  // a line or a paragraph
  std::string epilog = {};   // examples, shown as they are
};

// Every field = its default.
template <class Options>
void SetDefaults(Options& options) {
  const auto assign = []<class T>(T& field, const char*,
                                  const std::type_identity_t<T>& default_value, const char*,
                                  const OptionTraits& = {}) { field = default_value; };
  options.ForEach(assign);
}

// The functions below throw Error(kInvalidArgument), one line: where, what, advice.

// One option from text, as in YAML: numbers as 8, 1e-5, .5; lists as a,b or [a, b].
void SetOption(const OptionTable& table, const std::string& name, const std::string& text,
               const std::string& where);
// A flat YAML map. Unknown and duplicate keys (aliases count) are errors.
void ApplyYaml(const OptionTable& table, const std::string& text, const std::string& where);
void ApplyYamlFile(const OptionTable& table, const std::string& path);
// argv[0] is skipped. `--config FILE`, then `--set key=value`, then flags, whatever their order.
// `-h`/`--help` prints the help to stdout and returns false; true otherwise. Does not set defaults,
// so a caller may put other layers below (a resumed run's config.yaml). Names of the options that
// flags and --set gave are appended to `typed`, where it is not null.
bool ApplyCommandLine(const OptionTable& table, const CommandHelp& command, int argc,
                      const char* const* argv, std::vector<std::string>* typed = nullptr);

// Defaults, file, flags: what a command begins with. False: help was shown, nothing is to be done.
// Options with a member `std::vector<std::string> typed` get the names that flags and --set gave.
template <class Options>
bool ParseCommandLine(const CommandHelp& command, int argc, const char* const* argv,
                      Options& options) {
  SetDefaults(options);
  std::vector<std::string>* typed = nullptr;
  if constexpr (requires { options.typed; }) typed = &options.typed;
  return ApplyCommandLine(OptionTable(options), command, argc, argv, typed);
}

// The values as they stand. ApplyYaml(ToYaml()) changes nothing; PyYAML reads the same values.
std::string ToYaml(const OptionTable& table);
OrderedJson ToJson(const OptionTable& table);
// Only those that are not at their default.
OrderedJson ChangedToJson(const OptionTable& table);

std::string HelpText(const OptionTable& table, const CommandHelp& command);

}  // namespace lorikeet
