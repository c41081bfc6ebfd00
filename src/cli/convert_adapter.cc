#include "cli/convert_adapter.h"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "checkpoint/mlx_adapter.h"
#include "checkpoint/model_source.h"
#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/text.h"
#include "engine/read_model.h"
#include "engine/text_files.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// An adapter may be replaced with --overwrite; other files and the input itself may not.
void CheckOutput(const AdapterConversion& conversion) {
  const fs::path path(conversion.output);
  const auto refuse = [&](const char* why) {
    Fail(ErrorCode::kInvalidArgument, "{}: {}", conversion.output, why);
  };
  if (!fs::exists(path) || (fs::is_directory(path) && fs::is_empty(path))) return;
  if (!conversion.overwrite) {
    refuse("exists already; give another name, or --overwrite to replace it");
  }
  if (fs::weakly_canonical(path) == fs::weakly_canonical(conversion.adapter)) {
    refuse("is the file to be converted and would be lost; give another name");
  }
  if (AdapterFormatOf(conversion.output) != conversion.to) {
    refuse("--overwrite replaces adapters of the same format only; give another name");
  }
}

// The base's config.json, for the number of heads and, in GGUF, the architecture.
GgufBase BaseOf(const AdapterConversion& conversion, const std::string& named) {
  const std::string& path = conversion.model.empty() ? named : conversion.model;
  if (path.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: GGUF needs the base's architecture, and the adapter names no base; give --base",
         conversion.adapter);
  }
  const ModelConfig config = ReadModelShape(path).config;
  // llama.cpp's converter has one architecture for all that mistral3 wraps.
  const bool small = config.model_type == "mistral" && config.prefix != kPlainPrefix;
  return {small ? "ministral3" : config.model_type,
          {config.num_attention_heads, config.num_key_value_heads},
          config.tie_word_embeddings};
}

AdapterFile Read(const AdapterConversion& conversion, AdapterFormat from) {
  AttentionHeads heads;
  if (from == AdapterFormat::kGguf && !conversion.model.empty()) {
    heads = BaseOf(conversion, "").heads;
  }
  return ReadAnyAdapter(conversion.adapter, heads);
}

// Copies of the base's tensors are left out, which is right only if they equal the base's.
void CheckCopies(const AdapterFile& adapter, const std::string& path) {
  if (adapter.base_copies.empty()) return;
  const std::string& base = adapter.config.base_model_name_or_path;
  if (base.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: has a copy of {}, to be compared with the base, and names no base; give --base", path,
         QuotedName(adapter.base_copies.begin()->first));
  }
  CheckBaseCopies(adapter, ModelSource::Open(base), path);
}

void WritePeft(const std::string& dir, const AdapterFile& adapter) {
  std::vector<AdapterPairToWrite> pairs;
  for (const auto& pair : adapter.pairs) {
    pairs.push_back({pair.module, pair.a, pair.b, pair.magnitude});
  }
  WriteAdapter(dir, adapter.config, pairs);
}

// Writes a folder atomically, with the text files of the adapter's folder.
void WriteFolder(const AdapterConversion& conversion, const AdapterFile& adapter,
                 AdapterConversionFacts* facts) {
  std::string dir = fs::absolute(conversion.output).lexically_normal().string();
  while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
  WriteFolderAtomically(dir, [&](const std::string& tmp) {
    if (conversion.to == AdapterFormat::kPeft) {
      WritePeft(tmp, adapter);
    } else {
      const MlxWritten written = WriteMlxAdapter(tmp, adapter);
      facts->folded = written.folded;
      facts->padded = written.padded;
    }
    if (fs::is_directory(conversion.adapter)) {
      WriteTextFiles(TextFilesIn(conversion.adapter), tmp);
    }
  });
}

void CheckWritten(const AdapterFile& written, const AdapterFile& adapter, const std::string& path) {
  bool same = written.pairs.size() == adapter.pairs.size();
  for (size_t i = 0; same && i < written.pairs.size(); ++i) {
    const auto &got = written.pairs[i], &wanted = adapter.pairs[i];
    same = got.module == wanted.module && got.a.cols() == wanted.a.cols() &&
           got.b.rows() == wanted.b.rows();
  }
  if (!same)
    Fail(ErrorCode::kIo, "{}: reads differently from what was written; check the disk", path);
}

}  // namespace

AdapterConversionFacts ConvertAdapter(const AdapterConversion& conversion) {
  const auto from = AdapterFormatOf(conversion.adapter);
  if (!from) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: not an adapter; --to is for adapters (a folder of peft or mlx-lm, or a GGUF file)",
         conversion.adapter);
  }
  CheckOutput(conversion);
  AdapterFile adapter = Read(conversion, *from);
  // A base given by the user takes precedence over the one named in the file.
  std::string& base = adapter.config.base_model_name_or_path;
  if (!conversion.model.empty()) base = conversion.model;
  CheckCopies(adapter, conversion.adapter);
  AdapterConversionFacts facts;
  facts.from = *from;
  facts.modules = std::ssize(adapter.pairs);
  for (const auto& pair : adapter.pairs) facts.parameters += pair.a.size() + pair.b.size();
  if (conversion.to == AdapterFormat::kGguf) {
    facts.folded = WriteGgufAdapter(conversion.output, adapter, BaseOf(conversion, base),
                                    conversion.half ? DType::kF16 : DType::kF32);
  } else {
    WriteFolder(conversion, adapter, &facts);
  }
  CheckWritten(ReadAnyAdapter(conversion.output), adapter, conversion.output);
  return facts;
}

std::string ConversionText(const AdapterConversion& conversion,
                           const AdapterConversionFacts& facts) {
  std::string text =
      fmt::format("{}: {} to {}, {} modules, {} parameters; read again and complete\n",
                  conversion.output, AdapterFormatName(facts.from),
                  AdapterFormatName(conversion.to), facts.modules, HumanCount(facts.parameters));
  if (facts.folded > 0) {
    text += fmt::format(
        "note: {} has one scale for all modules; that of {} modules was multiplied into B\n",
        AdapterFormatName(conversion.to), facts.folded);
  }
  if (facts.padded > 0) {
    text += fmt::format("note: mlx has one rank for all modules; {} modules got zeros up to it\n",
                        facts.padded);
  }
  return text;
}

OrderedJson ConversionJson(const AdapterConversion& conversion,
                           const AdapterConversionFacts& facts) {
  return {{"adapter", conversion.adapter},
          {"output", conversion.output},
          {"from", AdapterFormatName(facts.from)},
          {"to", AdapterFormatName(conversion.to)},
          {"modules", facts.modules},
          {"parameters", facts.parameters},
          {"scales_folded", facts.folded},
          {"ranks_padded", facts.padded}};
}

}  // namespace lorikeet
