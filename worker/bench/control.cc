#include "worker/bench/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera::bench {
namespace {

absl::Status AwaitReadable(int fd, absl::Time deadline) {
  while (true) {
    const absl::Duration left = std::min(
        std::max(deadline - absl::Now(), absl::ZeroDuration()), absl::Hours(1));
    pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = poll(
        &poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoStatus("cannot poll");
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError("nothing was heard in time");
    }
  }
}

}  // namespace

absl::StatusOr<std::pair<ControlLink, Socket>> ControlLink::CreatePair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
    return ErrnoStatus("cannot make a pair of sockets");
  }
  std::pair<ControlLink, Socket> pair(ControlLink{Socket(fds[0])},
                                      Socket(fds[1]));
  if (fcntl(fds[0], F_SETFD, FD_CLOEXEC) != 0) {
    return ErrnoStatus("cannot set up a socket");
  }
  return pair;
}

absl::Status ControlLink::Send(const nlohmann::json& message) {
  const std::string line = message.dump() + "\n";
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = send(socket_.fd(), line.data() + sent, line.size() - sent,
                           MSG_NOSIGNAL);
    if (n < 0) return ErrnoStatus("cannot send a control message");
    sent += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::Status ControlLink::Fill(absl::Time deadline) {
  TESSERA_RETURN_IF_ERROR(AwaitReadable(socket_.fd(), deadline));
  char buffer[1 << 16];
  const ssize_t n = read(socket_.fd(), buffer, sizeof(buffer));
  if (n < 0) return ErrnoStatus("cannot receive a control message");
  if (n == 0) return absl::UnavailableError("the process is gone");
  received_.append(buffer, static_cast<size_t>(n));
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::json> ControlLink::Receive(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  size_t end = received_.find('\n');
  while (end == std::string::npos) {
    const size_t searched = received_.size();
    TESSERA_RETURN_IF_ERROR(Fill(deadline));
    end = received_.find('\n', searched);
  }
  auto message =
      nlohmann::json::parse(received_.substr(0, end), nullptr, false);
  received_.erase(0, end + 1);
  if (message.is_discarded() || !message.is_object()) {
    return absl::InternalError("a control message is no JSON object");
  }
  return message;
}

}  // namespace tessera::bench
