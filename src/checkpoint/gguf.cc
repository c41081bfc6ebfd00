#include "checkpoint/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/round_up.h"
#include "core/text.h"

namespace lorikeet {
namespace {

template <class T>
T Load(const std::byte* p) {  // fields are unaligned
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// GGML's numbers for the dtypes that a model's weights can have here.
struct GgmlType {
  uint32_t id;
  DType dtype;
};
constexpr GgmlType kGgmlTypes[] = {
    {0, DType::kF32},   {1, DType::kF16},   {2, DType::kQ4_0},  {3, DType::kQ4_1},
    {6, DType::kQ5_0},  {7, DType::kQ5_1},  {8, DType::kQ8_0},  {10, DType::kQ2_K},
    {11, DType::kQ3_K}, {12, DType::kQ4_K}, {13, DType::kQ5_K}, {14, DType::kQ6_K},
    {26, DType::kI32},  {27, DType::kI64},  {30, DType::kBF16},
};

std::optional<DType> DTypeFromId(uint32_t id) {
  for (const GgmlType& type : kGgmlTypes) {
    if (type.id == id) return type.dtype;
  }
  return std::nullopt;
}

// Size of a tensor in bytes; empty if it overflows or its rows are not whole blocks.
std::optional<uint64_t> BytesOf(const Tensor& tensor) {
  const int64_t block = DTypeBlock(tensor.dtype);
  if (tensor.cols() % block != 0) return std::nullopt;
  int64_t bytes = DTypeBytes(tensor.dtype, block);
  for (int i = 0; i < tensor.rank; ++i) {
    const int64_t dim = i == tensor.rank - 1 ? tensor.shape[i] / block : tensor.shape[i];
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return static_cast<uint64_t>(bytes);
}

std::string_view LoadString(const std::byte* p) {
  return {reinterpret_cast<const char*>(p) + sizeof(uint64_t), Load<uint64_t>(p)};
}

}  // namespace

// Reads the file sequentially and never past its end.
class GgufFile::Cursor {
 public:
  explicit Cursor(const MappedFile& file) : file_(file) {}

  const std::byte* Take(uint64_t bytes) {
    if (bytes > file_.size() - at_) {
      Fail(ErrorCode::kCorruptFile,
           "{}: ends at byte {} in the middle of a value; cut short or "
           "damaged, get it again",
           file_.path(), file_.size());
    }
    const std::byte* p = file_.data() + at_;
    at_ += bytes;
    return p;
  }
  template <class T>
  T Next() {
    return Load<T>(Take(sizeof(T)));
  }
  const std::byte* TakeString() {
    const std::byte* begin = Take(sizeof(uint64_t));
    Take(Load<uint64_t>(begin));
    return begin;
  }
  std::string NextString() { return std::string(LoadString(TakeString())); }
  uint64_t at() const { return at_; }

 private:
  const MappedFile& file_;
  uint64_t at_ = 0;
};

// Bytes of one element; 0 for strings and arrays, which do not have a fixed size; -1 for an invalid
// type.
int64_t GgufFile::SizeOf(Type type) {
  switch (type) {
    case Type::kU8:
    case Type::kI8:
    case Type::kBool:
      return 1;
    case Type::kU16:
    case Type::kI16:
      return 2;
    case Type::kU32:
    case Type::kI32:
    case Type::kF32:
      return 4;
    case Type::kU64:
    case Type::kI64:
    case Type::kF64:
      return 8;
    case Type::kString:
    case Type::kArray:
      return 0;
  }
  return -1;
}

const char* GgufFile::NameOf(Type type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<uint32_t>(type)];
}

GgufFile::Value GgufFile::ReadValue(Cursor& cursor, const std::string& key) const {
  Value value{cursor.Next<Type>(), false, 1, nullptr};
  if (value.type == Type::kArray) {
    value.is_array = true;
    value.type = cursor.Next<Type>();
    value.count = cursor.Next<uint64_t>();
  }
  const int64_t size = SizeOf(value.type);
  if (size < 0 || value.type == Type::kArray) {
    Fail(ErrorCode::kCorruptFile,
         "{}: key {} has the unknown or nested type {}; the file is damaged "
         "or newer than GGUF version 3",
         path(), QuotedName(key), static_cast<uint32_t>(value.type));
  }
  if (size == 0) {
    value.data = cursor.Take(0);
    for (uint64_t i = 0; i < value.count; ++i) cursor.TakeString();
    return value;
  }
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(value.count, static_cast<uint64_t>(size), &bytes)) bytes = UINT64_MAX;
  value.data = cursor.Take(bytes);
  return value;
}

void GgufFile::ReadMetadata(Cursor& cursor, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = cursor.NextString();
    const Value value = ReadValue(cursor, key);
    if (!values_.emplace(key, value).second) {
      Fail(ErrorCode::kCorruptFile, "{}: key {} occurs twice; the file is damaged", path(),
           QuotedName(key));
    }
    keys_.push_back(std::move(key));
  }
}

// A tensor's shape and dtype; the file has the fastest dimension first.
Tensor GgufFile::ReadTensorInfo(Cursor& cursor, const std::string& name) const {
  const auto rank = cursor.Next<uint32_t>();
  Tensor tensor;
  if (rank == 0 || rank > tensor.shape.size()) {
    Fail(ErrorCode::kCorruptFile,
         "{}: tensor {} has {} dimensions, not 1 to 4; the file is damaged", path(),
         QuotedName(name), rank);
  }
  tensor.rank = static_cast<int>(rank);
  for (int i = tensor.rank - 1; i >= 0; --i) {
    tensor.shape[i] = cursor.Next<int64_t>();
    if (tensor.shape[i] <= 0) {
      Fail(ErrorCode::kCorruptFile, "{}: tensor {} has an impossible shape; the file is damaged",
           path(), QuotedName(name));
    }
  }
  const auto id = cursor.Next<uint32_t>();
  const std::optional<DType> dtype = DTypeFromId(id);
  if (!dtype) {
    Fail(ErrorCode::kUnsupported,
         "{}: tensor {} has GGML type {}; supported are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, "
         "Q8_0 and Q2_K to Q6_K: take another quantisation of this model",
         path(), QuotedName(name), id);
  }
  tensor.dtype = *dtype;
  return tensor;
}

void GgufFile::ReadTensors(Cursor& cursor, uint64_t count) {
  const int64_t alignment = IntOr("general.alignment", 32);
  if (alignment < 8 || alignment > (1 << 20) ||
      !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    Fail(ErrorCode::kCorruptFile, "{}: general.alignment is {}, not a power of two from 8 to 2^20",
         path(), alignment);
  }
  const auto align = static_cast<uint64_t>(alignment);
  std::vector<uint64_t> offsets;  // from the start of the data, which begins after the last info
  for (uint64_t i = 0; i < count; ++i) {
    std::string name = cursor.NextString();
    const Tensor tensor = ReadTensorInfo(cursor, name);
    offsets.push_back(cursor.Next<uint64_t>());
    if (!index_.emplace(name, tensors_.size()).second) {
      Fail(ErrorCode::kCorruptFile, "{}: tensor {} occurs twice; the file is damaged", path(),
           QuotedName(name));
    }
    tensors_.push_back({std::move(name), tensor});
  }
  PlaceTensors(RoundUp(cursor.at(), align), align, offsets);
}

// Sets the data of every tensor, and checks that it is complete and does not overlap others.
void GgufFile::PlaceTensors(uint64_t data_begin, uint64_t align,
                            const std::vector<uint64_t>& offsets) {
  const uint64_t size = file_.size() < data_begin ? 0 : file_.size() - data_begin;
  struct Span {
    uint64_t begin, end;
    size_t tensor;
  };
  std::vector<Span> spans;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    auto& [name, tensor] = tensors_[i];
    const std::optional<uint64_t> bytes = BytesOf(tensor);
    if (!bytes || offsets[i] % align != 0 || offsets[i] > size || *bytes > size - offsets[i]) {
      Fail(ErrorCode::kCorruptFile,
           "{}: tensor {} does not fit in the file; it was cut short or damaged, get it again",
           path(), QuotedName(name));
    }
    // Views are read-only by agreement: Tensor has no const form.
    tensor.data = const_cast<std::byte*>(file_.data()) + data_begin + offsets[i];
    if (*bytes > 0) spans.push_back({offsets[i], offsets[i] + *bytes, i});
  }
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < spans.size(); ++i) {
    if (spans[i].begin < spans[i - 1].end) {
      Fail(ErrorCode::kCorruptFile, "{}: tensors {} and {} overlap; the file is damaged", path(),
           QuotedName(tensors_[spans[i - 1].tensor].name),
           QuotedName(tensors_[spans[i].tensor].name));
    }
  }
}

GgufFile::GgufFile(const std::string& path) : file_(path) {
  Cursor cursor(file_);
  constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
  if (file_.size() < 2 * sizeof(uint32_t) || cursor.Next<uint32_t>() != kMagic) {
    Fail(ErrorCode::kCorruptFile, "{}: not a GGUF file", path);
  }
  const auto version = cursor.Next<uint32_t>();
  if (version != 2 && version != 3) {
    Fail(ErrorCode::kUnsupported,
         "{}: GGUF version {}; supported are 2 and 3, little-endian: convert the model again", path,
         version);
  }
  const auto tensor_count = cursor.Next<uint64_t>();
  const auto value_count = cursor.Next<uint64_t>();
  ReadMetadata(cursor, value_count);
  ReadTensors(cursor, tensor_count);
}

Tensor GgufFile::Find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? Tensor() : tensors_[found->second].tensor;
}

const GgufFile::Value* GgufFile::FindValue(std::string_view key) const {
  const auto found = values_.find(std::string(key));
  return found == values_.end() ? nullptr : &found->second;
}

bool GgufFile::Has(std::string_view key) const { return FindValue(key) != nullptr; }

bool GgufFile::IsArray(std::string_view key) const {
  const Value* value = FindValue(key);
  return value != nullptr && value->is_array;
}

const GgufFile::Value& GgufFile::Get(std::string_view key, bool is_array) const {
  const Value* value = FindValue(key);
  if (value == nullptr) {
    Fail(ErrorCode::kCorruptFile,
         "{}: the metadata has no {}; convert the model again with a current converter", path(),
         QuotedName(key));
  }
  if (value->is_array != is_array) FailType(key, *value, is_array ? "an array" : "one value");
  return *value;
}

void GgufFile::FailType(std::string_view key, const Value& value, const char* wanted) const {
  Fail(ErrorCode::kCorruptFile, "{}: metadata {} is {}{}, not {}; convert the model again", path(),
       QuotedName(key), value.is_array ? "an array of " : "", NameOf(value.type), wanted);
}

std::optional<int64_t> GgufFile::AsInt(Type type, const std::byte* p) {
  switch (type) {
    case Type::kU8:
    case Type::kBool:
      return Load<uint8_t>(p);
    case Type::kI8:
      return Load<int8_t>(p);
    case Type::kU16:
      return Load<uint16_t>(p);
    case Type::kI16:
      return Load<int16_t>(p);
    case Type::kU32:
      return Load<uint32_t>(p);
    case Type::kI32:
      return Load<int32_t>(p);
    case Type::kI64:
      return Load<int64_t>(p);
    case Type::kU64:
      if (Load<uint64_t>(p) <= INT64_MAX) return Load<int64_t>(p);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<double> GgufFile::AsFloat(Type type, const std::byte* p) {
  if (type == Type::kF32) return Load<float>(p);
  if (type == Type::kF64) return Load<double>(p);
  const std::optional<int64_t> integer = AsInt(type, p);
  return integer ? std::optional<double>(static_cast<double>(*integer)) : std::nullopt;
}

std::string GgufFile::String(std::string_view key) const {
  const Value& value = Get(key, false);
  if (value.type != Type::kString) FailType(key, value, "a string");
  return std::string(LoadString(value.data));
}

int64_t GgufFile::Int(std::string_view key) const {
  const Value& value = Get(key, false);
  const std::optional<int64_t> integer = AsInt(value.type, value.data);
  if (!integer) FailType(key, value, "a 64-bit integer");
  return *integer;
}

double GgufFile::Float(std::string_view key) const {
  const Value& value = Get(key, false);
  const std::optional<double> number = AsFloat(value.type, value.data);
  if (!number) FailType(key, value, "a number");
  return *number;
}

bool GgufFile::Bool(std::string_view key) const {
  const Value& value = Get(key, false);
  if (value.type != Type::kBool) FailType(key, value, "a bool");
  return Load<uint8_t>(value.data) != 0;
}

std::string GgufFile::StringOr(std::string_view key, std::string fallback) const {
  return Has(key) ? String(key) : std::move(fallback);
}
int64_t GgufFile::IntOr(std::string_view key, int64_t fallback) const {
  return Has(key) ? Int(key) : fallback;
}
double GgufFile::FloatOr(std::string_view key, double fallback) const {
  return Has(key) ? Float(key) : fallback;
}
bool GgufFile::BoolOr(std::string_view key, bool fallback) const {
  return Has(key) ? Bool(key) : fallback;
}

std::vector<std::string> GgufFile::Strings(std::string_view key) const {
  const Value& value = Get(key, true);
  if (value.type != Type::kString) FailType(key, value, "an array of strings");
  std::vector<std::string> strings;
  strings.reserve(value.count);
  const std::byte* p = value.data;
  for (uint64_t i = 0; i < value.count; ++i) {
    const std::string_view text = LoadString(p);
    strings.emplace_back(text);
    p += sizeof(uint64_t) + text.size();
  }
  return strings;
}

std::vector<int64_t> GgufFile::Ints(std::string_view key) const {
  const Value& value = Get(key, true);
  std::vector<int64_t> integers;
  integers.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    const auto integer = AsInt(value.type, value.data + i * SizeOf(value.type));
    if (!integer) FailType(key, value, "an array of 64-bit integers");
    integers.push_back(*integer);
  }
  return integers;
}

std::vector<float> GgufFile::Floats(std::string_view key) const {
  const Value& value = Get(key, true);
  std::vector<float> numbers;
  numbers.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    const auto number = AsFloat(value.type, value.data + i * SizeOf(value.type));
    if (!number) FailType(key, value, "an array of numbers");
    numbers.push_back(static_cast<float>(*number));
  }
  return numbers;
}

}  // namespace lorikeet
