#include "serve/secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <array>

namespace lorikeet {
namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Digest DigestOf(std::string_view text) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

}  // namespace

bool SameSecret(std::string_view given, std::string_view expected) {
  // Digests have one length, so that not even the secret's length shows.
  const Digest a = DigestOf(given), b = DigestOf(expected);
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace lorikeet
