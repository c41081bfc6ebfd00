// What a person should know who adapts a mixture of experts.
#pragma once
#include <string>
#include <vector>

#include "plan/memory_plan.h"

namespace lorikeet {

// One line each, for LoRA on a model with experts; otherwise none. The first says the experts'
// rank; others warn of a rank that does not divide, of one by all experts instead of the active
// ones, and of experts left out.
std::vector<std::string> ExpertNotes(const ModelConfig& model, const TrainingShape& shape);

}  // namespace lorikeet
