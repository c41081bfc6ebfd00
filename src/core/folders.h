// Removal of folders that a kill or a power cut never leaves half done.
#pragma once
#include <string>

namespace lorikeet {

// Renames a folder to DIR.tmp, then deletes that: DIR is whole or gone, even after a power cut.
// Returns false if that failed; DIR or DIR.tmp is then left.
bool RemoveFolderAtomically(const std::string& dir);

}  // namespace lorikeet
