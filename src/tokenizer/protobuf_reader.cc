#include "tokenizer/protobuf_reader.h"

#include <cstring>

#include "core/error.h"

namespace lorikeet {
namespace {

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

}  // namespace

void ProtobufReader::Damaged() const {
  Fail(ErrorCode::kCorruptFile,
       "{}: not a SentencePiece model, or damaged (at byte {} of a message of {}); get the file "
       "again",
       where_, at_, bytes_.size());
}

uint64_t ProtobufReader::ReadVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ >= bytes_.size()) Damaged();
    const auto byte = static_cast<uint8_t>(bytes_[at_++]);
    value |= uint64_t(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  Damaged();
}

std::string_view ProtobufReader::Take(uint64_t count) {
  if (count > bytes_.size() - at_) Damaged();
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

bool ProtobufReader::Next() {
  if (at_ >= bytes_.size()) return false;
  const uint64_t key = ReadVarint();
  field_ = key >> 3;
  type_ = key & 7;
  if (field_ == 0) Damaged();
  switch (type_) {
    case kVarint:
      varint_ = ReadVarint();
      return true;
    case kFixed64:
      value_ = Take(8);
      return true;
    case kBytes:
      value_ = Take(ReadVarint());
      return true;
    case kFixed32:
      value_ = Take(4);
      return true;
    default:
      Damaged();
  }
}

void ProtobufReader::NeedType(uint64_t type) const {
  if (type_ != type) Damaged();
}

uint64_t ProtobufReader::Varint() const {
  NeedType(kVarint);
  return varint_;
}

float ProtobufReader::Float() const {
  NeedType(kFixed32);
  uint32_t word = 0;
  for (int i = 3; i >= 0; --i) word = word << 8 | static_cast<uint8_t>(value_[i]);
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

std::string_view ProtobufReader::Bytes() const {
  NeedType(kBytes);
  return value_;
}

}  // namespace lorikeet
