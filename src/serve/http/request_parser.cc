#include "serve/http/request_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <utility>

#include "core/check.h"
#include "core/text.h"
#include "serve/http/chunk_decoder.h"

namespace lorikeet {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeaderEnd = "\r\n\r\n";
constexpr int kBadRequest = 400, kTooLarge = 413, kExpectationFailed = 417, kHeadersTooLarge = 431,
              kNotImplemented = 501;
constexpr int kHttp11 = 11;

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// Offset of the first byte in text[from..] that no header may have: a line feed without a carriage
// return or the reverse, NUL, a line that continues the one before it. npos: none.
size_t FirstFault(std::string_view text, size_t from) {
  for (size_t i = from; i < text.size(); ++i) {
    const char before = i > 0 ? text[i - 1] : '\0';
    const bool line_begins = i > 1 && before == '\n';
    const bool fault = text[i] == '\0' || (text[i] == '\n') != (before == '\r') ||
                       (line_begins && (text[i] == ' ' || text[i] == '\t'));
    if (fault) return i;
  }
  return std::string_view::npos;
}

bool MayBeginMethod(char c) { return IsAsciiLetter(c); }

}  // namespace

// Beast's parser reads the request line and headers and calls the functions that begin with on_.
struct RequestParser::Impl final : http::basic_parser<true> {
  explicit Impl(const HttpLimits& limits_in)
      : limits(limits_in), chunks(static_cast<uint64_t>(limits.body_bytes)) {
    header_limit(static_cast<uint32_t>(limits.header_bytes));
    body_limit(static_cast<uint64_t>(limits.body_bytes));
  }

  size_t PutHeader(std::string_view bytes);
  size_t PutBody(std::string_view bytes);
  size_t PutChunks(std::string_view bytes);
  void Refuse(int status, std::string message) {
    if (refusal.status == 0) refusal = {status, std::move(message)};
  }
  // From a callback: ends Beast's parsing.
  void Refuse(int status, std::string message, beast::error_code* ec) {
    Refuse(status, std::move(message));
    *ec = http::error::bad_value;
  }
  void RefuseAs(const beast::error_code& ec);
  void CheckFraming(http::field name, std::string_view value, beast::error_code* ec);
  bool Complete() const;

  void on_request_impl(http::verb /*verb*/, beast::string_view method, beast::string_view target,
                       int version_in, beast::error_code& /*ec*/) override {
    request.method = View(method);
    request.target = View(target);
    version = version_in;
  }
  void on_response_impl(int /*code*/, beast::string_view /*reason*/, int /*version*/,
                        beast::error_code& ec) override {
    ec = http::error::bad_method;
  }
  void on_field_impl(http::field name, beast::string_view name_text, beast::string_view value,
                     beast::error_code& ec) override;
  void on_header_impl(beast::error_code& ec) override;
  // The body does not go through Beast.
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         beast::error_code& /*ec*/) override {}
  std::size_t on_body_impl(beast::string_view /*body*/, beast::error_code& /*ec*/) override {
    return 0;
  }
  void on_chunk_header_impl(std::uint64_t /*size*/, beast::string_view /*extensions*/,
                            beast::error_code& /*ec*/) override {}
  std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, beast::string_view /*body*/,
                                 beast::error_code& /*ec*/) override {
    return 0;
  }
  void on_finish_impl(beast::error_code& /*ec*/) override {}

  HttpLimits limits;
  HttpRequest request;
  Refusal refusal;
  int version = 0;
  int hosts = 0, lengths = 0;  // number of such fields
  bool expects_continue = false;
  size_t scanned = 0;  // bytes of an incomplete header that have been looked at
  ChunkDecoder chunks;
};

// Only a whole header goes to Beast, which would unfold continued lines.
size_t RequestParser::Impl::PutHeader(std::string_view bytes) {
  if (scanned == 0 && bytes.starts_with(kLineEnd)) return kLineEnd.size();  // after a body
  if (bytes.empty() || (bytes == "\r")) return 0;
  if (!MayBeginMethod(bytes[0])) {
    Refuse(kBadRequest, "not an HTTP/1.1 request: it must begin with a method such as GET");
    return 0;
  }
  const size_t from = scanned - std::min(scanned, kHeaderEnd.size());
  const size_t end = bytes.find(kHeaderEnd, from);
  const bool whole = end != std::string_view::npos;
  const size_t size = whole ? end + kHeaderEnd.size() : bytes.size();
  if (FirstFault(bytes.substr(0, size), from) != std::string_view::npos) {
    Refuse(kBadRequest, "header: each line must end in CR LF, have no NUL and continue no other");
  } else if (static_cast<int64_t>(size) > limits.header_bytes) {
    Refuse(kHeadersTooLarge,
           fmt::format("request line and headers: more than {} bytes", limits.header_bytes));
  }
  scanned = size;
  if (refusal.status != 0 || !whole) return 0;
  beast::error_code ec;
  put({bytes.data(), size}, ec);
  if (ec) RefuseAs(ec);
  return refusal.status != 0 ? 0 : size;
}

// Memory is taken for bytes that have come, not for a length that is only announced; a quarter of
// it having come, for all of it, so that a large body is copied once.
size_t RequestParser::Impl::PutBody(std::string_view bytes) {
  if (chunked()) return PutChunks(bytes);
  constexpr uint64_t kGrowth = 4;
  std::string& body = request.body;
  const uint64_t length = content_length().value_or(0);
  const auto more = static_cast<size_t>(std::min<uint64_t>(length - body.size(), bytes.size()));
  const uint64_t size = body.size() + more;
  if (size > body.capacity()) {
    std::string larger;  // not body.reserve: that may double it
    larger.reserve(std::min(length, kGrowth * size));
    larger += body;
    body = std::move(larger);
  }
  body += bytes.substr(0, more);
  return more;
}

size_t RequestParser::Impl::PutChunks(std::string_view bytes) {
  const size_t used = chunks.Put(bytes, &request.body);
  if (chunks.state() == ChunkDecoder::State::kBad) {
    Refuse(kBadRequest, "chunked body: not in the form of RFC 9112");
  } else if (chunks.state() == ChunkDecoder::State::kTooLarge) {
    Refuse(kTooLarge, fmt::format("body: more than {} bytes", limits.body_bytes));
  }
  return used;
}

bool RequestParser::Impl::Complete() const {
  if (refusal.status != 0 || !is_header_done()) return false;
  if (chunked()) return chunks.state() == ChunkDecoder::State::kDone;
  return request.body.size() == content_length().value_or(0);
}

void RequestParser::Impl::RefuseAs(const beast::error_code& ec) {
  if (ec == http::error::body_limit) {
    return Refuse(kTooLarge, fmt::format("body: more than {} bytes", limits.body_bytes));
  }
  if (ec == http::error::header_limit) {
    return Refuse(kHeadersTooLarge,
                  fmt::format("headers: more than {} bytes", limits.header_bytes));
  }
  Refuse(kBadRequest, fmt::format("not an HTTP/1.1 request: {}", ec.message()));
}

void RequestParser::Impl::on_field_impl(http::field name, beast::string_view name_text,
                                        beast::string_view value, beast::error_code& ec) {
  CheckFraming(name, View(value), &ec);
  if (ec) return;
  if (std::ssize(request.headers) >= limits.header_fields) {
    return Refuse(kHeadersTooLarge, fmt::format("more than {} headers", limits.header_fields), &ec);
  }
  request.headers.emplace_back(View(name_text), View(value));
}

// Headers that say where the request ends: what a proxy could understand in another way is refused.
void RequestParser::Impl::CheckFraming(http::field name, std::string_view value,
                                       beast::error_code* ec) {
  if (name == http::field::host && ++hosts > 1) {
    Refuse(kBadRequest, "more than one Host header", ec);
  } else if (name == http::field::content_length) {
    const bool number = !value.empty() && std::all_of(value.begin(), value.end(), IsAsciiDigit);
    if (++lengths > 1) Refuse(kBadRequest, "more than one Content-Length header", ec);
    if (!number) Refuse(kBadRequest, "Content-Length: not a number", ec);
  } else if (name == http::field::transfer_encoding) {
    if (!EqualIgnoringCase(value, "chunked")) {
      Refuse(kNotImplemented, "Transfer-Encoding: only chunked is supported", ec);
    }
    if (version < kHttp11) Refuse(kBadRequest, "Transfer-Encoding in an HTTP/1.0 request", ec);
  } else if (name == http::field::expect) {
    expects_continue = EqualIgnoringCase(value, "100-continue");
    if (!expects_continue) {
      Refuse(kExpectationFailed, "Expect: only 100-continue is supported", ec);
    }
  }
}

void RequestParser::Impl::on_header_impl(beast::error_code& ec) {
  if (version >= kHttp11 && hosts == 0) {
    return Refuse(kBadRequest, "an HTTP/1.1 request without a Host header", &ec);
  }
}

RequestParser::RequestParser(const HttpLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

size_t RequestParser::Put(std::string_view bytes) {
  if (refused() || done()) return 0;
  if (!impl_->is_header_done()) return impl_->PutHeader(bytes);
  return impl_->PutBody(bytes);
}

bool RequestParser::refused() const { return impl_->refusal.status != 0; }
const Refusal& RequestParser::refusal() const { return impl_->refusal; }
bool RequestParser::header_done() const { return impl_->is_header_done(); }
bool RequestParser::done() const { return impl_->Complete(); }

int64_t RequestParser::content_length() const {
  if (impl_->chunked()) return -1;
  return static_cast<int64_t>(impl_->content_length().value_or(0));
}

bool RequestParser::expects_continue() const { return impl_->expects_continue && is_http_1_1(); }
bool RequestParser::is_http_1_1() const { return impl_->version >= kHttp11; }
bool RequestParser::keep_alive() const { return impl_->keep_alive(); }
size_t RequestParser::body_size() const { return impl_->request.body.size(); }

HttpRequest RequestParser::Take() {
  CHECK(done());
  return std::move(impl_->request);
}

}  // namespace lorikeet
