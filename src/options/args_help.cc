// --help: grouped, wrapped, with defaults.
#include "options/args_help.h"

#include <fmt/format.h>

#include <algorithm>

#include "options/args.h"
#include "options/args_value.h"

namespace lorikeet {
namespace {

constexpr size_t kWidth = 96;
constexpr size_t kHelpColumn = 30;

std::string Hyphened(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// Words of `text` in lines no wider than kWidth, every line but the first indented.
std::string Wrapped(const std::string& text, size_t indent, size_t column) {
  std::string wrapped;
  size_t begin = 0;
  while (begin < text.size()) {
    if (text[begin] == '\n') {  // a paragraph's end stays one
      wrapped += '\n' + std::string(indent, ' ');
      column = indent;
      ++begin;
      continue;
    }
    const size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!word.empty()) {
      const bool fits = column + word.size() + 1 <= kWidth;
      if (!fits) wrapped += '\n' + std::string(indent, ' ');
      if (!fits) column = indent;
      if (column > indent) wrapped += ' ';
      column += word.size() + (column > indent ? 1 : 0);
      wrapped += word;
    }
    begin = end + (end < text.size() && text[end] == ' ' ? 1 : 0);
  }
  return wrapped;
}

std::string DefaultNote(const Option& option) {
  if (option.traits.required) return " (required)";
  std::string text = option.default_text;
  if (IsBool(option)) return text == "true" ? " [on]" : "";
  if (IsList(option)) text = text.substr(1, text.size() - 2);
  return text.empty() || text == "null" || text == "\"\"" ? "" : fmt::format(" [{}]", text);
}

// "-r, --lora-r INT"; "--[no-]shuffle".
std::string FlagColumn(const Option& option) {
  std::string flags;
  for (const std::string& alias : option.traits.aliases) {
    if (alias.size() == 1) flags += fmt::format("-{}, ", alias);
  }
  const bool on_by_default = IsBool(option) && option.default_text == "true";
  flags += (on_by_default ? "--[no-]" : "--") + Hyphened(option.name);
  const std::string metavar = MetavarOf(option);
  return metavar.empty() ? flags : flags + " " + metavar;
}

// Names from other trainers stand apart, at the end: few readers need them.
std::string OtherNames(const OptionTable& table) {
  std::string text;
  for (const Option& option : table.options()) {
    std::vector<std::string> names;
    for (const std::string& alias : option.traits.aliases) {
      if (alias.size() > 1) names.push_back("--" + Hyphened(alias));
    }
    if (!names.empty())
      text += HelpEntry("--" + Hyphened(option.name), fmt::format("{}", fmt::join(names, ", ")));
  }
  return text.empty() ? "" : "\nOther names that are understood, here and in the file\n" + text;
}

std::string Usage(const OptionTable& table, const CommandHelp& command) {
  std::string usage = "Usage: lorikeet " + command.name;
  for (const Option& option : table.options()) {
    if (!option.traits.positional) continue;
    std::string word = Hyphened(option.name) + (IsList(option) ? "..." : "");
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    usage += option.traits.required ? " " + word : " [" + word + "]";
  }
  return usage + " [--option value]...\n";
}

}  // namespace

std::string HelpEntry(const std::string& left, const std::string& help) {
  std::string entry = "  " + left;
  if (entry.size() + 2 > kHelpColumn) {
    entry += '\n' + std::string(kHelpColumn, ' ');
  } else {
    entry.resize(kHelpColumn, ' ');
  }
  return entry + Wrapped(help, kHelpColumn, kHelpColumn) + '\n';
}

std::string HelpText(const OptionTable& table, const CommandHelp& command) {
  std::string text = Usage(table, command) + '\n' + Wrapped(command.summary, 0, 0) + '\n';
  std::vector<std::string> groups;
  for (const Option& option : table.options()) {
    if (std::find(groups.begin(), groups.end(), option.traits.group) == groups.end()) {
      groups.push_back(option.traits.group);
    }
  }
  for (const std::string& group : groups) {
    text += fmt::format("\n{}\n", group.empty() ? "Options" : group);
    for (const Option& option : table.options()) {
      if (option.traits.group != group) continue;
      text += HelpEntry(FlagColumn(option), option.help + DefaultNote(option));
    }
  }
  text += "\nFor every command\n";
  text += HelpEntry("--config FILE",
                    "YAML file of the options above, as 'name: value' lines. Flags win over it.");
  text += HelpEntry("--set NAME=VALUE",
                    "Sets any option by its name; wins over the file. May be repeated.");
  text += HelpEntry("-h, --help", "This text.");
  text += OtherNames(table);
  if (command.epilog.empty()) return text;
  text += '\n' + command.epilog;
  if (text.back() != '\n') text += '\n';
  return text;
}

}  // namespace lorikeet
