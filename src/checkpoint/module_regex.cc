#include "checkpoint/module_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr uint32_t kMatchLimit = 1'000'000;  // backtracking steps of one match, about 10 ms
constexpr uint32_t kHeapLimitKiB = 64 << 10;

std::string ErrorText(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

pcre2_code* Compile(const std::string& pattern, int* error) {
  static pcre2_compile_context* const context = [] {
    pcre2_compile_context* c = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    return c;
  }();
  const uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_ALT_CIRCUMFLEX |
                           PCRE2_NEVER_BACKSLASH_C;
  size_t at = 0;  // an offset in the translation, which the user does not see
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, error,
                       &at, context);
}

// Arguments of pcre2_match besides the pattern; one instance per thread.
struct Matcher {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);

  Matcher() {
    if (data == nullptr || context == nullptr) Fail(ErrorCode::kOutOfMemory, "regex: no memory");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
  }
  ~Matcher() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

const Matcher& OfThread() {
  thread_local const Matcher matcher;
  return matcher;
}

bool IsAscii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

ModuleRegex::ModuleRegex(std::string_view pattern, const std::string& where)
    : pattern_(pattern), where_(where) {
  const PythonRegex python = TranslatePythonRegex(pattern, where);
  ignores_case_ = python.ignores_case;
  int error = 0;
  pcre2_code* code = Compile(python.pcre2, &error);
  if (code == nullptr) {
    Fail(ErrorCode::kUnsupported, "{}: regular expression {}: {}", where, QuotedName(pattern),
         ErrorText(error));
  }
  code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
}

bool ModuleRegex::Matches(std::string_view name, void* data) const {
  if (!IsValidUtf8(name) || (ignores_case_ && !IsAscii(name))) {
    Fail(ErrorCode::kUnsupported, "{}: regular expression {} against the name {}, which is not {}",
         where_, QuotedName(pattern_), QuotedName(name), ignores_case_ ? "ASCII" : "UTF-8");
  }
  const int rc = pcre2_match(
      static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(name.data()),
      name.size(), 0, PCRE2_NO_UTF_CHECK, static_cast<pcre2_match_data*>(data), OfThread().context);
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) {
    Fail(ErrorCode::kUnsupported,
         "{}: regular expression {} against {}: {}; the pattern is too costly, simplify it", where_,
         QuotedName(pattern_), QuotedName(name), ErrorText(rc));
  }
  return true;
}

bool ModuleRegex::FullMatch(std::string_view name) const { return Matches(name, OfThread().data); }

std::string ModuleRegex::LastGroup(std::string_view name) const {
  const auto* const code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  if (data == nullptr) Fail(ErrorCode::kOutOfMemory, "regex: no memory");
  uint32_t groups = 0;
  pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
  if (groups == 0 || !Matches(name, data.get())) return "";
  const size_t* const ends = pcre2_get_ovector_pointer(data.get()) + size_t{2} * groups;
  return ends[0] == PCRE2_UNSET ? "" : std::string(name.substr(ends[0], ends[1] - ends[0]));
}

}  // namespace lorikeet
