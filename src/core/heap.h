// The heap of this process.
#pragma once

namespace lorikeet {

// Returns memory that was freed to the system. The heap keeps it otherwise: after a large tokenizer
// was parsed, hundreds of MiB that no plan knows.
void ReleaseFreedMemory();

}  // namespace lorikeet
