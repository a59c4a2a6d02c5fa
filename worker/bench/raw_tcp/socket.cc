#include "worker/bench/raw_tcp/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera::bench {
namespace {

// Paces packets by loss alone, where others measure the path's delay, which on
// one machine is the scheduler's: there it is up to twice as fast.
constexpr char kCongestionControl[] = "cubic";
// On one machine, where nothing is ever on its way for long: what fits a
// processor's cache. Left to the kernel they grow beyond it.
constexpr int kBufferBytes = 256 << 10;

absl::StatusOr<sockaddr_in> Parse(const std::string& address) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(address, absl::MaxSplits(':', 1));
  int port = 0;
  if (!absl::SimpleAtoi(parts.second, &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is not host:port"));
  }
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(parts.first.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\": ", gai_strerror(error)));
  }
  sockaddr_in result{};
  result = *reinterpret_cast<const sockaddr_in*>(found->ai_addr);
  result.sin_port = htons(static_cast<uint16_t>(port));
  freeaddrinfo(found);
  return result;
}

bool IsLoopback(const sockaddr_in& address) {
  return (ntohl(address.sin_addr.s_addr) >> 24) == 127;
}

// Before the connection is made, or on the listener that it comes from: bbr,
// once it was a connection's, leaves the pacing of packets switched on. Where
// something is not allowed, the system's choice stays.
void SetUpEarly(int fd, const sockaddr_in& address) {
  if (!IsLoopback(address)) return;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kCongestionControl,
                   sizeof(kCongestionControl) - 1);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kBufferBytes,
                   sizeof(kBufferBytes));
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kBufferBytes,
                   sizeof(kBufferBytes));
}

absl::Status SetUp(int fd) {
  const int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
      fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus("cannot set up a socket");
  }
  return absl::OkStatus();
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<Socket> Listen(const std::string& address) {
  TESSERA_ASSIGN_OR_RETURN(const sockaddr_in parsed, Parse(address));
  Socket listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SetUpEarly(listener.fd(), parsed);
  if (listener.fd() < 0 ||
      bind(listener.fd(), reinterpret_cast<const sockaddr*>(&parsed),
           sizeof(parsed)) != 0 ||
      listen(listener.fd(), SOMAXCONN) != 0) {
    return ErrnoStatus(absl::StrCat("cannot listen on ", address));
  }
  return listener;
}

absl::StatusOr<std::string> AddressOf(const Socket& listener) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  if (getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&address),
                  &size) != 0) {
    return ErrnoStatus("cannot tell a socket's address");
  }
  char text[INET_ADDRSTRLEN] = "";
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(address.sin_port));
}

absl::StatusOr<Socket> Accept(const Socket& listener) {
  Socket accepted(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (accepted.fd() < 0) return ErrnoStatus("cannot accept a connection");
  TESSERA_RETURN_IF_ERROR(SetUp(accepted.fd()));
  return accepted;
}

absl::StatusOr<Socket> Connect(const std::string& address) {
  TESSERA_ASSIGN_OR_RETURN(const sockaddr_in parsed, Parse(address));
  Socket connected(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SetUpEarly(connected.fd(), parsed);
  if (connected.fd() < 0 ||
      connect(connected.fd(), reinterpret_cast<const sockaddr*>(&parsed),
              sizeof(parsed)) != 0) {
    return ErrnoStatus(absl::StrCat("cannot connect to ", address));
  }
  TESSERA_RETURN_IF_ERROR(SetUp(connected.fd()));
  return connected;
}

}  // namespace tessera::bench
