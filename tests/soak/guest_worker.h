// A worker that reaches a run's servers through proxies, beside the workers of
// the run's launcher.

#ifndef TESSERA_TESTS_SOAK_GUEST_WORKER_H_
#define TESSERA_TESTS_SOAK_GUEST_WORKER_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/proxy.h"

namespace tessera {

// Not thread-safe. The worker is killed when it goes.
class GuestWorker {
 public:
  // `servers` in shard order.
  explicit GuestWorker(const std::vector<std::string>& servers);

  // Starts it, in place of one that runs.
  void Start();

  bool IsRunning() const {
    return worker_ != nullptr && IsAlive(worker_->pid());
  }
  pid_t pid() const { return worker_->pid(); }
  std::string Log() const {
    return worker_ == nullptr ? "" : worker_->Output();
  }

  // Ends all its connections, each proxy's in a way of its own.
  void CutConnections(std::mt19937_64& random);

  // Payloads and all else that came from the servers.
  int64_t bytes_received() const;

 private:
  std::vector<std::unique_ptr<Proxy>> proxies_;
  std::unique_ptr<Command> worker_;
  int starts_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_GUEST_WORKER_H_
