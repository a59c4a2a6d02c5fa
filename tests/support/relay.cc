#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int PortOf(const std::string& address) {
  int port = 0;
  TESSERA_CHECK(
      absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  return port;
}

}  // namespace

Relay::Relay(const std::string& server)
    : server_port_(PortOf(server)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  TESSERA_CHECK(bind(listener_, name, size) == 0);
  TESSERA_CHECK(listen(listener_, 16) == 0);
  TESSERA_CHECK(getsockname(listener_, name, &size) == 0);
  address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  acceptor_ = std::thread([this] { Accept(); });
}

Relay::~Relay() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  Cut();
  for (std::thread& passer : passers_) passer.join();
  for (const int socket : sockets_) close(socket);
}

void Relay::Cut() {
  MutexLock lock(&mutex_);
  // Closed at the end only, so that no number is used again meanwhile.
  for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
}

void Relay::Accept() {
  while (true) {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    Connect(client);
  }
}

void Relay::Connect(int client) {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(server_port_);
  const bool connected = connect(server, reinterpret_cast<sockaddr*>(&address),
                                 sizeof(address)) == 0;
  MutexLock lock(&mutex_);
  sockets_.push_back(client);
  sockets_.push_back(server);
  if (!connected) {
    shutdown(client, SHUT_RDWR);
    return;
  }
  passers_.emplace_back([this, client, server] { Pass(client, server); });
  passers_.emplace_back([this, client, server] { Pass(server, client); });
}

void Relay::Pass(int from, int to) {
  std::vector<char> bytes(64 << 10);
  while (true) {
    const ssize_t got = recv(from, bytes.data(), bytes.size(), 0);
    ssize_t sent = 0;
    while (sent < got) {
      const ssize_t more = send(to, bytes.data() + sent,
                                static_cast<size_t>(got - sent), MSG_NOSIGNAL);
      if (more < 0) break;
      sent += more;
    }
    if (got <= 0 || sent < got) break;
  }
  shutdown(from, SHUT_RDWR);
  shutdown(to, SHUT_RDWR);
}

}  // namespace tessera
