#include "common/rpc/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/rpc/transport.h"

namespace tessera {
namespace {

// Descriptors for everything that is not a connection: files, queues, logs.
constexpr int kOtherDescriptors = 64;
// How long to leave a connection alone that the system cannot take now.
constexpr int kPauseMs = 100;

struct HostAndPort {
  std::string host;  // Empty: all of the machine's addresses.
  std::string port;
};

absl::StatusOr<HostAndPort> Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string port =
      colon == std::string::npos ? "" : address.substr(colon + 1);
  uint32_t number;
  // The resolver would take larger numbers, modulo 65536.
  if (!absl::SimpleAtoi(port, &number) || number > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", address, "\" is no address to listen on: give HOST:PORT"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return HostAndPort{host, port};
}

void SetOption(int fd, int level, int name, int value) {
  // Options make things better where they can be set; nothing depends on them.
  (void)setsockopt(fd, level, name, &value, sizeof(value));
}

int PortOf(int fd) {
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  TESSERA_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) ==
                0);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) ||
         (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

// bbr paces what it sends by the bandwidth it has measured, which halves the
// speed of a loopback interface. Off the machine the choice is not ours.
void AvoidBbr(int fd) {
  char name[16] = "";
  socklen_t size = sizeof(name);
  if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) != 0 ||
      strncmp(name, "bbr", 3) != 0) {
    return;
  }
  for (const char* other : {"cubic", "reno"}) {
    // Cubic may be kept for privileged processes; reno is always allowed.
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, other,
                   static_cast<socklen_t>(strlen(other))) == 0) {
      return;
    }
  }
}

// A socket that listens on one resolved address, or -1 with errno.
int ListenOn(const addrinfo& info) {
  const int fd =
      socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // A restarted server gets its port back at once; without SO_REUSEPORT no
  // second server can share it.
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (info.ai_family == AF_INET6) SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // Connections inherit it. One that began with bbr would go on pacing its
  // packets under any other, which costs a quarter of the speed.
  sockaddr_storage address{};
  std::memcpy(&address, info.ai_addr, info.ai_addrlen);
  if (IsLoopback(address)) AvoidBbr(fd);
  if (bind(fd, info.ai_addr, info.ai_addrlen) == 0 &&
      listen(fd, SOMAXCONN) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// What gRPC's own listener would do, and more.
void SetUp(int fd, const sockaddr_storage& peer) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
            static_cast<int>(absl::ToInt64Milliseconds(kKeepaliveTimeout)));
  if (IsLoopback(peer)) AvoidBbr(fd);
}

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

int DescriptorLimit() {
  rlimit limit;
  TESSERA_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const auto most = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
  return std::max(most - kOtherDescriptors, most / 2);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(
    const std::string& address) {
  TESSERA_ASSIGN_OR_RETURN(const HostAndPort place, Split(address));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(place.host.empty() ? nullptr : place.host.c_str(),
                  place.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot resolve ", address, ": ", gai_strerror(error)));
  }
  absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    const int fd = ListenOn(*info);
    if (fd >= 0) return absl::WrapUnique(new Listener(fd, PortOf(fd)));
  }
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", address, ": ", std::strerror(errno)));
}

Listener::Listener(int listening, int port)
    : listening_(listening),
      port_(port),
      wake_(eventfd(0, EFD_CLOEXEC)),
      descriptor_limit_(DescriptorLimit()),
      reserve_(OpenReserve()) {
  TESSERA_CHECK(wake_ >= 0);
}

Listener::~Listener() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    TESSERA_CHECK(write(wake_, &one, sizeof(one)) == sizeof(one));
    thread_.join();
  }
  close(listening_);
  close(wake_);
  if (reserve_ >= 0) close(reserve_);
}

void Listener::Start(std::function<void(int)> accept) {
  accept_ = std::move(accept);
  thread_ = std::thread([this] { Loop(); });
}

void Listener::Loop() {
  while (true) {
    pollfd fds[] = {{wake_, POLLIN, 0}, {listening_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;  // A signal came.
    if (fds[0].revents != 0) return;
    AcceptOne();
  }
}

void Listener::AcceptOne() {
  sockaddr_storage peer;
  socklen_t size = sizeof(peer);
  const int fd = accept4(listening_, reinterpret_cast<sockaddr*>(&peer), &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE) return RefuseOne();
    const bool short_of_memory = errno == ENOMEM || errno == ENOBUFS;
    pollfd wake{wake_, POLLIN, 0};
    if (short_of_memory) (void)poll(&wake, 1, kPauseMs);
    return;  // Or the peer has gone again.
  }
  if (fd >= descriptor_limit_) {
    // In this order: whoever sees it closed finds it counted.
    CountRefused();
    close(fd);
    return;
  }
  SetUp(fd, peer);
  accept_(fd);
}

void Listener::RefuseOne() {
  if (reserve_ >= 0) close(reserve_);
  const int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    CountRefused();
    close(fd);
  } else {
    // Somebody was quicker to take the descriptor; do not spin.
    pollfd wake{wake_, POLLIN, 0};
    (void)poll(&wake, 1, kPauseMs);
  }
  reserve_ = OpenReserve();
}

void Listener::CountRefused() {
  const int64_t count = ++refused_;
  if ((count & (count - 1)) != 0) return;  // Said at 1, 2, 4, 8, ...
  spdlog::warn(
      "{} connections refused so far: the process's limit of open files "
      "(ulimit -n) leaves room for about {}",
      count, descriptor_limit_);
}

void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  // Refused only by a system that lies about its limit; then all stays as is.
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace tessera
