// libFuzzer target: a reference and a completion of any bytes, separated by the first line break,
// get a verdict, in both orders.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/check.h"
#include "verify/math/grader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), size);
  const std::string reference(input.substr(0, end));
  const std::string_view completion = input.substr(std::min(end + 1, size));
  for (const Grade& grade :
       {GradeMath(reference, completion), GradeMath(reference, "\\boxed{" + reference + "}"),
        GradeMath(completion, reference)}) {
    CHECK(grade.reward == (grade.verdict == Verdict::kCorrect ? 1 : 0));
    CHECK(grade.reason.empty() == (grade.verdict == Verdict::kCorrect));
  }
  return 0;
}
