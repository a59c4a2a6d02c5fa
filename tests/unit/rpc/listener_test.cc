#include "common/rpc/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

// Collects what a listener hands on.
class Accepted {
 public:
  ~Accepted() {
    MutexLock lock(&mutex_);
    for (const int fd : fds_) close(fd);
  }
  void Add(int fd) {
    MutexLock lock(&mutex_);
    fds_.push_back(fd);
  }
  int AwaitNth(size_t n) {
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return fds_.size() >= n;
    });
    return fds_[n - 1];
  }
  size_t count() {
    MutexLock lock(&mutex_);
    return fds_.size();
  }

 private:
  Mutex mutex_;
  std::vector<int> fds_ ABSL_GUARDED_BY(mutex_);
};

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) ==
          0);
  return fd;
}

// Whether the other side closes the connection (true) or says hello.
bool IsClosed(int fd) {
  char byte = 0;
  return recv(fd, &byte, 1, 0) <= 0;
}

void Greet(int fd) { REQUIRE(send(fd, "h", 1, 0) == 1); }

std::unique_ptr<Listener> BindAnywhere() {
  return *Listener::Bind("127.0.0.1:0");
}

TEST_CASE("connections are handed on as non-blocking sockets") {
  Accepted accepted;
  const auto listener = BindAnywhere();
  // One that comes before Start waits.
  const int client = ConnectTo(listener->port());
  listener->Start([&](int fd) { accepted.Add(fd); });
  const int fd = accepted.AwaitNth(1);
  CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  int no_delay = 0;
  socklen_t size = sizeof(no_delay);
  REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size) == 0);
  CHECK(no_delay == 1);
  Greet(fd);
  CHECK_FALSE(IsClosed(client));
  close(client);
}

TEST_CASE("loopback connections do not use bbr") {
  Accepted accepted;
  const auto listener = BindAnywhere();
  listener->Start([&](int fd) { accepted.Add(fd); });
  const int client = ConnectTo(listener->port());
  char name[16] = "";
  socklen_t size = sizeof(name);
  REQUIRE(getsockopt(accepted.AwaitNth(1), IPPROTO_TCP, TCP_CONGESTION, name,
                     &size) == 0);
  CHECK(std::string(name) != "bbr");
  close(client);
}

TEST_CASE("above the limit connections are closed, below it served again") {
  Accepted accepted;
  const auto listener = BindAnywhere();
  const int low = dup(0);
  const int first = ConnectTo(listener->port());
  // Room for that connection's other end, which gets the lowest free number.
  const int next = dup(0);
  close(next);
  listener->set_descriptor_limit(next + 1);
  listener->Start([&](int fd) { accepted.Add(fd); });
  REQUIRE(accepted.AwaitNth(1) == next);

  const int refused = ConnectTo(listener->port());
  CHECK(IsClosed(refused));
  CHECK(listener->refused() == 1);
  CHECK(accepted.count() == 1);

  // Two low numbers, for the two ends of the next connection.
  close(low);
  close(first);
  const int again = ConnectTo(listener->port());
  Greet(accepted.AwaitNth(2));
  CHECK_FALSE(IsClosed(again));
  close(refused);
  close(again);
}

TEST_CASE("a process without a free descriptor refuses and goes on") {
  Accepted accepted;
  const auto listener = BindAnywhere();
  listener->set_descriptor_limit(1 << 20);
  listener->Start([&](int fd) { accepted.Add(fd); });

  rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int lowest_free = dup(0);
  close(lowest_free);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest_free);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(listener->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected =
      connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const bool closed = IsClosed(client);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(connected == 0);
  CHECK(closed);
  CHECK(listener->refused() == 1);

  const int again = ConnectTo(listener->port());
  Greet(accepted.AwaitNth(1));
  CHECK_FALSE(IsClosed(again));
  close(client);
  close(again);
}

TEST_CASE("a port in use is refused with the address and the reason") {
  const auto listener = BindAnywhere();
  const auto second =
      Listener::Bind(absl::StrCat("127.0.0.1:", listener->port()));
  CHECK_THAT(second.status(),
             IsError(absl::StatusCode::kUnavailable, "Address already in use"));
}

TEST_CASE("addresses that are none are refused") {
  const std::string address =
      GENERATE("nonsense", "1.2.3.4:", "", "127.0.0.1:http", "127.0.0.1:65536");
  CHECK_THAT(Listener::Bind(address).status(),
             IsError(absl::StatusCode::kInvalidArgument, "HOST:PORT", address));
}

TEST_CASE("addresses of other machines are refused") {
  const std::string address = GENERATE("192.0.2.1:0", "no.such.host.invalid:0");
  CHECK_THAT(Listener::Bind(address).status(),
             IsError(absl::StatusCode::kUnavailable, address));
}

TEST_CASE("every form of the loopback address can be listened on") {
  const auto host = GENERATE(std::string("localhost"), std::string("[::1]"),
                             std::string("127.0.0.1"));
  const auto listener = Listener::Bind(absl::StrCat(host, ":0"));
  // A machine may have no IPv6.
  if (host == "[::1]" && !listener.ok()) return;
  CHECK((*listener)->port() > 0);
}

}  // namespace
}  // namespace tessera
