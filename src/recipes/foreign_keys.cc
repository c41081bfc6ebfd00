#include "recipes/foreign_keys.h"

namespace lorikeet {
namespace {

constexpr const char* kPlainLora = "adapters are plain LoRA; delete the line";
constexpr const char* kAccumulation =
    "batch_size is the number of examples in a whole step, and what memory holds at once is worked "
    "out";
constexpr const char* kAlwaysPacked = "examples are always packed, without padding or cross-talk";
constexpr const char* kReadAsIs = "a GGUF file is read as it is; give it as the model";
constexpr const char* kCpu = "training runs on the CPU's cores, in one process; delete the line";
constexpr const char* kNotUploaded = "results are files in output_dir; delete the line";

}  // namespace

std::vector<ForeignKey> ForeignAdapterKeys() {
  const char* whole_modules =
      "an adapter trains low-rank factors only; name lm_head in target_modules for an adapter of "
      "the head, or write method: full";
  const char* targets =
      "write what gets adapters as target_modules, where regular expressions help";
  const char* start = "A is uniform and B zero; scale A with lora_init_a_scale, or delete the line";
  return {{"scale", "write lora_alpha = scale * lora_r"},
          {"lora_dropout", "adapters train without dropout; delete the line", {"0"}},
          {"use_dora",
           "new adapters are plain LoRA; train one with DoRA further by adapter: DIR",
           {"false"}},
          {"use_qalora", kPlainLora, {"false"}},
          {"lora_bias", kPlainLora, {"false"}},
          {"bias", "biases stay as they are under LoRA; delete the line", {"none"}},
          {"fan_in_fan_out", kPlainLora, {"false"}},
          {"peft_type", kPlainLora, {"LORA"}},
          {"task_type", "only causal language models are trained", {"CAUSAL_LM"}},
          {"inference_mode", "a trained adapter is trained; delete the line", {"false"}},
          {"modules_to_save", whole_modules, {"[]"}},
          {"lora_modules_to_save", whole_modules, {"[]"}},
          {"additional_target", whole_modules, {"[]"}},
          {"trainable_token_indices", whole_modules, {"[]"}},
          {"init_lora_weights", start, {"true"}},
          {"layers_to_transform", targets, {"[]"}},
          {"layers_pattern", targets},
          {"exclude_modules", targets, {"[]"}}};
}

std::vector<ForeignKey> ForeignOptimizerKeys() {
  const char* adamw = "AdamW is the optimizer; delete the line";
  return {{"optim", adamw, {"adamw_torch", "adamw_torch_fused", "adamw"}},
          {"optimizer", adamw, {"adamw_torch", "adamw_torch_fused", "adamw"}},
          {"label_smoothing_factor", "targets are not smoothed; delete the line", {"0"}},
          {"neftune_noise_alpha", "embeddings get no noise; delete the line", {"0"}},
          {"lr_scheduler_kwargs", "schedules have no further settings; delete the line"}};
}

std::vector<ForeignKey> ForeignBatchKeys() {
  return {{"gradient_accumulation_steps", kAccumulation, {"1"}},
          {"grad_accumulation_steps", kAccumulation, {"1"}},
          {"micro_batch_size", kAccumulation},
          {"auto_find_batch_size", kAccumulation, {"false"}}};
}

std::vector<ForeignKey> ForeignMemoryKeys() {
  return {{"gradient_checkpointing", "write recompute: block, none or auto", {"false"}},
          {"grad_checkpoint", "write recompute: block, none or auto", {"false"}}};
}

std::vector<ForeignKey> ForeignPrecisionKeys() {
  return {{"bf16", "write dtype: bf16", {"false"}},
          {"fp16", "write dtype: bf16 or f32", {"false"}},
          {"tf32", "write dtype: bf16 or f32", {"false"}},
          {"load_in_4bit", kReadAsIs, {"false"}},
          {"load_in_8bit", kReadAsIs, {"false"}},
          {"quantization_bit", kReadAsIs}};
}

std::vector<ForeignKey> ForeignPackingKeys() {
  return {{"packing", kAlwaysPacked, {"true", "false"}},
          {"sample_packing", kAlwaysPacked, {"true", "false"}},
          {"eval_sample_packing", kAlwaysPacked, {"true", "false"}},
          {"eval_packing", kAlwaysPacked, {"true", "false"}},
          {"neat_packing", kAlwaysPacked, {"true", "false"}},
          {"padding_free", kAlwaysPacked, {"true", "false"}},
          {"pad_to_sequence_len", kAlwaysPacked, {"false"}},
          {"packing_strategy", kAlwaysPacked},
          {"group_by_length", kAlwaysPacked, {"false"}}};
}

std::vector<ForeignKey> ForeignTrainerKeys() {
  return {{"push_to_hub", kNotUploaded, {"false"}},
          {"hub_model_id", kNotUploaded},
          {"deepspeed", kCpu},
          {"fsdp", kCpu, {"[]", "false"}},
          {"ddp_find_unused_parameters", kCpu, {"true", "false"}},
          {"dataloader_num_workers", kCpu, {"0"}},
          {"use_cpu", kCpu, {"true"}},
          {"flash_attention", kCpu, {"false"}},
          {"use_liger_kernel", kCpu, {"false"}},
          {"torch_compile", kCpu, {"false"}},
          {"trust_remote_code", "no code of a model is run; delete the line", {"false"}},
          {"remove_unused_columns",
           "keys without a meaning are named once; delete the line",
           {"true", "false"}}};
}

}  // namespace lorikeet
