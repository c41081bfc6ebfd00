// Checksums of the files of a training checkpoint. run_state.json has them under "files", and one
// of itself under "crc32c"; checkpoints of older versions have none and are not checked.
#pragma once
#include <string>

#include "core/file.h"
#include "core/json.h"

namespace lorikeet {

inline constexpr const char* kRunStateFile = "run_state.json";

// {"name": {"bytes": 12, "crc32c": "e3069283"}, ...} of all files in the folder.
Json FileSumsOf(const std::string& dir);
// The text of run_state.json: `state` with a checksum of itself.
std::string WithOwnSum(Json state);

// Reads run_state.json. Throws Error(kCorruptFile) naming it unless its checksum is right.
Json ReadSummedState(const std::string& dir);
// Throws Error(kCorruptFile) naming the first file that is not as state["files"] says.
void CheckFileSums(const std::string& dir, const Json& state);
// The same for one file, if a run_state.json with its checksum lies beside it.
void CheckFileSum(const MappedFile& file);

}  // namespace lorikeet
