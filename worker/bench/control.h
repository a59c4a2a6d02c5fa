// Lines of JSON between the benchmark and the processes that it starts.

#ifndef TESSERA_WORKER_BENCH_CONTROL_H_
#define TESSERA_WORKER_BENCH_CONTROL_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/bench/raw_tcp/socket.h"

namespace tessera::bench {

// One end. Not thread-safe.
class ControlLink {
 public:
  explicit ControlLink(Socket socket) : socket_(std::move(socket)) {}

  // The child's end. Codes: what errno maps to.
  static absl::StatusOr<ControlLink> Connect(const std::string& path);

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

// Where children come to, a socket in a private folder.
class ControlListener {
 public:
  // Codes: what errno maps to.
  static absl::StatusOr<ControlListener> Create(std::string path);

  const std::string& path() const { return path_; }

  // Codes: DEADLINE_EXCEEDED when nobody comes; what errno maps to.
  absl::StatusOr<ControlLink> Accept(absl::Duration timeout);

 private:
  ControlListener(std::string path, Socket socket)
      : path_(std::move(path)), socket_(std::move(socket)) {}

  std::string path_;
  Socket socket_;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CONTROL_H_
