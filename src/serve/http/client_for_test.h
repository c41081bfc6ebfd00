// A `TestClient` is a plain socket to a server on 127.0.0.1, for requests that no HTTP library
// would send. Only tests include this.
#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace lorikeet {

struct TestAnswer {
  int status = 0;  // 0: the connection was closed before an answer
  std::string head, body;
};

class TestClient {
 public:
  explicit TestClient(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{.tv_sec = 60, .tv_usec = 0};  // a lost answer fails the test
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestClient() { Close(); }
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        input_(std::move(other.input_)) {}
  TestClient& operator=(TestClient&&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void EndSending() { shutdown(fd_, SHUT_WR); }
  // Closes so that the server gets a reset, not an end.
  void Reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }

  // False if the server has closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Everything until the server closes, or what came before a reset.
  std::string ReadAll() {
    while (Fill()) {
    }
    return std::exchange(input_, {});
  }
  // Up to and with `end`; "" if it does not come.
  std::string ReadUntil(std::string_view end) {
    size_t at = input_.find(end);
    while (at == std::string::npos) {
      if (!Fill()) return {};
      at = input_.find(end);
    }
    return Take(at + end.size());
  }
  std::string ReadBytes(size_t size) {
    while (input_.size() < size && Fill()) {
    }
    return Take(std::min(size, input_.size()));
  }
  // An answer with its length or in chunks. head_only: of a HEAD request.
  TestAnswer Read(bool head_only = false) {
    TestAnswer answer;
    answer.head = ReadUntil("\r\n\r\n");
    if (answer.head.size() < 12) return answer;
    answer.status = std::atoi(answer.head.c_str() + 9);
    const size_t length = answer.head.find("Content-Length: ");
    if (head_only) return answer;
    if (length != std::string::npos) {
      answer.body = ReadBytes(std::strtoull(answer.head.c_str() + length + 16, nullptr, 10));
    } else if (answer.head.find("Transfer-Encoding: chunked") != std::string::npos) {
      answer.body = ReadChunks();
    }
    return answer;
  }
  // Data of one chunk; "" for the last, or if the connection ends.
  std::string ReadChunk() {
    const std::string line = ReadUntil("\r\n");
    const size_t size = std::strtoull(line.c_str(), nullptr, 16);
    const std::string data = ReadBytes(size);
    ReadBytes(2);
    return data;
  }
  // Data of the chunks up to the last.
  std::string ReadChunks() {
    std::string all;
    for (std::string chunk = ReadChunk(); !chunk.empty(); chunk = ReadChunk()) all += chunk;
    return all;
  }
  TestAnswer Ask(std::string_view bytes) {
    Send(bytes);
    return Read();
  }

 private:
  bool Fill() {
    std::array<char, 1 << 16> buffer;
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    EXPECT_FALSE(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) << "nothing came for 60 s";
    if (got > 0) input_.append(buffer.data(), static_cast<size_t>(got));
    return got > 0;
  }
  std::string Take(size_t size) {
    std::string front = input_.substr(0, size);
    input_.erase(0, size);
    return front;
  }

  int fd_;
  bool connected_ = false;
  std::string input_;
};

}  // namespace lorikeet
