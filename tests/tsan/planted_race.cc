// A program with a data race of each kind that ThreadSanitizer must find, and none in the third:
// `planted_race threads | openmp | none`. It shows that the check itself works (`./test.sh
// --tsan`).
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>

namespace {

int counter = 0;
std::mutex mutex;

void RaceBetweenThreads() {
  std::thread other([] { ++counter; });
  ++counter;
  other.join();
}

void RaceInParallelRegion() {
#pragma omp parallel num_threads(2)
  ++counter;
}

// Each access is ordered: by a mutex between threads, by the end of the region between regions.
void NoRace() {
  std::thread other([] {
    const std::lock_guard lock(mutex);
    ++counter;
  });
  {
    const std::lock_guard lock(mutex);
    ++counter;
  }
  other.join();
  int parts[2] = {};
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; ++i) parts[i] = i + 1;
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; ++i) parts[i] += parts[i];
  counter += parts[0] + parts[1];
}

}  // namespace

int main(int argc, char** argv) {
  const char* kind = argc == 2 ? argv[1] : "";
  if (std::strcmp(kind, "threads") == 0) {
    RaceBetweenThreads();
  } else if (std::strcmp(kind, "openmp") == 0) {
    RaceInParallelRegion();
  } else {
    NoRace();
  }
  std::printf("%d\n", counter);
}
