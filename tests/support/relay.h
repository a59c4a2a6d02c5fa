// A TCP relay that a test can cut.

#ifndef TESSERA_TESTS_SUPPORT_RELAY_H_
#define TESSERA_TESTS_SUPPORT_RELAY_H_

#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"

namespace tessera {

// Passes bytes between those who connect to it and a server on this machine.
// Thread-safe.
class Relay {
 public:
  // `server` is "127.0.0.1:port".
  explicit Relay(const std::string& server);
  ~Relay();

  // "127.0.0.1:port" of the relay.
  const std::string& address() const { return address_; }

  // Resets all connections; later ones work.
  void Cut();

 private:
  void Accept();
  void Connect(int client);
  void Pass(int from, int to);

  const int server_port_;
  int listener_ = -1;
  std::string address_;
  Mutex mutex_;
  std::vector<int> sockets_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> passers_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_RELAY_H_
