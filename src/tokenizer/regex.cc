#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/check.h"
#include "core/error.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxPatternBytes = 1 << 16;
constexpr uint32_t kMatchLimit = 20'000'000;  // steps of one match, one per space of a long run
constexpr uint32_t kHeapLimitKiB = 512 << 10;
constexpr size_t kJitStackBytes = 64 << 20;  // grows on demand

// Arguments of pcre2_match besides the pattern; one instance per thread.
struct Matcher {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr);

  Matcher() {
    if (data == nullptr || context == nullptr) Fail(ErrorCode::kOutOfMemory, "regex: no memory");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_depth_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Matcher() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

std::string ErrorText(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

pcre2_code* Compile(const std::string& pattern, int* error, size_t* at) {
  static pcre2_compile_context* const context = [] {
    pcre2_compile_context* c = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(c, PCRE2_BSR_UNICODE);
    return c;
  }();
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, error,
                       at, context);
}

}  // namespace

Regex::Regex(std::string_view oniguruma_pattern, const std::string& where)
    : pattern_(oniguruma_pattern), where_(where) {
  if (oniguruma_pattern.size() > kMaxPatternBytes) {
    Fail(ErrorCode::kUnsupported, "{}: a regular expression of {} bytes (limit {})", where,
         oniguruma_pattern.size(), kMaxPatternBytes);
  }
  const std::string translated = TranslateOniguruma(oniguruma_pattern, where);
  int error = 0;
  size_t at = 0;
  pcre2_code* code = Compile(translated, &error, &at);
  if (code == nullptr) {
    Fail(ErrorCode::kCorruptFile, "{}: regular expression '{}': {}", where, pattern_,
         ErrorText(error));
  }
  code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // if it fails, the slower interpreter runs
}

void Regex::FindAll(std::string_view text, std::vector<Span>* matches) const {
  thread_local Matcher matcher;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t from = 0;
  bool any = false;
  size_t last_end = 0;
  while (from <= text.size()) {
    int rc = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, matcher.data,
                         matcher.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      rc = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                       matcher.data, matcher.context);
    }
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc < 0) {
      Fail(ErrorCode::kUnsupported, "{}: regular expression '{}': {}; the pattern is too costly",
           where_, pattern_, ErrorText(rc));
    }
    const size_t* span = pcre2_get_ovector_pointer(matcher.data);
    const size_t begin = span[0], end = span[1];
    CHECK(end >= begin && begin >= from);  // \K could break this; the translation refuses it
    if (begin == end && any && last_end == end) {
      size_t length = 1;
      if (from < text.size()) DecodeUtf8(text, from, &length);
      from += length;
      continue;
    }
    matches->push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    any = true;
    from = last_end = end;
  }
}

}  // namespace lorikeet
