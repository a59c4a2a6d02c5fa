// A server's accept loop, in front of gRPC.
//
// The loop of gRPC 1.51 stops for good once accept fails for lack of file
// descriptors, even after some are free again (CVE-2023-4785). This one goes on
// serving: above a limit it closes new connections at once, and it keeps a
// descriptor in reserve to do so. It also owns the sockets before gRPC does,
// and so can set options on them that gRPC has no words for.

#ifndef TESSERA_COMMON_RPC_LISTENER_H_
#define TESSERA_COMMON_RPC_LISTENER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

namespace tessera {

// Bind, Start and the destructor are for one thread.
class Listener {
 public:
  // Listens on "host:port"; port 0 takes any that is free. A name is resolved;
  // the first of its addresses that can be listened on is taken. Connections
  // wait until Start. Codes: INVALID_ARGUMENT for text that is no host:port;
  // UNAVAILABLE, with the system's words, when it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(
      const std::string& address);

  // Closes the listening socket; connections handed on live on.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }

  // Calls accept(fd), on a thread of its own, for each connection: a
  // non-blocking socket that is the callee's from then on.
  void Start(std::function<void(int fd)> accept);

  // Connections closed at once because too many descriptors were in use.
  int64_t refused() const { return refused_; }

  // A connection whose descriptor is numbered so or higher is refused, since
  // descriptors are numbered from the lowest that is free. Set from the
  // process's limit, less what else it may need; a test may lower it before
  // Start.
  void set_descriptor_limit(int limit) { descriptor_limit_ = limit; }

 private:
  Listener(int listening, int port);
  void Loop();
  void AcceptOne();
  void RefuseOne();
  void CountRefused();

  const int listening_;
  const int port_;
  const int wake_;  // An eventfd: readable when the loop is to end.
  int descriptor_limit_;
  int reserve_;  // Given up for a moment to refuse a connection.
  std::function<void(int)> accept_;
  std::atomic<int64_t> refused_ = 0;
  std::thread thread_;
};

// Raises this process's soft limit of open files to the hard one.
void RaiseDescriptorLimit();

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_LISTENER_H_
