// Options that every command has.
#pragma once
#include <string>
#include <vector>

namespace lorikeet {

struct CommonOptions {
  int threads;
  bool quiet;
  bool verbose;

  template <class V>
  void ForEach(V& v) {
    v(threads, "threads", 0,
      "Threads to compute with. 0: as many as this process may use (OMP_NUM_THREADS, CPU affinity, "
      "container limits).",
      {.group = "Running", .min = 0, .max = 4096});
    v(quiet, "quiet", false, "Results and errors only.", {.aliases = {"q"}});
    v(verbose, "verbose", false, "More about what is decided and why.", {.aliases = {"v"}});
  }

  // Sets the number of threads. Throws Error(kInvalidArgument) for quiet and verbose together.
  void Apply() const;
  // Writes each to stderr, unless quiet.
  void PrintNotes(const std::vector<std::string>& notes) const;
};

}  // namespace lorikeet
