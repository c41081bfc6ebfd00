// A `ProtobufReader` steps through the fields of a message in the wire format of protocol buffers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

class ProtobufReader {
 public:
  // `bytes` must outlive this. `where` names the file in errors.
  ProtobufReader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  // Reads the next field; false at the end of the message. Throws Error(kCorruptFile) for bytes
  // that are not such a message.
  bool Next();
  uint64_t field() const { return field_; }

  // The value of the field. Each throws Error(kCorruptFile) for a field of another wire type.
  uint64_t Varint() const;
  float Float() const;
  std::string_view Bytes() const;  // a string, or a message

 private:
  uint64_t ReadVarint();
  std::string_view Take(uint64_t count);
  void NeedType(uint64_t type) const;
  [[noreturn]] void Damaged() const;

  std::string_view bytes_;
  const std::string& where_;
  size_t at_ = 0;
  uint64_t field_ = 0, type_ = 0, varint_ = 0;
  std::string_view value_;
};

}  // namespace lorikeet
