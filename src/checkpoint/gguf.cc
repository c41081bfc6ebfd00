#include "checkpoint/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
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

// GGML's types of tensors, by number. Those without a dtype are not read.
struct GgmlType {
  uint32_t id;
  const char* name;
  std::optional<DType> dtype;
};
constexpr GgmlType kGgmlTypes[] = {
    {0, "F32", DType::kF32},
    {1, "F16", DType::kF16},
    {2, "Q4_0", DType::kQ4_0},
    {3, "Q4_1", DType::kQ4_1},
    {4, "Q4_2", {}},
    {5, "Q4_3", {}},
    {6, "Q5_0", DType::kQ5_0},
    {7, "Q5_1", DType::kQ5_1},
    {8, "Q8_0", DType::kQ8_0},
    {9, "Q8_1", {}},
    {10, "Q2_K", DType::kQ2_K},
    {11, "Q3_K", DType::kQ3_K},
    {12, "Q4_K", DType::kQ4_K},
    {13, "Q5_K", DType::kQ5_K},
    {14, "Q6_K", DType::kQ6_K},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", DType::kIQ2_XXS},
    {17, "IQ2_XS", DType::kIQ2_XS},
    {18, "IQ3_XXS", DType::kIQ3_XXS},
    {19, "IQ1_S", DType::kIQ1_S},
    {20, "IQ4_NL", DType::kIQ4_NL},
    {21, "IQ3_S", DType::kIQ3_S},
    {22, "IQ2_S", DType::kIQ2_S},
    {23, "IQ4_XS", DType::kIQ4_XS},
    {24, "I8", DType::kI8},
    {25, "I16", DType::kI16},
    {26, "I32", DType::kI32},
    {27, "I64", DType::kI64},
    {28, "F64", DType::kF64},
    {29, "IQ1_M", DType::kIQ1_M},
    {30, "BF16", DType::kBF16},
    {31, "Q4_0_4_4", {}},
    {32, "Q4_0_4_8", {}},
    {33, "Q4_0_8_8", {}},
    {34, "TQ1_0", DType::kTQ1_0},
    {35, "TQ2_0", DType::kTQ2_0},
    {36, "IQ4_NL_4_4", {}},
    {37, "IQ4_NL_4_8", {}},
    {38, "IQ4_NL_8_8", {}},
    {39, "MXFP4", DType::kMXFP4},
    {40, "NVFP4", {}},
    {41, "Q1_0", {}},
};

const GgmlType* TypeFromId(uint32_t id) {
  const auto* const type = std::ranges::find(kGgmlTypes, id, &GgmlType::id);
  return type == std::end(kGgmlTypes) ? nullptr : type;
}

// "-00002-of-00003.gguf", with which the name of a part of a split model ends.
std::string PartSuffix(int64_t part, int64_t parts) {
  return fmt::format("-{:05}-of-{:05}.gguf", part, parts);
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
  constexpr uint32_t kMaxRank = 4;  // GGML's
  if (rank == 0 || rank > kMaxRank) {
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
  const GgmlType* const type = TypeFromId(id);
  if (type == nullptr || !type->dtype) {
    Fail(
        ErrorCode::kUnsupported,
        "{}: tensor {} has GGML type {}; supported are F32, F16, BF16, Q4_0 to Q8_0, Q2_K to Q6_K, "
        "IQ1_S to IQ4_XS, MXFP4, TQ1_0 and TQ2_0: take another quantisation of this model",
        path(), QuotedName(name),
        type == nullptr ? fmt::format("{}, which llama.cpp does not have", id) : type->name);
  }
  tensor.dtype = *type->dtype;
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

GgufFile::GgufFile(const std::string& path, OneFile /*tag*/) : file_(path) {
  Cursor cursor(file_);
  constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
  if (file_.size() < 2 * sizeof(uint32_t) || cursor.Next<uint32_t>() != kMagic) {
    RefuseWebPage(file_);
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

GgufFile::GgufFile(const std::string& path) : GgufFile(path, OneFile()) {
  const int64_t parts = IntOr("split.count", 1);
  if (parts > 1) JoinParts(parts);
}

// Makes this part of a split model the whole: the first part's metadata, the tensors of all.
void GgufFile::JoinParts(int64_t parts) {
  const std::string given = path();
  const int64_t own = Int("split.no");  // from 0
  const std::string suffix = PartSuffix(own + 1, parts);
  if (own < 0 || own >= parts || !given.ends_with(suffix)) {
    Fail(
        ErrorCode::kUnsupported,
        "{}: part {} of {} of a split model, whose name must end in {} for the others to be found; "
        "rename the parts, or join them with llama-gguf-split --merge",
        given, own + 1, parts, suffix);
  }
  const std::string stem = given.substr(0, given.size() - suffix.size());
  std::vector<GgufFile> files;
  for (int64_t i = 0; i < parts; ++i) {
    if (i == own) {
      files.push_back(std::move(*this));
      continue;
    }
    const std::string name = stem + PartSuffix(i + 1, parts);
    std::error_code ignored;
    if (!std::filesystem::exists(name, ignored)) {
      Fail(ErrorCode::kNotFound, "{}: not there; {} is part {} of {} of a model and needs them all",
           name, given, own + 1, parts);
    }
    files.push_back(GgufFile(name, OneFile()));
    if (files.back().IntOr("split.count", 1) != parts || files.back().IntOr("split.no", 0) != i) {
      Fail(ErrorCode::kCorruptFile,
           "{}: is not part {} of {}, as its name and {} say; get the parts again", name, i + 1,
           parts, given);
    }
  }
  *this = std::move(files[0]);
  for (size_t i = 1; i < files.size(); ++i) Append(std::move(files[i]));
  const int64_t tensors = IntOr("split.tensors.count", std::ssize(tensors_));
  if (tensors != std::ssize(tensors_)) {
    Fail(ErrorCode::kCorruptFile,
         "{}: its {} parts have {} tensors where it says {}; get the parts again", path(), parts,
         tensors_.size(), tensors);
  }
}

void GgufFile::Append(GgufFile part) {
  for (NamedTensor& tensor : part.tensors_) {
    if (!index_.emplace(tensor.name, tensors_.size()).second) {
      Fail(ErrorCode::kCorruptFile, "{}: tensor {} is in another part too; get the parts again",
           part.path(), QuotedName(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
  more_.push_back(std::move(part.file_));
}

std::vector<std::string> GgufFile::paths() const {
  std::vector<std::string> paths = {path()};
  for (const MappedFile& file : more_) paths.push_back(file.path());
  return paths;
}

void GgufFile::Forget(const Tensor& tensor) const {
  const auto bytes = static_cast<size_t>(tensor.bytes());
  file_.Forget(tensor.data, bytes);
  for (const MappedFile& file : more_) file.Forget(tensor.data, bytes);
}

uint32_t GgmlTypeOf(DType dtype) {
  const auto* const type = std::ranges::find(kGgmlTypes, std::optional(dtype), &GgmlType::dtype);
  CHECK(type != std::end(kGgmlTypes));
  return type->id;
}

bool IsFirstOfSplit(std::string_view path, size_t parts) {
  return path.ends_with(PartSuffix(1, static_cast<int64_t>(parts)));
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
