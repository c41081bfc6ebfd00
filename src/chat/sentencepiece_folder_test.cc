// Folders with tokenizer.model alone against `transformers` (tools/sentencepiece_goldens.py).
#include "chat/sentencepiece_folder.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "chat/bundle.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

std::string Golden(const std::string& name) {
  return ReadFile(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/sentencepiece/" + name);
}

TokenizerBundle Load(const Json& config, const std::string& name = "bpe", const Json& more = {}) {
  TokenizerSources sources;
  sources.where = "model";
  sources.sentencepiece_model = Golden(name + ".model");
  if (!config.is_null()) sources.tokenizer_config_json = config.dump();
  if (!more.is_null()) sources.added_tokens_json = more.dump();
  return LoadTokenizerBundle(sources);
}

TEST(SentencePieceFolder, LlamaTokenizerAsInTransformers) {
  const Json expected = ParseJson(Golden("expected.json"), "expected.json");
  std::vector<std::string> texts = expected["texts"];
  for (const Json& text : expected["special"]) texts.push_back(text);
  const Json llama = {{"tokenizer_class", "LlamaTokenizer"}, {"add_bos_token", true}};
  Json legacy = llama;
  legacy["legacy"] = true;
  legacy["add_eos_token"] = true;
  const std::vector<std::pair<const char*, Json>> configs = {
      {"llama", llama},
      {"llama_legacy", legacy},
      {"llama_no_bos", {{"tokenizer_class", "LlamaTokenizerFast"}}}};
  for (const auto& [name, config] : configs) {
    SCOPED_TRACE(name);
    const TokenizerBundle bundle = Load(config);
    for (size_t i = 0; i < texts.size(); ++i) {
      const Json& want = expected[name][i];
      EXPECT_EQ(bundle.tokenizer.Encode(texts[i], true), want["ids"].get<Ids>()) << texts[i];
      EXPECT_EQ(bundle.tokenizer.Decode(bundle.tokenizer.Encode(texts[i])), want["decoded"])
          << texts[i];
    }
  }
}

TEST(SentencePieceFolder, NamesOfTheModelAreTheDefault) {
  const TokenizerBundle bundle = Load({});
  EXPECT_EQ(bundle.bos_token, "<s>");
  EXPECT_EQ(bundle.bos_id, 1);
  EXPECT_EQ(bundle.eos_ids, (Ids{2}));
  EXPECT_EQ(bundle.unk_token, "<unk>");
  EXPECT_EQ(bundle.pad_id, -1);
  EXPECT_FALSE(bundle.add_bos);
  EXPECT_TRUE(Load({{"add_bos_token", true}}).add_bos);
  const TokenizerBundle other = Load({{"bos_token", "</s>"}, {"add_bos_token", true}});
  EXPECT_EQ(other.leading_ids, (Ids{2}));
}

TEST(SentencePieceFolder, TokensOfSideFiles) {
  const int32_t size = Load({}).tokenizer.VocabSize();
  const TokenizerBundle bundle = Load({{"pad_token", "<pad>"}}, "bpe", {{"<pad>", size}});
  EXPECT_EQ(bundle.pad_id, size);
  EXPECT_THAT(bundle.tokenizer.Encode("a<pad>"), testing::Contains(size));
  // A reserved piece gets its name later.
  const TokenizerBundle renamed =
      Load({{"added_tokens_decoder", {{"4", {{"content", "<call>"}, {"special", true}}}}}}, "bpe");
  EXPECT_EQ(renamed.tokenizer.TokenToId("<call>"), 4);
  EXPECT_EQ(renamed.tokenizer.TokenToId("<tool>"), std::nullopt);
  EXPECT_TRUE(renamed.tokenizer.IsSpecial(4));
}

// The case sentencepiece_only_folder.
TEST(SentencePieceFolder, IsReadFromDisk) {
  namespace fs = std::filesystem;
  const fs::path dir = fs::path(testing::TempDir()) / "lorikeet_sentencepiece_only";
  fs::remove_all(dir);
  fs::create_directories(dir);
  const auto problem = [&dir] {
    try {
      ReadTokenizerFolder(dir.string());
      return std::string();
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_FALSE(HasTokenizerFile(dir.string()));
  EXPECT_THAT(problem(), HasSubstr("no tokenizer.json or tokenizer.model"));
  WriteFileAtomically((dir / "vocab.json").string(), "{}");
  EXPECT_THAT(problem(), HasSubstr("save_pretrained"));
  WriteFileAtomically((dir / "tokenizer.model").string(), Golden("bpe.model"));
  EXPECT_TRUE(HasTokenizerFile(dir.string()));
  const TokenizerBundle bundle = LoadTokenizerBundle(ReadTokenizerFolder(dir.string()));
  EXPECT_EQ(bundle.tokenizer.Decode(bundle.tokenizer.Encode("Hello world")), "Hello world");
  fs::remove_all(dir);
}

}  // namespace
}  // namespace lorikeet
