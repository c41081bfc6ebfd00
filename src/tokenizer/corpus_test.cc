// Real tokenizers on a mixed corpus, against `tokenizers`, `sentencepiece` and llama.cpp; made by
// tools/tokenizer_goldens.py corpus.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/file.h"
#include "core/json.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// Records of a 32-bit length and that many bytes.
std::vector<std::string> ReadRecords(const std::string& path) {
  const std::string file = ReadFile(path);
  std::vector<std::string> records;
  for (size_t i = 0; i + 4 <= file.size();) {
    uint32_t size;
    std::memcpy(&size, file.data() + i, 4);
    records.push_back(file.substr(i + 4, size));
    i += 4 + size;
  }
  return records;
}

GgufTokenizerFields FieldsOf(const Json& json) {
  GgufTokenizerFields f;
  json.at("model").get_to(f.model);
  json.at("pre").get_to(f.pre);
  json.at("tokens").get_to(f.tokens);
  json.at("scores").get_to(f.scores);
  json.at("token_types").get_to(f.token_types);
  json.at("merges").get_to(f.merges);
  json.at("bos_id").get_to(f.bos_id);
  json.at("eos_id").get_to(f.eos_id);
  json.at("unk_id").get_to(f.unk_id);
  json.at("pad_id").get_to(f.pad_id);
  json.at("add_bos").get_to(f.add_bos);
  json.at("add_eos").get_to(f.add_eos);
  json.at("add_space_prefix").get_to(f.add_space_prefix);
  json.at("chat_template").get_to(f.chat_template);
  return f;
}

class SlowTokenizerCorpus : public testing::Test {
 protected:
  void SetUp() override {
    const char* dir = std::getenv("LORIKEET_TOKENIZER_CORPUS");
    if (dir == nullptr || !fs::exists(fs::path(dir) / "corpus.bin")) {
      GTEST_SKIP()
          << "no corpus: make one with tools/tokenizer_goldens.py corpus DIR SOURCE... and "
             "set LORIKEET_TOKENIZER_CORPUS=DIR";
    }
    dir_ = dir;
  }
  std::vector<std::string> Names(const std::string& suffix) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(suffix)) names.push_back(name.substr(0, name.size() - suffix.size()));
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string Path(const std::string& name) const { return (fs::path(dir_) / name).string(); }
  std::string dir_;
};

// Ids by other programs for vocabularies of GGUF files and SentencePiece models.
TEST_F(SlowTokenizerCorpus, GgufAgreesWithItsOrigin) {
  for (const std::string& name : Names(".gguf.json")) {
    const auto fields = FieldsOf(ParseJson(ReadFile(Path(name + ".gguf.json")), name));
    const std::string text = TokenizerJsonFromGguf(fields);
    WriteFileAtomically(Path(name + ".json"), text);
    const Tokenizer tokenizer = Tokenizer::FromJson(text, name);
    EXPECT_EQ(tokenizer.VocabSize(), static_cast<int32_t>(fields.tokens.size()));
    size_t differences = 0, cases = 0;
    if (fs::exists(Path(name + ".cases.json"))) {
      for (const Json& c : ParseJson(ReadFile(Path(name + ".cases.json")), name)) {
        ++cases;
        const auto ids = tokenizer.Encode(c["text"].get<std::string>());
        if (ids != c["ids"].get<std::vector<int32_t>>() && ++differences <= 3) {
          ADD_FAILURE() << name << ": " << c["text"] << "\n  got " << Json(ids) << "\n  not "
                        << c["ids"];
        }
      }
    }
    std::printf("%-40s %zu texts of its origin, %zu differ\n", name.c_str(), cases, differences);
  }
}

TEST_F(SlowTokenizerCorpus, NoDifferenceToTokenizers) {
  const std::vector<std::string> docs = ReadRecords(Path("corpus.bin"));
  size_t bytes = 0;
  for (const std::string& doc : docs) bytes += doc.size();
  for (const std::string& name : Names(".ids")) {
    const Tokenizer tokenizer = Tokenizer::FromFile(Path(name + ".json"));
    const std::vector<std::string> ids = ReadRecords(Path(name + ".ids"));
    const std::vector<std::string> texts = ReadRecords(Path(name + ".txt"));
    ASSERT_EQ(ids.size(), docs.size());
    size_t differences = 0, undecoded = 0;
    for (size_t d = 0; d < docs.size(); ++d) {
      std::vector<int32_t> expected(ids[d].size() / 4);
      std::memcpy(expected.data(), ids[d].data(), ids[d].size());
      const std::vector<int32_t> got = tokenizer.Encode(docs[d]);
      if (got != expected && ++differences <= 3) {
        const Encoding e = tokenizer.EncodeWithOffsets(docs[d]);
        const auto at = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
        const size_t t = at.first - got.begin();
        ADD_FAILURE() << name << ": document " << d << ", token " << t << " at byte "
                      << (t < e.begin.size() ? e.begin[t] : 0) << ": "
                      << Json(docs[d].substr(t < e.begin.size() ? e.begin[t] : 0, 40))
                             .dump(-1, ' ', true, Json::error_handler_t::replace);
      }
      EXPECT_EQ(tokenizer.EncodeWithOffsets(docs[d]).ids, got);
      undecoded += tokenizer.Decode(expected) != texts[d];
    }
    EXPECT_EQ(differences, 0u) << name;
    EXPECT_EQ(undecoded, 0u) << name;
    std::printf("%-40s %zu bytes, %zu documents: %zu differ, %zu decode otherwise\n", name.c_str(),
                bytes, docs.size(), differences, undecoded);
  }
}

TEST_F(SlowTokenizerCorpus, Speed) {
  if (!fs::exists(Path("english.bin"))) {
    GTEST_SKIP() << "no english.bin: tools/tokenizer_goldens.py speed TOKENIZER.json --out DIR";
  }
  const std::vector<std::string> docs = ReadRecords(Path("english.bin"));
  size_t bytes = 0;
  for (const std::string& doc : docs) bytes += doc.size();
  for (const std::string& name : Names(".ids")) {
    const Tokenizer tokenizer = Tokenizer::FromFile(Path(name + ".json"));
    size_t tokens = 0;
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      const auto start = std::chrono::steady_clock::now();
      tokens = 0;
      for (const std::string& doc : docs) tokens += tokenizer.Encode(doc).size();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      best = std::min(best, seconds.count());
    }
    std::printf("%-40s %zu bytes, %zu tokens, %.2f MB/s\n", name.c_str(), bytes, tokens,
                static_cast<double>(bytes) / best / 1e6);
    EXPECT_GT(tokens, docs.size());
  }
}

}  // namespace
}  // namespace lorikeet
