// Parts of ReadModelConfig. Included by config*.cc only.
#pragma once
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "model/config.h"
#include "model/family.h"

namespace lorikeet {

// rope_theta and rope_scaling. Throws Error for a kind of rope that is not supported.
void ReadRope(const JsonFields& json, const Family& family, ModelConfig* config);

// Keys that are neither read for this family nor known to change nothing, ascending; those of a
// rope block with its name: "rope_scaling.mrope_section".
std::vector<std::string> UnknownKeys(const JsonFields& json, const Family& family,
                                     const ModelConfig& config);

// The same of the top level of a wrapper (checkpoint/text_names.h).
std::vector<std::string> UnknownWrapperKeys(const JsonFields& json);

}  // namespace lorikeet
