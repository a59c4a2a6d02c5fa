#include "common/shm/handshake.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

struct Address {
  sockaddr_un name = {};
  socklen_t bytes = 0;
};

// In the abstract name space, which a leading zero byte stands for.
Address AddressOf(const std::array<uint8_t, 16>& name) {
  const std::string text = absl::StrCat(
      "tessera-",
      absl::BytesToHexString(absl::string_view(
          reinterpret_cast<const char*>(name.data()), name.size())));
  Address address;
  address.name.sun_family = AF_UNIX;
  std::memcpy(address.name.sun_path + 1, text.data(), text.size());
  address.bytes =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return address;
}

absl::StatusOr<UniqueFd> MakeSocket(int flags) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
  if (!fd) return ErrnoStatus("no socket to share memory over");
  return fd;
}

// All descriptors that came with a message, so that none is left open.
std::vector<UniqueFd> TakeDescriptors(msghdr& header) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
       part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

absl::Status CheckReceived(const msghdr& header, size_t got, size_t bytes,
                           size_t descriptors) {
  if (got == 0) return absl::UnavailableError("the other side hung up");
  if (got != bytes || (header.msg_flags & MSG_TRUNC) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a message of ", bytes, " bytes from the other side"));
  }
  if (descriptors > 1) {
    return absl::InvalidArgumentError(
        "expected one descriptor at most from the other side");
  }
  // There was room for two, so one or none means that they found no number.
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    return absl::ResourceExhaustedError(
        "no descriptor is free for the other side's region (ulimit -n)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> ListenForPeers(const std::array<uint8_t, 16>& name) {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd fd, MakeSocket(SOCK_NONBLOCK));
  const Address address = AddressOf(name);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.name),
           address.bytes) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    return ErrnoStatus("cannot listen for processes to share memory with");
  }
  return fd;
}

absl::StatusOr<UniqueFd> ConnectToPeer(const std::array<uint8_t, 16>& name,
                                       absl::Duration timeout) {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd fd, MakeSocket(0));
  const Address address = AddressOf(name);
  const absl::Time deadline = absl::Now() + timeout;
  int result;
  do {
    // It blocks while the listener's queue is full.
    const timeval left = absl::ToTimeval(
        std::max(deadline - absl::Now(), absl::Microseconds(1)));
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left));
    result = connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.name),
                     address.bytes);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return fd;
  if (errno == EAGAIN) {
    return absl::DeadlineExceededError(
        "the server took no connection to share memory over in time");
  }
  return absl::UnavailableError(
      absl::StrCat("nobody offers memory at the socket of this offer: ",
                   std::strerror(errno)));
}

absl::Status CheckSameUser(int socket) {
  ucred peer;
  socklen_t bytes = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return ErrnoStatus("cannot tell who the other side is");
  }
  if (peer.uid != geteuid()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "memory is shared with user ", geteuid(), " only, not ", peer.uid));
  }
  return absl::OkStatus();
}

absl::Status AwaitMessage(int socket, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  pollfd wait = {.fd = socket, .events = POLLIN, .revents = 0};
  int result;
  do {
    const auto left =
        absl::Ceil(std::max(deadline - absl::Now(), absl::ZeroDuration()),
                   absl::Milliseconds(1));
    const timespec time = absl::ToTimespec(left);
    result = ppoll(&wait, 1, &time, nullptr);
  } while (result < 0 && errno == EINTR);
  if (result > 0) return absl::OkStatus();
  return absl::DeadlineExceededError(
      "the server did not answer in time whether it shares memory");
}

absl::Status SendMessage(int socket, const void* message, size_t bytes,
                         int fd) {
  iovec data = {.iov_base = const_cast<void*>(message), .iov_len = bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(part), &fd, sizeof(fd));
  }
  if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
    return absl::OkStatus();
  }
  if (errno == EPIPE || errno == ECONNRESET) {
    return absl::UnavailableError("the other side hung up");
  }
  return ErrnoStatus("cannot send a descriptor to the other side");
}

absl::StatusOr<UniqueFd> ReceiveMessage(int socket, void* message,
                                        size_t bytes) {
  iovec data = {.iov_base = message, .iov_len = bytes};
  // Room for a second one, to notice it: padding would let it in anyway.
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return absl::DeadlineExceededError("no message yet");
  }
  if (got < 0) return absl::UnavailableError("the other side hung up");
  std::vector<UniqueFd> fds = TakeDescriptors(header);
  TESSERA_RETURN_IF_ERROR(
      CheckReceived(header, static_cast<size_t>(got), bytes, fds.size()));
  return fds.empty() ? UniqueFd() : std::move(fds.front());
}

}  // namespace tessera
