// Models that Hugging Face's tools have already downloaded.
#pragma once
#include <string>

namespace lorikeet {

// The snapshot folder of "org/name" or "org/name@revision" (default main; a branch, tag or commit)
// in the cache: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. Never downloads.
// Throws Error listing where it looked.
std::string FindInHubCache(const std::string& name);

}  // namespace lorikeet
