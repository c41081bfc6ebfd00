#include "engine/gguf_model_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/checksum.h"
#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/text.h"
#include "engine/gguf_text.h"
#include "engine/model_folder.h"
#include "model/gguf_config.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// The file before its tensors are made.
struct Plan {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::vector<TensorToWrite> to_write;  // the same, then the rotary factors if there are any
  std::vector<GgufRopeFactors> rope_factors;
  std::vector<std::string> notes;
};

// Folder or file without its extension; the organisation and the name of one in the cache.
std::string NameOf(const ModelSource& source) {
  const fs::path path = fs::path(source.path()).lexically_normal();
  const fs::path last = path.has_filename() ? path : path.parent_path();
  for (const fs::path& part : path) {
    const std::string name = part.string();
    if (name.starts_with("models--")) return name.substr(name.rfind("--") + 2);
  }
  return source.IsGguf() ? last.stem().string() : last.filename().string();
}

// Ids of a model without a tokenizer, from its config.json.
void AddTokenIds(const Json& config, GgufMetadata* metadata) {
  constexpr std::pair<const char*, const char*> kIds[] = {{"bos_token_id", "bos_token_id"},
                                                          {"eos_token_id", "eos_token_id"},
                                                          {"pad_token_id", "padding_token_id"}};
  for (const auto& [key, name] : kIds) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_number_unsigned()) continue;
    metadata->emplace_back(fmt::format("tokenizer.ggml.{}", name), found->get<uint32_t>());
  }
}

GgufMetadata GeneralMetadata(const ModelSource& source, const GgufArchitecture& architecture,
                             GgufTypes types) {
  GgufMetadata metadata = {{"general.architecture", architecture.name},
                           {"general.type", "model"},
                           {"general.name", NameOf(source)},
                           {"general.file_type", GgufFileType(types)}};
  if (IsQuantised(types)) metadata.emplace_back("general.quantization_version", 2U);
  return metadata;
}

Plan MakePlan(const ModelSource& source, const ModelConfig& config,
              const GgufArchitecture& architecture, const std::optional<GgufText>& text,
              GgufTypes types) {
  Plan plan;
  plan.metadata = GeneralMetadata(source, architecture, types);
  GgufConfig own = MakeGgufConfig(config, architecture, source.path());
  plan.rope_factors = std::move(own.rope_factors);
  plan.notes = std::move(own.notes);
  if (std::ranges::any_of(source.entries(), &ModelSource::Entry::other_part)) {
    plan.notes.push_back(fmt::format(
        "{}: the file has the language model alone, without the vision tower", source.path()));
  }
  const auto append = [&](const GgufMetadata& more) {
    plan.metadata.insert(plan.metadata.end(), more.begin(), more.end());
  };
  append(own.metadata);
  if (text) {
    append(GgufTokenizerMetadata(text->fields));
  } else {
    plan.metadata.emplace_back("tokenizer.ggml.model", "none");  // llama.cpp needs the key
    AddTokenIds(source.config(), &plan.metadata);
  }
  plan.tensors = PlanGgufTensors(source, config, architecture, types);
  for (const GgufTensor& tensor : plan.tensors) {
    plan.to_write.push_back({tensor.name, tensor.dtype, tensor.shape, nullptr});
  }
  for (const auto& [name, values] : plan.rope_factors) {
    plan.to_write.push_back({name, DType::kF32, {std::ssize(values)}, values.data()});
  }
  return plan;
}

// Reads the file as it will be, without weights.
void CheckPlan(const Plan& plan, const ModelConfig& config, const GgufArchitecture& architecture,
               const std::string& where) {
  const GgufOutline outline(plan.metadata, plan.to_write);
  const ModelSource again = ModelSource::Open(outline.path());
  CheckGgufConfig(config, ReadModelConfig(again.config(), where), architecture, where);
}

void CheckDisk(const Plan& plan, const std::string& path) {
  const int64_t needed = GgufBytes(plan.metadata, plan.to_write), free = DiskFreeBytes(path);
  if (free < 0 || needed <= free) return;
  Fail(ErrorCode::kIo, "{}: takes {}, and its disk has {} free", path, HumanBytes(needed),
       HumanBytes(free));
}

// Whether every tensor came back with the bytes that were written.
void CheckTensors(const GgufFile& file, const Plan& plan, const std::vector<uint32_t>& sums) {
  for (size_t i = 0; i < plan.to_write.size(); ++i) {
    const Tensor tensor = file.Find(plan.to_write[i].name);
    const bool same = tensor && tensor.dtype == plan.to_write[i].dtype &&
                      Crc32c(tensor.data, static_cast<size_t>(tensor.bytes())) == sums[i];
    if (!same) {
      Fail(ErrorCode::kIo, "{}: tensor {} did not come back as it was written; check the disk",
           file.path(), QuotedName(plan.to_write[i].name));
    }
    file.Forget(tensor);
  }
}

// Writes the file and checks it before it gets its name.
void Write(const ModelSource& source, const Plan& plan, const GgufToWrite& output) {
  std::vector<uint32_t> sums(plan.to_write.size());
  const auto make = [&](size_t index, const ByteSink& sink) {
    const ByteSink summed = [&](const void* data, size_t bytes) {
      sums[index] = Crc32c(data, bytes, sums[index]);
      sink(data, bytes);
    };
    if (index < plan.tensors.size()) {
      MakeGgufTensor(source, plan.tensors[index], {}, summed);
    } else {
      const std::vector<float>& values = plan.rope_factors[index - plan.tensors.size()].values;
      summed(values.data(), values.size() * sizeof(float));
    }
  };
  const auto check = [&](const std::string& tmp) {
    const ModelSource written = ModelSource::Open(tmp);
    CheckTensors(*written.gguf(), plan, sums);
    if (output.check) output.check(written);
  };
  WriteGguf(output.path, plan.metadata, plan.to_write, make, check);
}

GgufFacts FactsOf(const Plan& plan, const std::optional<GgufText>& text, const std::string& path) {
  GgufFacts facts;
  for (const TensorToWrite& tensor : plan.to_write) {
    int64_t size = 1;
    for (const int64_t dim : tensor.shape) size *= dim;
    facts.parameters += tensor.data == nullptr ? size : 0;
    ++facts.tensors;
    ++facts.dtypes[DTypeName(tensor.dtype)];
  }
  facts.bytes = static_cast<int64_t>(fs::file_size(path));
  facts.tokenizer = text.has_value();
  facts.notes = plan.notes;
  if (!text) return facts;
  const GgufTokenizerFields& f = text->fields;
  for (const int64_t id : {f.eos_id, f.eot_id, f.eom_id}) {
    if (id >= 0) facts.end_tokens.push_back(f.tokens[static_cast<size_t>(id)]);
  }
  facts.chat_template = !f.chat_template.empty();
  facts.notes.insert(facts.notes.end(), text->notes.begin(), text->notes.end());
  return facts;
}

}  // namespace

GgufTypes ChooseGgufTypes(const std::string& name, const ModelSource& source) {
  return ParseGgufTypes(name == "auto" ? DTypeName(ParseStoredDtype(name, source)) : name);
}

void CheckOutputGguf(const std::string& path, bool overwrite, const ModelSource& source) {
  std::error_code none;
  if (!fs::exists(path, none)) return;
  if (!overwrite) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: exists already; give another file, or --overwrite to replace it", path);
  }
  if (!fs::is_regular_file(path, none)) {
    Fail(ErrorCode::kInvalidArgument, "{}: not a file; give another one to write to", path);
  }
  if (!source.IsGguf()) return;
  for (const std::string& part : source.gguf()->paths()) {
    if (!fs::equivalent(path, part, none)) continue;
    Fail(ErrorCode::kInvalidArgument,
         "{}: is the model that is read, which would be lost; give another file to write to", path);
  }
}

GgufFacts WriteGgufModel(const ModelSource& source, const GgufToWrite& output) {
  const ModelConfig config = ReadModelConfig(source);
  const GgufArchitecture& architecture = GgufArchitectureOf(config.model_type, source.path());
  const std::optional<GgufText> text =
      MakeGgufText(source, config.vocab_size, output.accept_tokenizer);
  const Plan plan = MakePlan(source, config, architecture, text, output.types);
  CheckPlan(plan, config, architecture, source.path());
  CheckDisk(plan, output.path);
  Write(source, plan, output);
  return FactsOf(plan, text, output.path);
}

}  // namespace lorikeet
