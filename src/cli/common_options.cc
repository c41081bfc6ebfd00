#include "cli/common_options.h"

#include "core/error.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace lorikeet {

void CommonOptions::Apply() const {
  if (quiet && verbose)
    Fail(ErrorCode::kInvalidArgument, "--quiet and --verbose exclude each other; give one");
  SetNumThreads(threads > 0 ? threads : DefaultThreads(CountCpus()));
}

}  // namespace lorikeet
