// Lookup of models in the download cache of Hugging Face's tools.
#pragma once
#include <string>

namespace lorikeet {

// The snapshot folder of "org/name" or "org/name@revision" (default main; a branch, tag or commit)
// in the cache: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. Never downloads.
// Throws Error listing the searched folders.
std::string FindInHubCache(const std::string& name);

}  // namespace lorikeet
