#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "serve/http/client_for_test.h"
#include "serve/http/http_server.h"
#include "serve/http/tls.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::Throws;

std::string Pem(const std::function<void(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  std::string text(BIO_ctrl_pending(bio), '\0');
  BIO_read(bio, text.data(), static_cast<int>(text.size()));
  BIO_free(bio);
  return text;
}

// A new key and a certificate that it signs itself, as cert.pem, key.pem and locked.pem, which has
// a passphrase.
void WriteCertificate(const TemporaryFolder& folder) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME* name = X509_get_subject_name(cert);
  const std::string host = "localhost";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(host.c_str()), -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509_sign(cert, key, EVP_sha256());
  WriteFileAtomically(folder / "cert.pem", Pem([&](BIO* bio) { PEM_write_bio_X509(bio, cert); }));
  WriteFileAtomically(folder / "key.pem", Pem([&](BIO* bio) {
                        PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
                      }));
  std::array<unsigned char, 4> secret = {'a', 'b', 'c', 'd'};
  WriteFileAtomically(folder / "locked.pem", Pem([&](BIO* bio) {
                        PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), secret.data(),
                                                 secret.size(), nullptr, nullptr);
                      }));
  X509_free(cert);
  EVP_PKEY_free(key);
}

// A client of TLS up to `max_version`, which does not check the certificate.
class TlsClient {
 public:
  explicit TlsClient(int port, int max_version = TLS1_3_VERSION)
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, max_version);
    SSL_CTX_set_security_level(context_, 0);
    ssl_ = SSL_new(context_);
    const std::array<unsigned char, 12> protocols = {2,   'h', '2', 8,   'h', 't',
                                                     't', 'p', '/', '1', '.', '1'};
    SSL_set_alpn_protos(ssl_, protocols.data(), protocols.size());
    SSL_set_fd(ssl_, socket_.fd());
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  bool connected() const { return connected_; }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  void Send(std::string_view text) {
    EXPECT_EQ(SSL_write(ssl_, text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
  }
  // Until the server ends; *ended: with TLS's own end.
  std::string ReadAll(bool* ended) {
    std::string all;
    std::array<char, 4096> buffer;
    int got = 0;
    while ((got = SSL_read(ssl_, buffer.data(), buffer.size())) > 0) all.append(buffer.data(), got);
    *ended = SSL_get_error(ssl_, got) == SSL_ERROR_ZERO_RETURN;
    return all;
  }
  void SendEnd() { SSL_shutdown(ssl_); }
  TestClient& socket() { return socket_; }

 private:
  TestClient socket_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

class HttpServerTls : public ::testing::Test {
 protected:
  HttpServerTls() : folder_("http_server_tls") {
    WriteCertificate(folder_);
    server_ = std::make_unique<HttpServer>(
        HttpServerOptions{
            .port = 0, .tls_cert_file = folder_ / "cert.pem", .tls_key_file = folder_ / "key.pem"},
        [this](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
          if (request.target == "/wait") return reply->OnClose([this, reply] { closed_ = true; });
          reply->Send({.body = request.body + "!"});
        });
    server_->Start();
  }

  TemporaryFolder folder_;
  std::atomic<bool> closed_ = false;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTls, AnswersBothVersions) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server_->port(), version);
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.protocol(), "http/1.1");
    const std::string body(5 << 20, 'x');  // many records in both directions
    client.Send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n");
    client.Send(body);
    bool ended = false;
    const std::string answer = client.ReadAll(&ended);
    EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), body + "!");
    EXPECT_TRUE(ended);
  }
}

TEST_F(HttpServerTls, RefusesOldVersionsAndPlainText) {
  EXPECT_FALSE(TlsClient(server_->port(), TLS1_1_VERSION).connected());
  TestClient plain(server_->port());
  plain.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  plain.ReadAll();
  while (server_->connections() > 0) std::this_thread::yield();
}

TEST_F(HttpServerTls, ACloseWhileTheAnswerIsPendingIsNoticed) {
  for (const bool with_end : {true, false}) {
    closed_ = false;
    TlsClient client(server_->port());
    client.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    if (with_end) {
      client.SendEnd();
    } else {
      client.socket().EndSending();
    }
    while (!closed_) std::this_thread::yield();
  }
  while (server_->connections() > 0) std::this_thread::yield();
}

TEST_F(HttpServerTls, BadFilesAreNamed) {
  const auto fault = [&](const std::string& cert, const std::string& key, const auto& message) {
    EXPECT_THAT([&] { TlsContext(folder_ / cert, folder_ / key); },
                Throws<Error>(Property(&Error::what, message)));
  };
  const TemporaryFolder other("http_server_tls_other");
  WriteCertificate(other);
  WriteFileAtomically(folder_ / "other.pem", ReadFile(other / "key.pem"));
  fault("none.pem", "key.pem", HasSubstr("none.pem: no usable certificate"));
  fault("key.pem", "key.pem", HasSubstr("key.pem: no usable certificate"));
  fault("cert.pem", "none.pem", HasSubstr("none.pem: no usable private key"));
  fault("cert.pem", "other.pem", AllOf(HasSubstr("other.pem: "), HasSubstr("mismatch")));
  fault("cert.pem", "locked.pem", HasSubstr("locked.pem: no usable private key"));
  EXPECT_THAT([&] { HttpServer({.port = 0, .tls_cert_file = folder_ / "cert.pem"}, {}); },
              Throws<Error>(Property(&Error::what, HasSubstr("both a certificate"))));
}

}  // namespace
}  // namespace lorikeet
