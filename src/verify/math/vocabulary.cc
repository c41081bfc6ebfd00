#include "verify/math/vocabulary.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/text.h"
#include "verify/answer.h"

namespace lorikeet::math {
namespace {

using Names = std::unordered_set<std::string_view>;
using Meanings = std::unordered_map<std::string_view, CommandMeaning>;

constexpr std::array<std::pair<std::string_view, std::string_view>, 68> kSigns = {{
    {"−", "-"},
    {"–", "-"},
    {"—", "-"},
    {"‐", "-"},
    {"‑", "-"},
    {"×", "\\times "},
    {"·", "\\cdot "},
    {"⋅", "\\cdot "},
    {"∙", "\\cdot "},
    {"∗", "*"},
    {"÷", "\\div "},
    {"⁄", "/"},
    {"∕", "/"},
    {"√", "\\surd "},
    {"∛", "\\cbrt "},
    {"π", "\\pi "},
    {"∞", "\\infty "},
    {"≤", "\\le "},
    {"≥", "\\ge "},
    {"⩽", "\\le "},
    {"⩾", "\\ge "},
    {"≠", "\\ne "},
    {"≈", "\\approx "},
    {"±", "\\pm "},
    {"∓", "\\mp "},
    {"∪", "\\cup "},
    {"∈", "\\in "},
    {"∅", "\\emptyset "},
    {"∖", "\\setminus "},
    {"…", "\\ldots "},
    {"°", "^\\circ "},
    {"½", "\\frac{1}{2}"},
    {"⅓", "\\frac{1}{3}"},
    {"⅔", "\\frac{2}{3}"},
    {"¼", "\\frac{1}{4}"},
    {"¾", "\\frac{3}{4}"},
    {"⅕", "\\frac{1}{5}"},
    {"⅖", "\\frac{2}{5}"},
    {"⅗", "\\frac{3}{5}"},
    {"⅘", "\\frac{4}{5}"},
    {"⅙", "\\frac{1}{6}"},
    {"⅚", "\\frac{5}{6}"},
    {"⅛", "\\frac{1}{8}"},
    {"⅜", "\\frac{3}{8}"},
    {"⅝", "\\frac{5}{8}"},
    {"⅞", "\\frac{7}{8}"},
    {"⟨", "\\langle "},
    {"⟩", "\\rangle "},
    {"α", "\\alpha "},
    {"β", "\\beta "},
    {"γ", "\\gamma "},
    {"δ", "\\delta "},
    {"θ", "\\theta "},
    {"λ", "\\lambda "},
    {"μ", "\\mu "},
    {"σ", "\\sigma "},
    {"φ", "\\phi "},
    {"ω", "\\omega "},
    {"ℝ", "\\mathbb{R}"},
    {"\u00a0", " "},
    {"\u2009", " "},
    {"\u202f", " "},
    {"\u2003", " "},
    {"\u200b", ""},
    {"€", "$"},
    {"£", "$"},
    {"¥", "$"},
    {"₹", "$"},
}};

constexpr std::array<std::string_view, 12> kSuperscripts = {"⁰", "¹", "²", "³", "⁴", "⁵",
                                                            "⁶", "⁷", "⁸", "⁹", "⁻", "⁺"};

constexpr std::array<std::string_view, 31> kFunctions = {
    "sin",  "cos",  "tan",  "cot",  "sec",  "csc", "arcsin", "arccos", "arctan", "arccot", "sinh",
    "cosh", "tanh", "ln",   "log",  "lg",   "exp", "abs",    "floor",  "ceil",   "gcd",    "lcm",
    "min",  "max",  "asin", "acos", "atan", "sgn", "arsinh", "arcosh", "artanh"};

const Meanings& Commands() {
  static const Meanings commands = [] {
    Meanings m;
    for (const char* name :
         {"big",          "Big",       "bigg",        "Bigg",      "bigl",      "bigr",
          "Bigl",         "Bigr",      "biggl",       "biggr",     "Biggl",     "Biggr",
          "displaystyle", "textstyle", "scriptstyle", "limits",    "nolimits",  "quad",
          "qquad",        "rm",        "bf",          "it",        "mathbf",    "boldsymbol",
          "bm",           "mathit",    "vec",         "mathcal",   "thinspace", "enspace",
          "boxed",        "fbox",      "middle",      "hfill",     "hspace",    "phantom",
          "mathord",      "mathop",    "mathopen",    "mathclose", "strut",     "null",
          "dollar"}) {
      m[name] = {CommandClass::kIgnored, {}};
    }
    for (const char* name : {"text", "textrm", "textbf", "textit", "textnormal", "textsf", "texttt",
                             "textup", "textsc", "mbox", "hbox", "mathrm", "operatorname", "mathsf",
                             "mathtt", "emph", "underline"}) {
      m[name] = {CommandClass::kText, {}};
    }
    for (const char* name :
         {"alpha", "beta",   "gamma", "delta", "epsilon", "zeta",  "eta",   "theta",  "iota",
          "kappa", "lambda", "mu",    "nu",    "xi",      "rho",   "sigma", "tau",    "upsilon",
          "phi",   "chi",    "psi",   "omega", "Gamma",   "Delta", "Theta", "Lambda", "Xi",
          "Sigma", "Phi",    "Psi",   "Omega", "ell",     "pi",    "infty"}) {
      m[name] = {CommandClass::kLetter, name};
    }
    for (const char* name : {"hat", "bar", "tilde", "dot", "ddot", "check", "breve", "widehat",
                             "widetilde", "overrightarrow", "mathring"}) {
      m[name] = {CommandClass::kAccent, {}};
    }
    m["varepsilon"] = {CommandClass::kLetter, "epsilon"};
    m["vartheta"] = {CommandClass::kLetter, "theta"};
    m["varphi"] = {CommandClass::kLetter, "phi"};
    constexpr std::array<std::pair<std::string_view, std::string_view>, 44> kSymbols = {
        {{"cdot", "*"},
         {"times", "*"},
         {"ast", "*"},
         {"div", "/"},
         {"pm", "+-"},
         {"mp", "-+"},
         {"le", "<="},
         {"leq", "<="},
         {"leqslant", "<="},
         {"ge", ">="},
         {"geq", ">="},
         {"geqslant", ">="},
         {"lt", "<"},
         {"gt", ">"},
         {"ne", "!="},
         {"neq", "!="},
         {"in", "in"},
         {"approx", "approx"},
         {"cup", "cup"},
         {"lbrace", "\\{"},
         {"rbrace", "\\}"},
         {"lbrack", "["},
         {"rbrack", "]"},
         {"langle", "("},
         {"rangle", ")"},
         {"colon", ":"},
         {"vert", "|"},
         {"mid", "|"},
         {"lvert", "lvert"},
         {"rvert", "rvert"},
         {"lfloor", "lfloor"},
         {"rfloor", "rfloor"},
         {"lceil", "lceil"},
         {"rceil", "rceil"},
         {"prime", "'"},
         {"circ", "circ"},
         {"degree", "deg"},
         {"land", ";"},
         {"lor", ";"},
         {"lparen", "("},
         {"rparen", ")"},
         {"equiv", "="},
         {"setminus", "setminus"},
         {"backslash", "setminus"}}};
    for (const auto& [name, spelling] : kSymbols) m[name] = {CommandClass::kSymbol, spelling};
    constexpr std::array<std::pair<std::string_view, std::string_view>, 21> kOthers = {
        {{"frac", "frac"},           {"dfrac", "frac"},        {"tfrac", "frac"},
         {"cfrac", "frac"},          {"binom", "binom"},       {"dbinom", "binom"},
         {"tbinom", "binom"},        {"sqrt", "sqrt"},         {"surd", "surd"},
         {"cbrt", "cbrt"},           {"overline", "overline"}, {"emptyset", "emptyset"},
         {"varnothing", "emptyset"}, {"choose", "choose"},     {"over", "over"},
         {"ldots", "ldots"},         {"dots", "ldots"},        {"dotsc", "ldots"},
         {"cdots", "ldots"},         {"begin", "begin"},       {"end", "end"}}};
    for (const auto& [name, spelling] : kOthers) m[name] = {CommandClass::kCommand, spelling};
    for (const std::string_view name : kFunctions) m[name] = {CommandClass::kCommand, name};
    return m;
  }();
  return commands;
}

const Meanings& Words() {
  static const Meanings words = [] {
    Meanings m;
    m["and"] = m["or"] = {CommandClass::kSymbol, ";"};
    m["percent"] = m["percentage"] = m["pct"] = {CommandClass::kSymbol, "%"};
    m["union"] = {CommandClass::kSymbol, "cup"};
    m["pi"] = {CommandClass::kLetter, "pi"};
    m["infinity"] = m["inf"] = m["infty"] = {CommandClass::kLetter, "infty"};
    for (const std::string_view name :
         {"alpha", "beta", "gamma", "theta", "lambda", "phi", "omega"}) {
      m[name] = {CommandClass::kLetter, name};
    }
    m["sqrt"] = {CommandClass::kCommand, "surd"};
    m["cbrt"] = {CommandClass::kCommand, "cbrt"};
    for (const std::string_view name : kFunctions) m[name] = {CommandClass::kCommand, name};
    return m;
  }();
  return words;
}

CommandMeaning Find(const Meanings& meanings, std::string_view name) {
  const auto found = meanings.find(name);
  return found == meanings.end() ? CommandMeaning{} : found->second;
}

// The superscript digits and signs at the start of `text`; *length: their bytes.
std::string Superscripts(std::string_view text, size_t* length) {
  std::string digits;
  *length = 0;
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < kSuperscripts.size(); ++i) {
      if (!text.substr(*length).starts_with(kSuperscripts[i])) continue;
      digits.push_back("0123456789-+"[i]);
      *length += kSuperscripts[i].size();
      more = true;
    }
  }
  return digits;
}

}  // namespace

std::string ReplaceUnicode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      out.push_back(text[i++]);
      continue;
    }
    const std::string_view rest = text.substr(i);
    size_t length = 0;
    if (const std::string digits = Superscripts(rest, &length); length > 0) {
      out += "^{" + digits + "}";
      i += length;
      continue;
    }
    const auto* const sign = std::find_if(kSigns.begin(), kSigns.end(), [&](const auto& candidate) {
      return rest.starts_with(candidate.first);
    });
    if (sign == kSigns.end()) {
      out.push_back(text[i++]);
    } else {
      out += sign->second;
      i += sign->first.size();
    }
  }
  return out;
}

CommandMeaning CommandNamed(std::string_view name) { return Find(Commands(), name); }

CommandMeaning WordNamed(std::string_view word) { return Find(Words(), LowerAscii(word)); }

bool IsUnitWord(std::string_view word) {
  static const Names units = {"cm",  "mm",  "km",  "nm",  "dm",  "ft",  "in", "yd",  "mi",  "kg",
                              "mg",  "lb",  "lbs", "oz",  "ml",  "cl",  "hr", "hrs", "sec", "min",
                              "mph", "kmh", "kph", "rpm", "deg", "rad", "sq", "cu",  "pt",  "pts",
                              "yr",  "yrs", "wk",  "day", "hz",  "khz", "kw", "mol", "cal", "usd"};
  return units.contains(LowerAscii(word));
}

bool IsUnitLetter(std::string_view letter) {
  static const Names units = {"m", "g", "s", "h", "L", "l", "N", "J", "W", "V"};
  return units.contains(letter);
}

bool IsRefusedWord(std::string_view word) {
  static const Names refused = {"is",    "are",     "was",     "be",   "not",  "no",    "but",
                                "if",    "than",    "to",      "from", "plus", "minus", "times",
                                "over",  "divided", "mod",     "am",   "pm",   "less",  "more",
                                "at",    "about",   "between", "then", "else", "maybe", "wrong",
                                "never", "none",    "except"};
  return refused.contains(LowerAscii(word));
}

int PowerOfTenNamed(std::string_view word) {
  static const std::unordered_map<std::string_view, int> powers = {
      {"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12}};
  const auto found = powers.find(LowerAscii(word));
  return found == powers.end() ? 0 : found->second;
}

int BaseNamed(std::string_view word) {
  constexpr std::array<std::string_view, 17> kNames = {
      "zero", "one", "two",    "three",  "four",     "five",     "six",     "seven",  "eight",
      "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"};
  const std::string lower = LowerAscii(word);
  const auto* const found = std::find(kNames.begin() + 2, kNames.end(), lower);
  return found == kNames.end() ? 0 : static_cast<int>(found - kNames.begin());
}

}  // namespace lorikeet::math
