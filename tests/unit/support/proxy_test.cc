#include "tests/support/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tessera {
namespace {

// A socket whose reads end, with an error, rather than hang.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    REQUIRE(fd_ >= 0);
    const timeval hangs = {.tv_sec = 60, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &hangs, sizeof(hangs));
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }

  void Send(const std::string& bytes) const {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count =
          send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count < 0) return;
      sent += static_cast<size_t>(count);
    }
  }

  void EndSending() const { shutdown(fd_, SHUT_WR); }

  // Exactly so many bytes, or fewer when the flow ends before.
  std::string Receive(size_t count) {
    std::string bytes(count, '\0');
    size_t got = 0;
    while (got < count) {
      const ssize_t more = recv(fd_, bytes.data() + got, count - got, 0);
      if (more <= 0) {
        error_ = more < 0 ? errno : 0;
        break;
      }
      got += static_cast<size_t>(more);
    }
    bytes.resize(got);
    return bytes;
  }

  // Everything until the flow ends.
  std::string ReceiveAll() {
    std::string all;
    while (true) {
      const std::string more = Receive(1 << 16);
      all += more;
      if (more.size() < 1 << 16) return all;
    }
  }

  // After a Receive that fell short: why, 0 for an orderly end.
  int error() const { return error_; }

 private:
  int fd_;
  int error_ = 0;
};

sockaddr_in Loopback(const std::string& address) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int port = 0;
  REQUIRE(absl::SimpleAtoi(address.substr(address.find(':') + 1), &port));
  result.sin_port = htons(static_cast<uint16_t>(port));
  return result;
}

class Listener {
 public:
  Listener() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in any = Loopback("127.0.0.1:0");
    auto* generic = reinterpret_cast<sockaddr*>(&any);
    REQUIRE(bind(socket_.fd(), generic, sizeof(any)) == 0);
    REQUIRE(listen(socket_.fd(), 16) == 0);
    socklen_t length = sizeof(any);
    REQUIRE(getsockname(socket_.fd(), generic, &length) == 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(any.sin_port));
  }
  const std::string& address() const { return address_; }
  Socket Accept() const {
    return Socket(accept(socket_.fd(), nullptr, nullptr));
  }

 private:
  Socket socket_;
  std::string address_;
};

Socket ConnectTo(const std::string& address) {
  Socket connected(socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in to = Loopback(address);
  REQUIRE(connect(connected.fd(), reinterpret_cast<const sockaddr*>(&to),
                  sizeof(to)) == 0);
  return connected;
}

// A proxy with one connection through it.
struct Pair {
  Listener listener;
  Proxy proxy{listener.address()};
  Socket client = ConnectTo(proxy.address());
  Socket server = listener.Accept();
};

std::string RandomBytes(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Whether a reset, in one of the ways in which it shows.
bool IsReset(int error) { return error == ECONNRESET || error == EPIPE; }

TEST_CASE("bytes and ends pass in both directions") {
  Pair pair;
  pair.client.Send("to the server");
  REQUIRE(pair.server.Receive(13) == "to the server");
  pair.server.Send("to the client");
  REQUIRE(pair.client.Receive(13) == "to the client");
  pair.client.EndSending();
  REQUIRE(pair.server.ReceiveAll().empty());
  REQUIRE(pair.server.error() == 0);
  // Half of it goes on.
  pair.server.Send("more");
  REQUIRE(pair.client.Receive(4) == "more");
  pair.server.EndSending();
  REQUIRE(pair.client.ReceiveAll().empty());
  REQUIRE(pair.proxy.Await([](const ProxyCounts& c) { return c.open == 0; }));
  const ProxyCounts counts = pair.proxy.counts();
  REQUIRE(counts.connections == 1);
  REQUIRE(counts.cuts == 0);
  REQUIRE(counts.bytes_to_server == 13);
  REQUIRE(counts.bytes_to_client == 17);
}

TEST_CASE("a delay holds back what comes, in order") {
  Pair pair;
  const absl::Duration delay = absl::Milliseconds(50);
  pair.proxy.SetLimits(Flow::kToServer, {.delay = delay});
  const absl::Time start = absl::Now();
  pair.client.Send("a");
  pair.client.Send("b");
  pair.client.EndSending();
  REQUIRE(pair.server.ReceiveAll() == "ab");
  REQUIRE(absl::Now() - start >= delay);
}

TEST_CASE("a bandwidth is not exceeded") {
  Pair pair;
  pair.proxy.SetLimits(Flow::kToClient, {.bytes_per_second = 500000});
  const std::string bytes = RandomBytes(50000, 1);
  const absl::Time start = absl::Now();
  pair.server.Send(bytes);
  REQUIRE(pair.client.Receive(bytes.size()) == bytes);
  // The last write need not be waited for.
  REQUIRE(absl::Now() - start >= absl::Milliseconds(85));
}

TEST_CASE("a connection is closed right after the byte that was named") {
  const auto bytes = GENERATE(int64_t{1}, 1000, 65537, 300000);
  CAPTURE(bytes);
  Pair pair;
  pair.proxy.CutAfter(Flow::kToServer, bytes, Cut::kClose);
  const std::string sent = RandomBytes(400000, 2);
  pair.client.Send(sent);
  REQUIRE(pair.server.ReceiveAll() ==
          sent.substr(0, static_cast<size_t>(bytes)));
  REQUIRE(pair.server.error() == 0);
  REQUIRE(pair.client.ReceiveAll().empty());
  REQUIRE(pair.client.error() == 0);
  REQUIRE(pair.proxy.counts().cuts == 1);
}

TEST_CASE("cuts wait for each other, and count bytes of all connections") {
  Pair pair;
  Socket other = ConnectTo(pair.proxy.address());
  Socket other_server = pair.listener.Accept();
  pair.proxy.CutAfter(Flow::kToClient, 4, Cut::kClose);
  pair.proxy.CutAfter(Flow::kToClient, 3, Cut::kClose);
  pair.server.Send("abc");
  REQUIRE(pair.client.Receive(3) == "abc");
  other_server.Send("defg");
  REQUIRE(other.ReceiveAll() == "d");
  pair.server.Send("hijk");
  REQUIRE(pair.client.ReceiveAll() == "hij");
  REQUIRE(pair.proxy.ForgetCuts() == 0);
}

TEST_CASE("cuts that were forgotten are not made") {
  Pair pair;
  pair.proxy.CutAfter(Flow::kToServer, 3, Cut::kReset);
  pair.proxy.CutAfter(Flow::kToClient, 3, Cut::kReset);
  REQUIRE(pair.proxy.ForgetCuts() == 2);
  pair.client.Send("abcdef");
  REQUIRE(pair.server.Receive(6) == "abcdef");
}

TEST_CASE("a reset reaches both sides") {
  Pair pair;
  pair.proxy.CutAfter(Flow::kToServer, 5, Cut::kReset);
  pair.client.Send("12345");
  pair.client.ReceiveAll();
  REQUIRE(IsReset(pair.client.error()));
  pair.server.ReceiveAll();
  REQUIRE(IsReset(pair.server.error()));
}

TEST_CASE("a half-closed connection goes on in the other direction") {
  Pair pair;
  pair.proxy.CutAfter(Flow::kToServer, 5, Cut::kHalfClose);
  pair.client.Send("1234567");
  REQUIRE(pair.server.ReceiveAll() == "12345");
  REQUIRE(pair.server.error() == 0);
  pair.server.Send("still there");
  REQUIRE(pair.client.Receive(11) == "still there");
  // Swallowed: neither an error nor a byte at the other end.
  pair.client.Send(std::string(1 << 20, 'x'));
  pair.client.EndSending();
  pair.server.EndSending();
  REQUIRE(pair.client.ReceiveAll().empty());
  REQUIRE(pair.client.error() == 0);
}

// Sends until the other side takes no more, or `limit` is there.
size_t SendUntilFull(const Socket& socket, size_t limit) {
  const std::string bytes(1 << 16, 'x');
  size_t sent = 0;
  while (sent < limit) {
    const ssize_t count = send(socket.fd(), bytes.data(), bytes.size(),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<size_t>(count);
      continue;
    }
    REQUIRE(errno == EAGAIN);
    pollfd writable = {.fd = socket.fd(), .events = POLLOUT, .revents = 0};
    // The proxy may only be slow.
    if (poll(&writable, 1, 300) == 0) break;
  }
  return sent;
}

TEST_CASE("a stall pushes back on the sender, and loses nothing") {
  Pair pair;
  pair.proxy.Stall(Flow::kToServer);
  const size_t sent = SendUntilFull(pair.client, 256 << 20);
  REQUIRE(sent < 256 << 20);
  REQUIRE(pair.proxy.counts().bytes_to_server == 0);
  pair.server.Send("not stalled");
  REQUIRE(pair.client.Receive(11) == "not stalled");
  pair.proxy.Heal(Flow::kToServer);
  pair.client.EndSending();
  REQUIRE(pair.server.ReceiveAll().size() == sent);
}

TEST_CASE("a black hole takes everything in one direction, until it ends") {
  Pair pair;
  pair.proxy.BlackHole(Flow::kToServer);
  Socket late = ConnectTo(pair.proxy.address());
  Socket late_server = pair.listener.Accept();
  REQUIRE(SendUntilFull(pair.client, 64 << 20) >= 64 << 20);
  late.Send("lost");
  pair.server.Send("other way");
  REQUIRE(pair.client.Receive(9) == "other way");
  Socket spared = ConnectTo(pair.proxy.address());
  Socket spared_server = pair.listener.Accept();
  REQUIRE(pair.proxy.counts().bytes_to_server == 0);
  pair.proxy.Heal(Flow::kToServer);
  for (Socket* socket : {&pair.client, &late, &pair.server, &late_server}) {
    REQUIRE(socket->ReceiveAll().empty());
    REQUIRE(IsReset(socket->error()));
  }
  // It had nothing to lose.
  spared.Send("hello");
  REQUIRE(spared_server.Receive(5) == "hello");
}

TEST_CASE("all connections are cut at once, and later ones live") {
  Pair pair;
  Socket other = ConnectTo(pair.proxy.address());
  Socket other_server = pair.listener.Accept();
  REQUIRE(pair.proxy.Await([](const ProxyCounts& c) { return c.open == 2; }));
  pair.proxy.CutAll(Cut::kReset);
  REQUIRE(pair.proxy.counts().cuts == 2);
  for (Socket* socket : {&pair.client, &other, &pair.server, &other_server}) {
    socket->ReceiveAll();
    REQUIRE(IsReset(socket->error()));
  }
  Socket late = ConnectTo(pair.proxy.address());
  Socket late_server = pair.listener.Accept();
  late.Send("hello");
  REQUIRE(late_server.Receive(5) == "hello");
}

TEST_CASE("where nobody listens, connections are reset") {
  std::string address;
  { address = Listener().address(); }
  Proxy proxy(address);
  Socket client = ConnectTo(proxy.address());
  client.Send("hello?");
  client.ReceiveAll();
  REQUIRE(IsReset(client.error()));
  REQUIRE(proxy.Await([](const ProxyCounts& c) { return c.open == 0; }));
}

TEST_CASE("a proxy that goes resets what is open") {
  Listener listener;
  auto proxy = std::make_unique<Proxy>(listener.address());
  Socket client = ConnectTo(proxy->address());
  Socket server = listener.Accept();
  proxy.reset();
  client.ReceiveAll();
  REQUIRE(IsReset(client.error()));
  server.ReceiveAll();
  REQUIRE(IsReset(server.error()));
}

TEST_CASE("whatever is done to the flows, what arrives is what was sent") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Pair pair;
  const std::string up = RandomBytes(2 << 20, seed);
  const std::string down = RandomBytes(2 << 20, seed + 1);
  std::thread client_sends([&] { pair.client.Send(up); });
  std::thread server_sends([&] { pair.server.Send(down); });
  std::string received_up, received_down;
  while (received_up.size() < up.size() || received_down.size() < down.size()) {
    const Flow flow = random() % 2 == 0 ? Flow::kToServer : Flow::kToClient;
    if (random() % 3 == 0) pair.proxy.Stall(flow);
    pair.proxy.SetLimits(
        flow, {.delay = absl::Microseconds(random() % 1000),
               .bytes_per_second = random() % 2 == 0 ? 0 : 50000000});
    pair.proxy.Heal(flow);
    const size_t piece = 1 + random() % (256 << 10);
    received_up +=
        pair.server.Receive(std::min(piece, up.size() - received_up.size()));
    received_down += pair.client.Receive(
        std::min(piece, down.size() - received_down.size()));
  }
  client_sends.join();
  server_sends.join();
  REQUIRE(received_up == up);
  REQUIRE(received_down == down);
}

}  // namespace
}  // namespace tessera
