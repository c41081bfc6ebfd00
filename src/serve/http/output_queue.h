// An `OutputQueue` holds the bytes that a connection is still to send, in the pieces in which they
// were written.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

class OutputQueue {
 public:
  void Append(std::string piece) {
    if (piece.empty()) return;
    size_ += piece.size();
    if (first_ < pieces_.size() && pieces_.back().size() + piece.size() <= kJoined) {
      pieces_.back() += piece;
    } else {
      pieces_.push_back(std::move(piece));
    }
  }
  void Append(OutputQueue* other) {
    for (size_t i = other->first_; i < other->pieces_.size(); ++i) {
      std::string& piece = other->pieces_[i];
      if (i == other->first_) piece.erase(0, other->offset_);
      Append(std::move(piece));
    }
    *other = {};
  }
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  // The next bytes, in up to as many pieces as the array has; the others are empty.
  template <size_t kPieces>
  std::array<std::string_view, kPieces> Front() const {
    std::array<std::string_view, kPieces> front{};
    for (size_t i = 0; i < kPieces && first_ + i < pieces_.size(); ++i) {
      front[i] = pieces_[first_ + i];
    }
    front[0].remove_prefix(offset_);
    return front;
  }
  // Removes the first n <= size() bytes.
  void Remove(size_t n) {
    size_ -= n;
    offset_ += n;
    while (first_ < pieces_.size() && offset_ >= pieces_[first_].size()) {
      offset_ -= pieces_[first_].size();
      pieces_[first_++] = {};
    }
    if (empty()) {
      *this = {};  // an idle connection keeps no memory
    } else if (first_ > pieces_.size() / 2) {
      pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }

 private:
  static constexpr size_t kJoined = 4096;  // small pieces are sent as one, up to so many bytes

  std::vector<std::string> pieces_;
  size_t first_ = 0;   // pieces before this one are sent
  size_t offset_ = 0;  // bytes of it that are sent
  size_t size_ = 0;
};

}  // namespace lorikeet
