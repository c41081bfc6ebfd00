#include "cli/convert_gguf.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "cli/gguf_verify.h"
#include "cli/sample_batch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/text.h"
#include "engine/gguf_model_writer.h"
#include "engine/text_files.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFirstLine = "# Written by lorikeet convert.";

std::string ModelfileOf(const std::string& output) {
  const fs::path parent = fs::path(output).parent_path();
  return (parent.empty() ? fs::path("Modelfile") : parent / "Modelfile").string();
}

// Whether the Modelfile that is there, if any, may be replaced.
void CheckModelfile(const std::string& path, bool overwrite) {
  std::error_code none;
  if (!fs::exists(path, none) || overwrite) return;
  if (fs::is_regular_file(path, none) && ReadFile(path).starts_with(kFirstLine)) return;
  Fail(ErrorCode::kInvalidArgument,
       "{}: exists already, and is not one that this command wrote; give another folder, or "
       "--overwrite to replace it",
       path);
}

Batch BatchFor(const ModelSource& source, int64_t max_tokens) {
  const auto sources = TokenizerSourcesOf(source);
  std::optional<TokenizerBundle> bundle;
  if (sources) bundle.emplace(LoadTokenizerBundle(*sources));
  return SampleBatch(bundle ? &*bundle : nullptr, ReadModelConfig(source).vocab_size, max_tokens);
}

std::string DtypesText(const GgufFacts& facts) {
  std::string text;
  for (const auto& [dtype, count] : facts.dtypes) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, dtype);
  }
  return text;
}

std::string Report(const GgufConversion& conversion, const GgufFacts& facts,
                   const ModelSource& source) {
  std::string text = fmt::format(
      "{}: {} parameters in {} tensors ({}), {}; read again and complete\n", conversion.output,
      HumanCount(facts.parameters), facts.tensors, DtypesText(facts), HumanBytes(facts.bytes));
  for (const std::string& note : facts.notes) text += fmt::format("note: {}\n", note);
  if (!facts.tokenizer) {
    text += fmt::format(
        "note: {} has no tokenizer, so the file has none, and llama.cpp takes ids of tokens "
        "alone\n",
        source.path());
  }
  return text;
}

std::string Parameter(const char* name, const std::string& value) {
  return fmt::format("PARAMETER {} {}\n", name, value);
}

}  // namespace

std::string ModelfileText(const std::string& file_name, const ModelfileFacts& facts) {
  std::string text = fmt::format("{}\nFROM ./{}\n", kFirstLine, file_name);
  if (!facts.chat_template) text += "TEMPLATE \"{{ .Prompt }}\"\n";
  for (const std::string& end : facts.end_tokens) text += Parameter("stop", JsonQuoted(end));
  if (facts.generation_config.empty()) return text;
  const Json json = ParseJson(facts.generation_config, "generation_config.json");
  if (!json.is_object() || json.value("do_sample", Json(true)) == false) return text;
  constexpr std::pair<const char*, const char*> kParameters[] = {
      {"temperature", "temperature"},
      {"top_k", "top_k"},
      {"top_p", "top_p"},
      {"min_p", "min_p"},
      {"repetition_penalty", "repeat_penalty"}};
  for (const auto& [key, name] : kParameters) {
    const auto found = json.find(key);
    if (found != json.end() && found->is_number()) text += Parameter(name, found->dump());
  }
  return text;
}

GgufReport ConvertToGguf(const ModelSource& source, const GgufConversion& conversion) {
  CheckOutputGguf(conversion.output, conversion.overwrite, source);
  const std::string modelfile = ModelfileOf(conversion.output);
  CheckModelfile(modelfile, conversion.overwrite);
  GgufToWrite output = {.path = conversion.output,
                        .types = ChooseGgufTypes(conversion.dtype, source),
                        .accept_tokenizer = conversion.accept_tokenizer};
  std::optional<GgufVerification> verification;
  if (conversion.verify) {
    const Batch batch = BatchFor(source, conversion.verify_tokens);
    output.check = [&, batch](const ModelSource& written) {
      verification = VerifyGguf(source, written, output.types, batch);
      if (verification->ok) return;
      Fail(ErrorCode::kCorruptFile, "{}: not written: {}", conversion.output,
           verification->verdict);
    };
  }
  CreateFolders(fs::path(conversion.output).parent_path().string());
  const GgufFacts facts = WriteGgufModel(source, output);
  WriteFileAtomically(modelfile,
                      ModelfileText(fs::path(conversion.output).filename().string(),
                                    {.generation_config = source.TextFile("generation_config.json"),
                                     .end_tokens = facts.end_tokens,
                                     .chat_template = facts.chat_template}));
  GgufReport report;
  report.json = {{"model", source.path()},
                 {"output", conversion.output},
                 {"dtype", GgufTypesName(output.types)},
                 {"tensors", facts.tensors},
                 {"dtypes", facts.dtypes},
                 {"parameters", facts.parameters},
                 {"bytes", facts.bytes},
                 {"modelfile", modelfile},
                 {"notes", facts.notes}};
  report.text = Report(conversion, facts, source);
  if (verification) {
    report.json["verify"] = GgufVerificationJson(*verification);
    report.text += GgufVerificationText(*verification);
  }
  return report;
}

}  // namespace lorikeet
