// Pairs of LoRA factors, for the readers and writers of all adapter formats.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/peft.h"

namespace lorikeet {

// Collects the factors of a file into pairs. Every Error names file and module.
class PairsOfFile {
 public:
  explicit PairsOfFile(std::string path) : path_(std::move(path)) {}

  // a: (R, in), b: (out, R).
  void AddA(const std::string& module, const Tensor& a) { Checked(module)->a = a; }
  void AddB(const std::string& module, const Tensor& b) { Checked(module)->b = b; }
  // Throws Error unless there is a pair, all pairs are complete and the ranks of their factors
  // agree. Sets r and leaves alpha to the caller.
  std::vector<AdapterFile::Pair> Finish();

 private:
  AdapterFile::Pair* Checked(const std::string& module);

  std::string path_;
  std::map<std::string, AdapterFile::Pair> pairs_;
};

// A peft config equivalent to the pairs: the most common r and alpha, patterns for the others;
// targets are names if every layer has them, else whole paths.
LoraConfig ConfigOfPairs(const std::vector<AdapterFile::Pair>& pairs);

// s in W + s B A.
double ScaleOf(const LoraConfig& config, const AdapterFile::Pair& pair);

// The number that a format has for all pairs: MLX s, GGUF alpha (s = alpha / r of the pair).
enum class OneNumber : uint8_t { kScale, kAlpha };

struct FoldedAdapter {
  double number = 1;  // the most common; never 0, which llama.cpp takes for 1
  // B times the rest of s; views of the adapter or of storage.
  std::vector<AdapterPairToWrite> pairs;
  std::vector<Buffer> storage;
  int64_t folded = 0;  // number of pairs whose B was changed (and is f32 then)
};
// Throws Error(kUnsupported) for DoRA.
FoldedAdapter FoldScales(const AdapterFile& adapter, OneNumber which);

// to = from as f32; from is f32, f16, bf16 or quantised.
void WidenInto(const Tensor& from, const Tensor& to);

}  // namespace lorikeet
