// A `GgufFile` is a GGUF container, version 2 or 3: typed metadata, then tensors, often quantised.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/file.h"

namespace lorikeet {

// A mapped GGUF file, or all files of a split model. Shapes are in row-major order, as elsewhere in
// this program; the file stores them reversed. Every accessor throws Error with file and key if the
// key is absent or has another type.
class GgufFile final : public TensorFile {
 public:
  // `path`: the file, or any part of a split model ("NAME-00002-of-00003.gguf"), the others of
  // which lie beside it. Throws Error, which names a part that is missing.
  explicit GgufFile(const std::string& path);

  Tensor Find(std::string_view name) const override;
  const std::vector<NamedTensor>& tensors() const override { return tensors_; }
  void Forget(const Tensor& tensor) const override;
  const std::string& path() const { return file_.path(); }  // the first part if the model is split
  std::vector<std::string> paths() const;                   // every part, in order

  bool Has(std::string_view key) const;
  const std::vector<std::string>& keys() const { return keys_; }  // in file order
  std::string String(std::string_view key) const;
  int64_t Int(std::string_view key) const;   // any integer type, or bool as 0/1
  double Float(std::string_view key) const;  // any number
  bool Bool(std::string_view key) const;
  // `fallback` for an absent key; a value of a wrong type is an Error.
  std::string StringOr(std::string_view key, std::string fallback) const;
  int64_t IntOr(std::string_view key, int64_t fallback) const;
  double FloatOr(std::string_view key, double fallback) const;
  bool BoolOr(std::string_view key, bool fallback) const;

  bool IsArray(std::string_view key) const;
  std::vector<std::string> Strings(std::string_view key) const;
  std::vector<int64_t> Ints(std::string_view key) const;
  std::vector<float> Floats(std::string_view key) const;

 private:
  enum class Type : uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kF32,
    kBool,
    kString,
    kArray,
    kU64,
    kI64,
    kF64,
  };
  // A value stays in the mapped file; arrays were checked once, so reads need no checks.
  struct Value {
    Type type;  // type of the elements if is_array
    bool is_array;
    uint64_t count;  // 1 when not an array
    const std::byte* data;
  };
  class Cursor;
  struct OneFile {};

  GgufFile(const std::string& path, OneFile tag);  // this part alone if the model is split
  void JoinParts(int64_t parts);
  void Append(GgufFile part);
  static int64_t SizeOf(Type type);
  static const char* NameOf(Type type);
  static std::optional<int64_t> AsInt(Type type, const std::byte* p);
  static std::optional<double> AsFloat(Type type, const std::byte* p);
  Value ReadValue(Cursor& cursor, const std::string& key) const;
  void ReadMetadata(Cursor& cursor, uint64_t count);
  Tensor ReadTensorInfo(Cursor& cursor, const std::string& name) const;
  void ReadTensors(Cursor& cursor, uint64_t count);
  void PlaceTensors(uint64_t data_begin, uint64_t align, const std::vector<uint64_t>& offsets);
  const Value* FindValue(std::string_view key) const;
  const Value& Get(std::string_view key, bool is_array) const;
  [[noreturn]] void FailType(std::string_view key, const Value& value, const char* wanted) const;

  MappedFile file_;
  std::vector<MappedFile> more_;  // the other parts of a split model
  std::vector<std::string> keys_;
  std::unordered_map<std::string, Value> values_;
  std::vector<NamedTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// GGML's number of a dtype that GGUF files hold.
uint32_t GgmlTypeOf(DType dtype);

// Whether a path has the name of the first of so many parts: "NAME-00001-of-00003.gguf".
bool IsFirstOfSplit(std::string_view path, size_t parts);

}  // namespace lorikeet
