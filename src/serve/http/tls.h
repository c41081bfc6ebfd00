// A `TlsContext` holds a server's certificate and key; a `TlsChannel` is one connection's TLS
// without its socket: bytes in both directions go through calls.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;

namespace lorikeet {

class TlsContext {
 public:
  // PEM files: a certificate with those that signed it, and its key without a passphrase. Throws
  // Error(kInvalidArgument) that names the file.
  TlsContext(const std::string& cert_file, const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsChannel;
  ssl_ctx_st* context_;
};

class TlsChannel {
 public:
  explicit TlsChannel(const TlsContext& context);
  ~TlsChannel();
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  static constexpr size_t kMaxPlain = 16 << 10;  // bytes of a record

  enum class State { kOpen, kEnded, kFailed };
  // Bytes of the client's; what they say is appended to *plain. kEnded: the client sends no more.
  State Receive(std::string_view bytes, std::string* plain);
  // At most kMaxPlain bytes. False if it cannot be sent: the handshake is not done, or the channel
  // has failed.
  bool Send(std::string_view plain);
  void SendEnd();
  // What is to go to the client now; empties it.
  std::string TakeOutput();

 private:
  State Read(std::string* plain);

  ssl_st* ssl_;
};

}  // namespace lorikeet
