#include "serve/http/http_server.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "serve/http/connection.h"
#include "serve/http/tls.h"

namespace lorikeet {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kPieces = 16;        // written by one system call
constexpr int kWritesInARow = 16;     // then other connections have their turn
constexpr int64_t kOtherFiles = 256;  // open files that are not connections
constexpr std::chrono::milliseconds kAcceptPause{50};

// Programs that are started do not inherit the socket, which would keep it open. A client whose
// machine is gone, and says nothing, is found out in some two minutes.
void SetOptions(int socket) {
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  const auto set = [socket](int level, int name, int value) {
    setsockopt(socket, level, name, &value, sizeof value);  // where it fails, the default remains
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
}

// Returns the number of connections for which there are file descriptors.
int64_t RaiseFileLimit(int64_t connections) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  const auto wanted = static_cast<rlim_t>(connections + kOtherFiles);
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= wanted) return connections;
  return std::max<int64_t>(static_cast<int64_t>(limit.rlim_cur) - kOtherFiles, 1);
}

// A quarter of the shortest limit, so that each is kept within that.
std::chrono::duration<double> TickPeriod(const HttpLimits& limits) {
  const double shortest =
      std::min({limits.header_seconds, limits.body_seconds, limits.body_idle_seconds,
                limits.keep_alive_seconds, limits.write_seconds});
  return std::chrono::duration<double>(std::clamp(shortest / 4, 0.01, 1.0));
}

[[noreturn]] void FailToListen(const HttpServerOptions& options, const std::string& reason) {
  Fail(ErrorCode::kIo, "cannot listen on {}:{}: {}; give another host or port", options.host,
       options.port, reason);
}

// The address of the host: if it has several, the first of IPv4, else the first.
tcp::endpoint Resolve(const HttpServerOptions& options) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (error != 0) FailToListen(options, gai_strerror(error));
  const addrinfo* chosen = found;
  while (chosen != nullptr && chosen->ai_family != AF_INET) chosen = chosen->ai_next;
  if (chosen == nullptr) chosen = found;
  tcp::endpoint endpoint;
  endpoint.resize(chosen->ai_addrlen);
  std::memcpy(endpoint.data(), chosen->ai_addr, chosen->ai_addrlen);
  freeaddrinfo(found);
  return endpoint;
}

void Listen(const HttpServerOptions& options, tcp::acceptor* acceptor) {
  constexpr int kLastPort = 65535;
  if (options.port < 0 || options.port > kLastPort) FailToListen(options, "no such port");
  const tcp::endpoint endpoint = Resolve(options);
  error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) fcntl(acceptor->native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(tcp::acceptor::max_listen_connections, error);
  if (error) FailToListen(options, error.message());
}

}  // namespace

class HttpSession;

// The event loop, and what its handlers share. All but the atomics belongs to the loop's thread.
struct HttpLoop {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  tcp::acceptor acceptor{io};
  asio::steady_timer tick{io}, accept_pause{io};
  ConnectionContext context;
  std::optional<TlsContext> tls;
  int64_t max_connections = 0;
  std::chrono::duration<double> tick_period{1};
  std::unordered_set<std::shared_ptr<HttpSession>> sessions;
  bool ticking = false;
  bool stopping = false;
  std::array<char, kReadBytes> scratch{};
  std::string plain;  // scratch for what TLS has decrypted

  std::atomic<int64_t> connections{0}, refused{0}, failed_accepts{0};
  std::mutex mutex;  // of busy
  std::condition_variable idle;
  int64_t busy = 0;  // sessions with a request or an answer that is not sent

  void Accept();
  void Accepted(const error_code& error, tcp::socket socket);
  void Tick();
  void StopAccepting();
  std::vector<std::shared_ptr<HttpSession>> Sessions() const;
  void ChangeBusy(int64_t by) {
    const std::lock_guard lock(mutex);
    busy += by;
    if (busy == 0) idle.notify_all();
  }
};

// A connection with its socket. It lives as long as an operation of the socket is pending.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(HttpLoop* loop, tcp::socket socket);
  ~HttpSession() { --loop_->connections; }
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  void Start();
  // The calls of the connection, and what follows from them.
  void Update();
  void CheckTime();
  void Drain();
  void Close();

 private:
  void Readable();
  void Received(size_t size);
  void Pump();
  bool Write();
  bool WritePlain();
  bool WriteTls();
  bool Count(const error_code& error);
  void EndSending();
  void Rearm();
  void CloseSocket();

  HttpLoop* loop_;
  tcp::socket socket_;
  std::optional<Connection> connection_;
  std::unique_ptr<TlsChannel> tls_;
  std::string cipher_;       // what TLS made of the first cipher_plain_ bytes of the output
  size_t cipher_sent_ = 0;   // bytes of cipher_
  size_t cipher_plain_ = 0;  // 0: handshake
  bool reading_ = false;     // a wait for input is pending
  bool writing_ = false;     // a wait for room in the socket's buffer is pending
  bool sending_ended_ = false;
  bool counted_busy_ = false;
};

HttpSession::HttpSession(HttpLoop* loop, tcp::socket socket)
    : loop_(loop), socket_(std::move(socket)) {
  ++loop_->connections;
  error_code ignored;
  socket_.non_blocking(true, ignored);
  SetOptions(socket_.native_handle());
  if (loop_->tls) tls_ = std::make_unique<TlsChannel>(*loop_->tls);
}

void HttpSession::Start() {
  error_code ignored;
  const std::string peer = socket_.remote_endpoint(ignored).address().to_string();
  // Called with a lock of the answer, from any thread, and never after the loop has ended.
  auto wake = [weak = weak_from_this(), io = &loop_->io] {
    asio::post(*io, [weak] {
      if (const std::shared_ptr<HttpSession> session = weak.lock()) session->Update();
    });
  };
  connection_.emplace(loop_->context, peer, std::move(wake), Now());
  Pump();
}

void HttpSession::Update() {
  connection_->Update(Now());
  Pump();
}

void HttpSession::CheckTime() {
  connection_->CheckTime(Now());
  Pump();
}

void HttpSession::Drain() {
  connection_->Drain(Now());
  Pump();
}

void HttpSession::Close() {
  connection_->Close();
  Pump();
}

void HttpSession::Readable() {
  error_code error;
  const size_t size = socket_.read_some(asio::buffer(loop_->scratch), error);
  if (!error) {
    Received(size);
  } else if (error == asio::error::eof) {
    connection_->ReceiveEnd(Now());
  } else if (error != asio::error::would_block && error != asio::error::interrupted) {
    connection_->Close();
  }
  Pump();
}

void HttpSession::Received(size_t size) try {
  const std::string_view bytes(loop_->scratch.data(), size);
  if (!tls_) return connection_->Receive(bytes, Now());
  loop_->plain.clear();
  const TlsChannel::State state = tls_->Receive(bytes, &loop_->plain);
  if (!loop_->plain.empty()) connection_->Receive(loop_->plain, Now());
  if (state == TlsChannel::State::kEnded) connection_->ReceiveEnd(Now());
  if (state == TlsChannel::State::kFailed) connection_->Close();
} catch (const std::bad_alloc&) {
  connection_->Close();
}

// Sends what can be sent, and waits for what must be waited for.
void HttpSession::Pump() {
  if (!socket_.is_open()) return;
  for (int i = 0; i < kWritesInARow && !writing_ && Write(); ++i) {
  }
  if (connection_->phase() == Connection::Phase::kLingering) EndSending();
  if (connection_->phase() == Connection::Phase::kClosed) {
    CloseSocket();
  } else {
    Rearm();
  }
  const bool busy = connection_->busy();
  if (busy != std::exchange(counted_busy_, busy)) loop_->ChangeBusy(busy ? 1 : -1);
}

// One system call; false if nothing is to be sent or can be sent now.
bool HttpSession::Write() {
  if (connection_->phase() == Connection::Phase::kClosed) return false;
  return tls_ ? WriteTls() : WritePlain();
}

bool HttpSession::WritePlain() {
  if (connection_->output().empty()) return false;
  const auto front = connection_->output().Front<kPieces>();
  std::array<asio::const_buffer, kPieces> buffers;
  std::transform(front.begin(), front.end(), buffers.begin(), [](std::string_view piece) {
    return asio::const_buffer(piece.data(), piece.size());
  });
  error_code error;
  const size_t sent = socket_.write_some(buffers, error);
  if (!error) connection_->Sent(sent, Now());
  return Count(error);
}

bool HttpSession::WriteTls() {
  if (cipher_.empty()) {
    const std::string_view plain =
        connection_->output().Front<1>()[0].substr(0, TlsChannel::kMaxPlain);
    if (!tls_->Send(plain)) {
      connection_->Close();
      return false;
    }
    cipher_plain_ = plain.size();
    cipher_ = tls_->TakeOutput();
    cipher_sent_ = 0;
    if (cipher_.empty()) return false;
  }
  error_code error;
  const std::string_view rest = std::string_view(cipher_).substr(cipher_sent_);
  cipher_sent_ += socket_.write_some(asio::buffer(rest.data(), rest.size()), error);
  if (!error && cipher_sent_ == cipher_.size()) {
    cipher_ = {};
    if (cipher_plain_ > 0) connection_->Sent(std::exchange(cipher_plain_, 0), Now());
  }
  return Count(error);
}

// After a write: whether to go on.
bool HttpSession::Count(const error_code& error) {
  if (!error) return true;
  writing_ = error == asio::error::would_block || error == asio::error::try_again;
  if (!writing_) {
    connection_->Close();
    return false;
  }
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code&) {
    self->writing_ = false;
    self->Pump();
  });
  return false;
}

// The client learns that nothing follows; it may still be sending, which is read and discarded.
void HttpSession::EndSending() {
  if (sending_ended_ || !connection_->output().empty() || !cipher_.empty()) return;
  sending_ended_ = true;
  if (tls_) {
    tls_->SendEnd();
    Write();  // if it does not fit, the client does without
  }
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void HttpSession::Rearm() {
  if (!reading_ && connection_->wants_input()) {
    reading_ = true;
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code&) {
      self->reading_ = false;
      if (self->socket_.is_open()) self->Readable();
    });
  }
  const bool more = !connection_->output().empty() || !cipher_.empty();
  if (!writing_ && more) {
    writing_ = true;
    asio::post(loop_->io, [self = shared_from_this()] {
      self->writing_ = false;
      self->Pump();
    });
  }
}

void HttpSession::CloseSocket() {
  error_code ignored;
  socket_.close(ignored);
  loop_->sessions.erase(shared_from_this());
}

void HttpLoop::Accept() {
  acceptor.async_accept(
      [this](const error_code& error, tcp::socket socket) { Accepted(error, std::move(socket)); });
}

void HttpLoop::Accepted(const error_code& error, tcp::socket socket) {
  if (!acceptor.is_open()) return;
  if (error && error != asio::error::connection_aborted) {
    // Most likely no file descriptor is left. The connection waits in the system's queue.
    ++failed_accepts;
    accept_pause.expires_after(kAcceptPause);
    return accept_pause.async_wait([this](const error_code&) {
      if (acceptor.is_open()) Accept();
    });
  }
  if (!error && connections >= max_connections) {
    ++refused;
    error_code ignored;
    socket.close(ignored);
  } else if (!error) {
    const auto session = std::make_shared<HttpSession>(this, std::move(socket));
    sessions.insert(session);
    session->Start();
    if (!std::exchange(ticking, true)) Tick();
  }
  Accept();
}

void HttpLoop::Tick() {
  tick.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(tick_period));
  tick.async_wait([this](const error_code&) {
    for (const std::shared_ptr<HttpSession>& session : Sessions()) session->CheckTime();
    ticking = !sessions.empty() && !stopping;
    if (ticking) Tick();
  });
}

std::vector<std::shared_ptr<HttpSession>> HttpLoop::Sessions() const {
  return {sessions.begin(), sessions.end()};
}

void HttpLoop::StopAccepting() {
  error_code ignored;
  acceptor.close(ignored);
  accept_pause.cancel();
}

struct HttpServer::Impl {
  HttpLoop loop;
  int port = 0;
  std::thread thread;
};

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler handler)
    : impl_(std::make_unique<Impl>()) {
  HttpLoop& loop = impl_->loop;
  if (options.tls_cert_file.empty() != options.tls_key_file.empty()) {
    Fail(ErrorCode::kInvalidArgument, "TLS: give both a certificate file and a key file");
  }
  if (!options.tls_cert_file.empty()) loop.tls.emplace(options.tls_cert_file, options.tls_key_file);
  loop.context.limits = options.limits;
  loop.context.handler = std::move(handler);
  loop.tick_period = TickPeriod(options.limits);
  loop.max_connections = RaiseFileLimit(options.limits.connections);
  Listen(options, &loop.acceptor);
  impl_->port = loop.acceptor.local_endpoint().port();
}

HttpServer::~HttpServer() {
  if (!impl_->thread.joinable()) return;
  CHECK(impl_->thread.get_id() != std::this_thread::get_id());
  HttpLoop& loop = impl_->loop;
  // When all is closed no handler is left, and the loop ends.
  asio::post(loop.io, [&loop] {
    loop.stopping = true;
    loop.StopAccepting();
    for (const std::shared_ptr<HttpSession>& session : loop.Sessions()) session->Close();
    loop.tick.cancel();
    loop.work.reset();
  });
  impl_->thread.join();
}

void HttpServer::Start() {
  CHECK(!impl_->thread.joinable());
  HttpLoop& loop = impl_->loop;
  loop.Accept();
  impl_->thread = std::thread([&loop] { loop.io.run(); });
}

int HttpServer::port() const { return impl_->port; }

bool HttpServer::Drain(double seconds) {
  CHECK(impl_->thread.joinable());
  HttpLoop& loop = impl_->loop;
  bool begun = false;
  asio::post(loop.io, [&] {
    loop.StopAccepting();
    for (const std::shared_ptr<HttpSession>& session : loop.Sessions()) session->Drain();
    const std::lock_guard lock(loop.mutex);
    begun = true;
    loop.idle.notify_all();
  });
  std::unique_lock lock(loop.mutex);
  loop.idle.wait(lock, [&] { return begun; });
  return loop.idle.wait_for(lock, std::chrono::duration<double>(seconds),
                            [&] { return loop.busy == 0; });
}

int64_t HttpServer::connections() const { return impl_->loop.connections; }
int64_t HttpServer::refused_connections() const { return impl_->loop.refused; }
int64_t HttpServer::failed_accepts() const { return impl_->loop.failed_accepts; }
int64_t HttpServer::max_connections() const { return impl_->loop.max_connections; }

}  // namespace lorikeet
