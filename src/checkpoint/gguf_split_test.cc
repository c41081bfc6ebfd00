#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "checkpoint/gguf.h"
#include "checkpoint/model_source.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kGguf = LORIKEET_SOURCE_DIR "/tests/golden/gguf/";
const std::string kParts[] = {"moe-00001-of-00003.gguf", "moe-00002-of-00003.gguf",
                              "moe-00003-of-00003.gguf"};

// A folder with the parts of a model.
class GgufSplitTest : public testing::Test {
 protected:
  GgufSplitTest() {
    for (const std::string& part : kParts) fs::copy_file(kGguf + "split/" + part, Path(part));
  }
  std::string Path(const std::string& name) const { return folder_ / name; }
  static std::string ErrorOf(const std::string& path) {
    try {
      ModelSource::Open(path);
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      return e.what();
    }
    return "";
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(GgufSplitTest, WhicheverPartIsGivenAllAreRead) {
  const ModelSource whole = ModelSource::Open(kGguf + "tiny_qwen3moe.gguf");
  for (const std::string& given : {Path(kParts[0]), Path(kParts[1]), Path(kParts[2]), Path("")}) {
    const ModelSource source = ModelSource::Open(given);
    EXPECT_EQ(source.path(), Path(kParts[0]));
    EXPECT_EQ(source.gguf()->paths(),
              (std::vector{Path(kParts[0]), Path(kParts[1]), Path(kParts[2])}));
    EXPECT_EQ(source.config(), whole.config());
    ASSERT_EQ(source.entries().size(), whole.entries().size());
    for (const ModelSource::Entry& entry : whole.entries()) {
      int64_t size = 1;
      for (const int64_t dim : entry.shape) size *= dim;
      std::vector<float> a(static_cast<size_t>(size)), b(a.size());
      whole.Read(entry.name, DType::kF32, a.data());
      source.Read(entry.name, DType::kF32, b.data());
      ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << entry.name;
    }
  }
}

TEST_F(GgufSplitTest, AMissingOrForeignPartIsNamed) {
  fs::remove(Path(kParts[1]));
  EXPECT_THAT(ErrorOf(Path(kParts[2])),
              AllOf(HasSubstr(Path(kParts[1]) + ": not there"), HasSubstr("part 3 of 3")));
  fs::copy_file(Path(kParts[2]), Path(kParts[1]));
  EXPECT_THAT(ErrorOf(Path(kParts[0])), HasSubstr("is not part 2 of 3"));
  fs::remove(Path(kParts[1]));
  fs::copy_file(kGguf + "tiny_qwen3.gguf", Path(kParts[1]));
  EXPECT_THAT(ErrorOf(Path(kParts[0])), HasSubstr("is not part 2 of 3"));
  fs::rename(Path(kParts[0]), Path("first.gguf"));
  EXPECT_THAT(ErrorOf(Path("first.gguf")), HasSubstr("must end in -00001-of-00003.gguf"));
}

}  // namespace
}  // namespace lorikeet
