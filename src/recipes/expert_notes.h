// Notes for users who adapt a mixture of experts.
#pragma once
#include <string>
#include <vector>

#include "plan/memory_plan.h"

namespace lorikeet {

// Notes of one line each for LoRA on a model with experts; otherwise none. The first one is the
// experts' rank; the others are warnings: the rank does not divide, it was divided by all experts
// instead of the active ones, or experts are not adapted.
std::vector<std::string> ExpertNotes(const ModelConfig& model, const TrainingShape& shape);

}  // namespace lorikeet
