// Lines of JSON between the benchmark and the processes that it starts.

#ifndef TESSERA_WORKER_BENCH_CONTROL_H_
#define TESSERA_WORKER_BENCH_CONTROL_H_

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/bench/raw_tcp/socket.h"

namespace tessera::bench {

// One end. Not thread-safe.
class ControlLink {
 public:
  // Takes a descriptor that CreatePair gave for the child.
  explicit ControlLink(Socket socket) : socket_(std::move(socket)) {}

  // Both ends. The first is closed when a program is started, the second stays
  // open for the next one: start it, give it the number, and let go. Codes:
  // what errno maps to.
  static absl::StatusOr<std::pair<ControlLink, Socket>> CreatePair();

  // Codes: what errno maps to.
  absl::Status Send(const nlohmann::json& message);

  // Waits for the next message. Codes: UNAVAILABLE when the other side is gone;
  // DEADLINE_EXCEEDED; INTERNAL for what is no JSON.
  absl::StatusOr<nlohmann::json> Receive(
      absl::Duration timeout = absl::InfiniteDuration());

  // For poll: readable when a message, or the end, has come.
  int fd() const { return socket_.fd(); }

 private:
  absl::Status Fill(absl::Time deadline);

  Socket socket_;
  std::string received_;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CONTROL_H_
