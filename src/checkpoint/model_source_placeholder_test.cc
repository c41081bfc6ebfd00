// Git LFS pointers and saved error pages in place of a model's and an adapter's files
// (git_lfs_pointers).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/adapter_formats.h"
#include "checkpoint/model_source.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Placeholder {
  const char *content, *message;
};
const Placeholder kPlaceholders[] = {
    {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 17098251\n",
     "a Git LFS pointer, not the file itself; run git lfs pull"},
    {"<html><body>Access denied</body></html>\n", "an HTML page, not the file itself"},
    {"<!DOCTYPE html>\n<html></html>\n", "an HTML page, not the file itself"},
};

template <class Fn>
std::string ErrorOf(const Fn& fn) {
  try {
    fn();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "";
}

TEST(PlaceholderFilesTest, AreNamedInPlaceOfAnyFile) {
  const TemporaryFolder folder;
  const std::string dir = folder.path() + "/";
  for (const auto& [content, message] : kPlaceholders) {
    const auto expect = [&, &message = message](const std::string& given, const std::string& file,
                                                bool adapter) {
      const std::string error = ErrorOf([&] {
        if (adapter) {
          ReadAnyAdapter(given);
        } else {
          ModelSource::Open(given);
        }
      });
      EXPECT_THAT(error, AllOf(StartsWith(file), HasSubstr(message)));
    };
    WriteFileAtomically(dir + "m.gguf", content);
    expect(dir + "m.gguf", dir + "m.gguf", false);
    expect(dir + "m.gguf", dir + "m.gguf", true);
    WriteFileAtomically(dir + "config.json", "{}");
    WriteFileAtomically(dir + "model.safetensors", content);
    expect(dir + "model.safetensors", dir + "model.safetensors", false);
    fs::remove(dir + "m.gguf");
    expect(folder.path(), dir + "model.safetensors", false);
    WriteFileAtomically(dir + "config.json", content);
    expect(folder.path(), dir + "config.json", false);
    WriteFileAtomically(dir + "adapter_model.safetensors", content);
    WriteFileAtomically(dir + "adapter_config.json",
                        R"({"peft_type":"LORA","r":4,"target_modules":["q_proj"]})");
    expect(folder.path(), dir + "adapter_model.safetensors", true);
    WriteFileAtomically(dir + "adapter_config.json", content);
    expect(folder.path(), dir + "adapter_config.json", true);
    for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove(entry.path());
  }
}

}  // namespace
}  // namespace lorikeet
