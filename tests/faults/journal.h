// The journal that fault_shim.cc writes, and a model of a disk that a power cut leaves with only a
// part of what the journal says.
#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace lorikeet::faults {

struct JournalEntry {
  std::string operation, path, other;
  int64_t offset = 0;
  std::string bytes;
};
// Throws std::runtime_error for a file that is no journal.
std::vector<JournalEntry> ReadJournal(const std::string& path);

// Power cuts: what was not synced is lost, or a random part of it is there: of every folder a
// random choice of its changed names, of every file a random prefix of what was written.
enum class Cut : uint8_t { kStrict, kRandom };

// Makes the folder `root`, which did not exist before the first entry and whose parent is durable,
// as a power cut after the first `count` entries leaves it. Nothing is made if not even the folder
// is there. Paths of the journal are below `root`.
void MakeCutState(const std::vector<JournalEntry>& journal, size_t count, const std::string& root,
                  Cut cut, std::mt19937_64& random);

}  // namespace lorikeet::faults
