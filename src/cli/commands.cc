#include "cli/commands.h"

#include <array>

namespace lorikeet {

std::span<const Command> Commands() {
  static constexpr std::array kCommands = {
      Command{.group = "Train",
              .name = "sft",
              .summary = "fine-tune a model on examples, with LoRA or in full",
              .run = RunSft,
              .stops_by_itself = true},
      Command{.group = "Train",
              .name = "rl",
              .summary = "teach a chat model tasks whose answers a program can check",
              .run = RunRl,
              .stops_by_itself = true},
      Command{.group = "Train",
              .name = "pretrain",
              .summary = "train a small model from random weights on plain text",
              .run = RunPretrain,
              .stops_by_itself = true},
      Command{.group = "Use",
              .name = "eval",
              .summary = "how well a model predicts a data file or a text",
              .run = RunEval},
      Command{.group = "Use",
              .name = "generate",
              .summary = "a model's answer to a prompt, or to a file of them",
              .run = RunGenerate,
              .stops_by_itself = true},
      Command{.group = "Use",
              .name = "chat",
              .summary = "a conversation with a model",
              .run = RunChat,
              .stops_by_itself = true},
      Command{.group = "Use",
              .name = "merge",
              .summary = "an adapter added into its base, as a model folder of its own",
              .run = RunMerge},
      Command{.group = "Use",
              .name = "convert",
              .summary = "a GGUF file as a Hugging Face folder, or a folder in another dtype",
              .run = RunConvert},
      Command{.group = "Look",
              .name = "inspect",
              .summary = "what a model, an adapter or a data file holds",
              .run = RunInspect},
      Command{.group = "Look",
              .name = "estimate",
              .summary = "memory, arithmetic and time of a run, LoRA beside full fine-tuning",
              .run = RunEstimate},
      Command{.group = "Look",
              .name = "bench",
              .summary = "speed of training, decoding and kernels against what this machine can do",
              .run = RunBench},
      Command{.group = "Look",
              .name = "doctor",
              .summary = "what this machine can do: CPU, memory, measured speed, bit checks",
              .run = RunDoctor},
  };
  return kCommands;
}

}  // namespace lorikeet
