#include "recipes/expert_notes.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/dry_run.h"

namespace lorikeet {

std::vector<std::string> ExpertNotes(const ModelConfig& model, const TrainingShape& shape) {
  if (model.num_experts == 0 || shape.method == Method::kFull) return {};
  const RunSkeleton run(model, shape);
  const int64_t E = model.num_experts, k = model.num_experts_per_tok;
  int64_t r = 0;
  for (const LoraPair& pair : run.training()->adapter().pairs()) {
    if (pair.module.find(".experts.") != std::string::npos) r = std::max(r, pair.r);
  }
  if (r == 0) {
    return {
        fmt::format("note: the {} experts get no adapters, though most of the model is in them; "
                    "attention alone "
                    "learns less, so add mlp (or experts) to target_modules",
                    E)};
  }
  std::vector<std::string> notes;
  notes.push_back(shape.lora_expert_rank > 0
                      ? fmt::format("rank {} in each of {} experts, {} active", r, E, k)
                      : fmt::format("rank {} in each of {} experts: lora_r {} / {} active", r, E,
                                    shape.lora_r, k));
  if (shape.lora_shared_outer) {
    notes.back() += "; they share the factor on the hidden side";
  }
  if (model.shared_expert_intermediate_size > 0) {
    notes.push_back(fmt::format(
        "note: peft 0.21 silently leaves out adapters of {} experts when it loads them; merge the "
        "result into its base to use it elsewhere",
        model.model_type));
  }
  if (shape.lora_expert_rank == 0 && shape.lora_r % k != 0) {
    notes.push_back(fmt::format(
        "note: lora_r {} is no multiple of the {} active experts, so each gets the whole part{}; "
        "lora_r {} or lora_expert_rank would be exact",
        shape.lora_r, k, shape.lora_r < k ? ", but 1 at least" : "", (shape.lora_r / k + 1) * k));
  }
  if (shape.lora_expert_rank > 0 && k < E && r <= std::max<int64_t>(1, shape.lora_r / E) &&
      r < shape.lora_r / k) {
    notes.push_back(
        fmt::format("note: lora_expert_rank {} is lora_r over all {} experts; a token is sent to "
                    "{} of them, and "
                    "lora_r / {} = {} keeps the share of adapted parameters",
                    r, E, k, k, shape.lora_r / k));
  }
  return notes;
}

}  // namespace lorikeet
