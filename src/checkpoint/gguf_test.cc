#include "checkpoint/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "checkpoint/dequantise.h"
#include "checkpoint/memory_file_for_test.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kGolden = LORIKEET_SOURCE_DIR "/tests/golden/gguf/";

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

// Builds the bytes of a valid or invalid file piece by piece.
class Bytes {
 public:
  template <class T>
  Bytes& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& Text(std::string_view text) {
    Put<uint64_t>(text.size());
    bytes_.append(text);
    return *this;
  }
  Bytes& Header(uint64_t tensors, uint64_t values) {
    bytes_.append("GGUF");
    return Put<uint32_t>(3).Put(tensors).Put(values);
  }
  Bytes& Info(std::string_view name, std::vector<int64_t> dims, uint32_t type, uint64_t offset) {
    Text(name).Put(static_cast<uint32_t>(dims.size()));
    for (const int64_t dim : dims) Put(dim);
    return Put(type).Put(offset);
  }
  Bytes& Data(size_t bytes) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + bytes, 'd');
    return *this;
  }
  std::string Error() const {
    const MemoryFile file(bytes_);
    return ErrorOf([&] { GgufFile gguf(file.path()); });
  }

 private:
  std::string bytes_;
};

TEST(GgufTest, MetadataOfEveryType) {
  const GgufFile gguf(kGolden + "types.gguf");
  EXPECT_EQ(gguf.Int("test.u8"), 200);
  EXPECT_EQ(gguf.Int("test.i8"), -100);
  EXPECT_EQ(gguf.Int("test.u16"), 60000);
  EXPECT_EQ(gguf.Int("test.i16"), -30000);
  EXPECT_EQ(gguf.Int("test.u32"), 4000000000);
  EXPECT_EQ(gguf.Int("test.i32"), -2000000000);
  EXPECT_EQ(gguf.Int("test.i64"), -(int64_t{1} << 62));
  EXPECT_EQ(gguf.Float("test.f32"), 1.5);
  EXPECT_EQ(gguf.Float("test.f64"), 3.141592653589793);
  EXPECT_EQ(gguf.Float("test.i8"), -100);
  EXPECT_TRUE(gguf.Bool("test.bool"));
  EXPECT_EQ(gguf.String("test.string"), "naïve ✓");
  EXPECT_THAT(gguf.Strings("test.strings"), ElementsAre("a", "", "ü"));
  EXPECT_THAT(gguf.Ints("test.ints"), ElementsAre(3, -1, 4));
  EXPECT_THAT(gguf.Floats("test.floats"), ElementsAre(0.5F, -2.25F));
  EXPECT_TRUE(gguf.IsArray("test.ints"));
  EXPECT_FALSE(gguf.IsArray("test.i8"));
  EXPECT_EQ(gguf.IntOr("absent", 7), 7);
  EXPECT_EQ(gguf.StringOr("absent", "x"), "x");
}

TEST(GgufTest, WrongTypesNameKeyAndFile) {
  const GgufFile gguf(kGolden + "types.gguf");
  EXPECT_THAT(ErrorOf([&] { gguf.Int("absent"); }),
              AllOf(HasSubstr("types.gguf"), HasSubstr("'absent'")));
  EXPECT_THAT(ErrorOf([&] { gguf.Int("test.string"); }),
              AllOf(HasSubstr("'test.string' is string"), HasSubstr("integer")));
  EXPECT_THAT(ErrorOf([&] { gguf.Int("test.u64"); }), HasSubstr("64-bit"));  // 2^63 + 5
  EXPECT_THAT(ErrorOf([&] { gguf.Float("test.ints"); }), HasSubstr("an array of i32"));
  EXPECT_THAT(ErrorOf([&] { gguf.Ints("test.strings"); }), HasSubstr("integers"));
  EXPECT_THAT(ErrorOf([&] { gguf.Floats("test.strings"); }), HasSubstr("numbers"));
  EXPECT_THAT(ErrorOf([&] { gguf.Strings("test.ints"); }), HasSubstr("strings"));
  EXPECT_THAT(ErrorOf([&] { gguf.StringOr("test.i8", ""); }), HasSubstr("a string"));
  EXPECT_THAT(ErrorOf([&] { gguf.Bool("test.i8"); }), HasSubstr("a bool"));
}

// The tensors of a file that have expected values, compared bit for bit.
int TypesAsExpected(const std::string& path) {
  const GgufFile gguf(path);
  int types = 0;
  for (const auto& [name, tensor] : gguf.tensors()) {
    const Tensor expected = gguf.Find(name + ".expected");
    if (!expected) continue;
    ++types;
    EXPECT_EQ(DTypeName(tensor.dtype), name);
    EXPECT_EQ(expected.size(), tensor.size()) << name;
    std::vector<float> values(static_cast<size_t>(tensor.size()));
    DequantiseRow(tensor.dtype, static_cast<const std::byte*>(tensor.data), tensor.size(),
                  values.data());
    EXPECT_EQ(std::memcmp(values.data(), expected.data, values.size() * sizeof(float)), 0) << name;
  }
  return types;
}

TEST(DequantiseTest, EveryTypeAsThePythonPackage) {
  EXPECT_EQ(TypesAsExpected(kGolden + "types.gguf"), 13);
}

TEST(DequantiseTest, GgufIQuants) { EXPECT_EQ(TypesAsExpected(kGolden + "iq_types.gguf"), 12); }

TEST(GgufTest, CutAnywhereIsAnError) {
  const std::string whole = ReadFile(kGolden + "tiny_qwen3.gguf");
  MemoryFile file(whole);
  EXPECT_NO_THROW(GgufFile(file.path()));
  for (size_t bytes = whole.size() - 1; bytes > 0; bytes -= bytes > 2000 ? 61 : 1) {
    file.CutTo(bytes);
    EXPECT_THROW(GgufFile(file.path()), Error) << bytes;
  }
}

TEST(GgufTest, HostileFiles) {
  EXPECT_THAT(Bytes().Error(), HasSubstr("not a GGUF file"));
  EXPECT_THAT(Bytes().Put<uint64_t>(0).Error(), HasSubstr("not a GGUF file"));
  EXPECT_THAT(Bytes().Put<uint32_t>(0x46554747).Put<uint32_t>(0x03000000).Error(),
              HasSubstr("version"));
  EXPECT_THAT(Bytes().Header(0, UINT64_MAX).Error(), HasSubstr("cut short"));
  EXPECT_THAT(Bytes().Header(UINT64_MAX, 0).Error(), HasSubstr("cut short"));
  EXPECT_THAT(Bytes().Header(0, 1).Put<uint64_t>(UINT64_MAX).Error(), HasSubstr("cut short"));
  constexpr uint32_t kU32 = 4, kString = 8, kArray = 9, kU64 = 10;
  const auto value = [](uint32_t type) { return Bytes().Header(0, 1).Text("k").Put(type); };
  EXPECT_THAT(value(13).Error(), HasSubstr("type 13"));
  EXPECT_THAT(value(kArray).Put(kArray).Put<uint64_t>(1).Error(), HasSubstr("nested"));
  EXPECT_THAT(value(kArray).Put(kU64).Put<uint64_t>(UINT64_MAX / 4).Error(),
              HasSubstr("cut short"));
  EXPECT_THAT(value(kArray).Put(kString).Put<uint64_t>(UINT64_MAX).Error(), HasSubstr("cut short"));
  EXPECT_THAT(Bytes().Header(0, 2).Text("k").Put(kU32).Put(1).Text("k").Put(kU32).Put(1).Error(),
              HasSubstr("twice"));
  for (const uint32_t alignment : {0U, 4U, 33U, 1U << 31}) {
    EXPECT_THAT(Bytes().Header(0, 1).Text("general.alignment").Put(kU32).Put(alignment).Error(),
                HasSubstr("power of two"));
  }
}

TEST(GgufTest, HostileTensors) {
  const auto tensor = [](std::vector<int64_t> dims, uint32_t type, uint64_t offset = 0) {
    return Bytes().Header(1, 0).Info("t", std::move(dims), type, offset).Data(128).Error();
  };
  EXPECT_EQ(tensor({32}, 0), "");
  EXPECT_THAT(tensor({}, 0), HasSubstr("0 dimensions"));
  EXPECT_THAT(tensor({1, 1, 1, 1, 1}, 0), HasSubstr("5 dimensions"));
  EXPECT_THAT(tensor({-1}, 0), HasSubstr("shape"));
  EXPECT_THAT(tensor({33}, 0), HasSubstr("does not fit"));
  EXPECT_THAT(tensor({int64_t{1} << 32, int64_t{1} << 32}, 0), HasSubstr("does not fit"));
  EXPECT_THAT(tensor({32}, 0, 32), HasSubstr("does not fit"));
  EXPECT_THAT(tensor({1}, 0, 4), HasSubstr("does not fit"));
  EXPECT_THAT(tensor({1}, 0, uint64_t{1} << 63), HasSubstr("does not fit"));
  EXPECT_THAT(tensor({31}, 8), HasSubstr("does not fit"));
  EXPECT_THAT(tensor({32}, 9), HasSubstr("GGML type Q8_1;"));
  EXPECT_THAT(tensor({32}, 40), HasSubstr("GGML type NVFP4;"));
  EXPECT_THAT(tensor({32}, 99), HasSubstr("GGML type 99, which llama.cpp does not have"));
  EXPECT_THAT(tensor({32}, 16), HasSubstr("does not fit"));  // not a whole block
  EXPECT_THAT(Bytes().Header(2, 0).Info("a", {16}, 0, 0).Info("b", {8}, 0, 32).Data(128).Error(),
              HasSubstr("overlap"));
  EXPECT_THAT(Bytes().Header(2, 0).Info("a", {8}, 0, 0).Info("a", {8}, 0, 32).Data(128).Error(),
              HasSubstr("twice"));
}

}  // namespace
}  // namespace lorikeet
