// TCP sockets, set up for speed.

#ifndef TESSERA_WORKER_BENCH_RAW_TCP_SOCKET_H_
#define TESSERA_WORKER_BENCH_RAW_TCP_SOCKET_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tessera::bench {

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket();

  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// A listener on "host:port", IPv4 or a name; port 0 takes any that is free.
// Codes: INVALID_ARGUMENT for an address that is none; what errno maps to.
absl::StatusOr<Socket> Listen(const std::string& address);

// Where it listens: "127.0.0.1:40123".
absl::StatusOr<std::string> AddressOf(const Socket& listener);

// Both give non-blocking sockets with TCP_NODELAY. Codes: as Listen.
absl::StatusOr<Socket> Accept(const Socket& listener);
absl::StatusOr<Socket> Connect(const std::string& address);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_RAW_TCP_SOCKET_H_
