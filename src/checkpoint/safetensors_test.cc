#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "checkpoint/memory_file_for_test.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsTest() { fs::create_directories(dir_); }
  ~SafetensorsTest() override { fs::remove_all(dir_); }
  std::string Path(const std::string& name) const { return (dir_ / name).string(); }

 private:
  fs::path dir_ = fs::temp_directory_path() / ("safetensors_test." + std::to_string(getpid()));
};

// A file's bytes from the text of its header and its data.
std::string Bytes(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

std::string ErrorOf(const std::string& content) {
  const MemoryFile file(content);
  try {
    OpenSafetensors(file.path());
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr(file.path()));
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "";
}

TEST_F(SafetensorsTest, RoundTrip) {
  const float f32[] = {1, 2, 3, 4, 5, 6};
  const bfloat16 bf16[] = {ToBfloat16(1), ToBfloat16(-2), ToBfloat16(0.5)};
  const int64_t i64[] = {int64_t{1} << 40, -1};
  const uint8_t u8[] = {1, 2, 3};
  WriteSafetensors(Path("a.safetensors"),
                   {{"f32", DType::kF32, {2, 3}, f32},
                    {"bf16", DType::kBF16, {3}, bf16},
                    {"u8", DType::kU8, {1, 3, 1}, u8},
                    {"none", DType::kF32, {0, 4}, nullptr},
                    {"i64", DType::kI64, {2}, i64}},
                   {{"format", "pt"}});
  const auto file = OpenSafetensors(Path("a.safetensors"));
  ASSERT_EQ(file->tensors().size(), 5U);
  const Tensor a = file->Find("f32");
  ASSERT_EQ(a.rank, 2);
  EXPECT_EQ(a.shape[0], 2);
  EXPECT_EQ(a.shape[1], 3);
  EXPECT_EQ(std::memcmp(a.data, f32, sizeof f32), 0);
  EXPECT_EQ(std::memcmp(file->Find("bf16").data, bf16, sizeof bf16), 0);
  EXPECT_EQ(std::memcmp(file->Find("i64").data, i64, sizeof i64), 0);
  EXPECT_EQ(std::memcmp(file->Find("u8").data, u8, sizeof u8), 0);
  EXPECT_EQ(file->Find("none").size(), 0);
  EXPECT_FALSE(file->Find("f3"));
}

TEST_F(SafetensorsTest, UnalignedTensorsAreCopiedAndScalarsGetAShape) {
  const float value = 2.5F;
  const std::string data(reinterpret_cast<const char*>(&value), sizeof value);
  for (int pad = 0; pad < 8; ++pad) {
    const MemoryFile bytes(Bytes(R"({"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})" +
                                     std::string(static_cast<size_t>(pad), ' '),
                                 data));
    const auto file = OpenSafetensors(bytes.path());
    const Tensor x = file->Find("x");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(x.data) % alignof(float), 0U);
    EXPECT_EQ(*x.as<float>(), value);
    EXPECT_EQ(x.rank, 1);
    EXPECT_EQ(x.size(), 1);
  }
}

TEST_F(SafetensorsTest, CutAtEveryLengthIsAnError) {
  const float data[] = {1, 2, 3, 4};
  WriteSafetensors(Path("a"), {{"a", DType::kF32, {3}, data}, {"b", DType::kF32, {1}, data}}, {});
  const std::string whole = ReadFile(Path("a"));
  MemoryFile file(whole);
  EXPECT_NO_THROW(OpenSafetensors(file.path()));
  for (size_t bytes = whole.size(); bytes-- > 0;) {
    file.CutTo(bytes);
    EXPECT_THROW(OpenSafetensors(file.path()), Error) << bytes;
  }
}

TEST_F(SafetensorsTest, HostileHeaders) {
  const auto one = [](const std::string& entry, size_t bytes = 8) {
    return ErrorOf(Bytes("{\"x\":" + entry + "}", std::string(bytes, 'd')));
  };
  EXPECT_THAT(ErrorOf(""), HasSubstr("too short"));
  EXPECT_THAT(ErrorOf(std::string(8, '\xff')), HasSubstr("claims"));
  EXPECT_THAT(ErrorOf(Bytes("[]")), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(Bytes("{")), HasSubstr("JSON"));
  EXPECT_THAT(ErrorOf(Bytes(std::string(100000, '['))), HasSubstr("JSON"));
  EXPECT_THAT(ErrorOf(Bytes("{}", "tail")), HasSubstr("0 bytes"));
  EXPECT_THAT(one("3"), HasSubstr("'x'"));
  EXPECT_THAT(one(R"({"dtype":3,"shape":[2],"data_offsets":[0,8]})"), HasSubstr("no dtype"));
  EXPECT_THAT(one(R"({"dtype":"F32","data_offsets":[0,8]})"), HasSubstr("no shape"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"), HasSubstr("offsets"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), HasSubstr("offsets"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), HasSubstr("dimension"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), HasSubstr("dimension"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), HasSubstr("agree"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), HasSubstr("agree"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"),
              HasSubstr("agree"));
  EXPECT_EQ(one(R"({"dtype":"F32","shape":[1,1,1,1,2],"data_offsets":[0,8]})"), "");
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]})"),
              HasSubstr("9 dimensions"));
  EXPECT_EQ(one(R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})"), "");
  EXPECT_THAT(one(R"({"dtype":"F4","shape":[16],"data_offsets":[0,8]})"), HasSubstr("'F4'"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[4,8]})"), HasSubstr("gap"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("y":{"dtype":"U8","shape":[6],"data_offsets":[2,8]})"),
              HasSubstr("overlaps"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[16],"data_offsets":[0,16]})"), HasSubstr("cut short"));
  EXPECT_EQ(one(R"({"dtype":"U8","shape":[8],"data_offsets":[0,8]})"), "");
}

TEST_F(SafetensorsTest, NamesCannotBreakAMessage) {
  const std::string error = ErrorOf(Bytes(R"({"a\n\u0007é":3})"));
  EXPECT_THAT(error, HasSubstr("'a" + std::string(4, '?') + "'"));
}

TEST_F(SafetensorsTest, Shards) {
  const float one = 1, two = 2;
  WriteSafetensors(Path("s1.safetensors"), {{"a", DType::kF32, {1}, &one}}, {});
  WriteSafetensors(Path("s2.safetensors"), {{"b", DType::kF32, {1}, &two}}, {});
  const std::string index = Path("model.safetensors.index.json");
  const auto open = [&](const std::string& map) {
    WriteFileAtomically(index, map);
    return OpenSafetensors(Path(""));
  };
  const auto error = [&](const std::string& map) -> std::string {
    try {
      open(map);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const auto file = open(R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  EXPECT_EQ(*file->Find("a").as<float>(), 1);
  EXPECT_EQ(*file->Find("b").as<float>(), 2);
  EXPECT_THAT(error(R"({"weight_map":{"a":"s1.safetensors","c":"s2.safetensors"}})"),
              HasSubstr("tensor 'c' is missing"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"s3.safetensors"}})"), HasSubstr("s3.safetensors"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"../s1.safetensors"}})"), HasSubstr("'a'"));
  EXPECT_THAT(error(R"({"weight_map":{"a":7}})"), HasSubstr("'a'"));
  EXPECT_THAT(error(R"({"weight_map":[]})"), HasSubstr("weight_map"));
  EXPECT_THAT(error("[]"), HasSubstr("weight_map"));
  fs::copy(Path("s1.safetensors"), Path("s3.safetensors"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors",)"
                    R"("A":"s3.safetensors"}})"),
              HasSubstr("another file"));
}

TEST_F(SafetensorsTest, FolderWithoutWeights) {
  WriteFileAtomically(Path("pytorch_model.bin"), "x");
  try {
    OpenSafetensors(Path(""));
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("safe_serialization"));
  }
}

}  // namespace
}  // namespace lorikeet
