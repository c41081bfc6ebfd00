#include "recipes/common_options.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace lorikeet {

void CommonOptions::Apply() const {
  if (quiet && verbose)
    Fail(ErrorCode::kInvalidArgument, "--quiet and --verbose exclude each other; give one");
  SetNumThreads(threads > 0 ? threads : DefaultThreads(CountCpus()));
}

void CommonOptions::PrintNotes(const std::vector<std::string>& notes) const {
  if (quiet) return;
  for (const std::string& note : notes) fmt::print(stderr, "note: {}\n", note);
}

}  // namespace lorikeet
