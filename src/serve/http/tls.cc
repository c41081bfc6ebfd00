#include "serve/http/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/error.h"

namespace lorikeet {
namespace {

// The reason of OpenSSL's first error; the queue is empty afterwards.
std::string TlsReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return reason == nullptr ? "not readable" : reason;
}

// Without it OpenSSL would ask for the passphrase on the terminal.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

// Chooses HTTP/1.1 for clients that offer several protocols.
int ChooseProtocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* size,
                   const unsigned char* offered, unsigned int offered_size, void* /*data*/) {
  static constexpr std::array<unsigned char, 9> kOurs = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  const int found =
      SSL_select_next_proto(&selected, size, kOurs.data(), kOurs.size(), offered, offered_size);
  *chosen = selected;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

void LoadFiles(SSL_CTX* context, const std::string& cert_file, const std::string& key_file) {
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    Fail(ErrorCode::kInvalidArgument, "{}: no usable certificate chain in PEM: {}", cert_file,
         TlsReason());
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: no usable private key in PEM (without a passphrase) for the certificate in {}: {}",
         key_file, cert_file, TlsReason());
  }
}

}  // namespace

TlsContext::TlsContext(const std::string& cert_file, const std::string& key_file)
    : context_(SSL_CTX_new(TLS_server_method())) {
  CHECK(context_ != nullptr);
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_options(
      context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);  // idle connections need no buffers
  SSL_CTX_set_default_passwd_cb(context_, NoPassphrase);
  SSL_CTX_set_alpn_select_cb(context_, ChooseProtocol, nullptr);
  try {
    LoadFiles(context_, cert_file, key_file);
  } catch (...) {
    SSL_CTX_free(context_);
    throw;
  }
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

TlsChannel::TlsChannel(const TlsContext& context) : ssl_(SSL_new(context.context_)) {
  CHECK(ssl_ != nullptr);
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(ssl_);
}

TlsChannel::~TlsChannel() { SSL_free(ssl_); }

TlsChannel::State TlsChannel::Receive(std::string_view bytes, std::string* plain) {
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMaxPlain);  // so much stays allocated
    if (BIO_write(SSL_get_rbio(ssl_), bytes.data(), static_cast<int>(size)) !=
        static_cast<int>(size)) {
      return State::kFailed;
    }
    bytes.remove_prefix(size);
    const State state = Read(plain);
    if (state != State::kOpen) return state;
  }
  return State::kOpen;
}

TlsChannel::State TlsChannel::Read(std::string* plain) {
  std::array<char, kMaxPlain> record;
  for (;;) {
    ERR_clear_error();
    const int got = SSL_read(ssl_, record.data(), static_cast<int>(record.size()));
    if (got > 0) {
      plain->append(record.data(), static_cast<size_t>(got));
      continue;
    }
    const int error = SSL_get_error(ssl_, got);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ) return State::kOpen;
    return error == SSL_ERROR_ZERO_RETURN ? State::kEnded : State::kFailed;
  }
}

bool TlsChannel::Send(std::string_view plain) {
  if (plain.empty()) return true;
  CHECK(plain.size() <= kMaxPlain);
  ERR_clear_error();
  const bool sent = SSL_write(ssl_, plain.data(), static_cast<int>(plain.size())) ==
                    static_cast<int>(plain.size());
  ERR_clear_error();
  return sent;
}

void TlsChannel::SendEnd() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_) == 1) SSL_shutdown(ssl_);
  ERR_clear_error();
}

std::string TlsChannel::TakeOutput() {
  BIO* out = SSL_get_wbio(ssl_);
  std::string bytes(BIO_ctrl_pending(out), '\0');
  if (!bytes.empty()) {
    const int got = BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
    bytes.resize(static_cast<size_t>(std::max(got, 0)));
  }
  return bytes;
}

}  // namespace lorikeet
