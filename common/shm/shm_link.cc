#include "common/shm/shm_link.h"

#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/shm/handshake.h"
#include "common/shm/unique_fd.h"

namespace tessera {
namespace {

struct Welcomed {
  ShmWelcome welcome;
  UniqueFd region;
};

// Text from the other side: as much as may be shown.
std::string RefusalOf(const ShmWelcome& welcome) {
  std::string text(welcome.refusal.data(),
                   strnlen(welcome.refusal.data(), welcome.refusal.size()));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

absl::StatusOr<Welcomed> ReadWelcome(int socket, absl::Duration timeout) {
  TESSERA_RETURN_IF_ERROR(AwaitMessage(socket, timeout));
  Welcomed answer;
  TESSERA_ASSIGN_OR_RETURN(
      answer.region,
      ReceiveMessage(socket, &answer.welcome, sizeof(answer.welcome)));
  if (answer.welcome.protocol != kShmProtocol) {
    return absl::InvalidArgumentError(
        "the server speaks another version of the handshake: expected a "
        "server of the same build");
  }
  return answer;
}

// Whoever hangs up here has looked at the token, or was too busy to.
absl::Status AsRefusal(absl::Status status) {
  if (!absl::IsUnavailable(status)) return status;
  return absl::FailedPreconditionError(
      "the server hung up: expected an offer that is its own, not used before "
      "and not withdrawn");
}

absl::StatusOr<Welcomed> Greet(int socket, const ShmOffer& offer,
                               const SharedRegion* own,
                               absl::Duration timeout) {
  const ShmHello hello = {.token = offer.token};
  TESSERA_RETURN_IF_ERROR(AsRefusal(SendMessage(
      socket, &hello, sizeof(hello), own == nullptr ? -1 : own->fd())));
  absl::StatusOr<Welcomed> answer = ReadWelcome(socket, timeout);
  if (!answer.ok()) return AsRefusal(answer.status());
  if (std::string why = RefusalOf(answer->welcome); !why.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server refused to share memory: ", why));
  }
  return answer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShmLink>> ShmLink::Connect(
    const ShmOffer& offer, const SharedRegion* own, absl::Duration timeout,
    uint64_t server_region_bytes_max) {
  const absl::Time deadline = absl::Now() + timeout;
  TESSERA_ASSIGN_OR_RETURN(const UniqueFd socket,
                           ConnectToPeer(offer.socket, timeout));
  TESSERA_RETURN_IF_ERROR(CheckSameUser(socket.get()));
  TESSERA_ASSIGN_OR_RETURN(
      Welcomed answer, Greet(socket.get(), offer, own, deadline - absl::Now()));
  TESSERA_ASSIGN_OR_RETURN(
      std::shared_ptr<const SharedView> view,
      SharedView::Map(std::move(answer.region), server_region_bytes_max));
  TESSERA_ASSIGN_OR_RETURN(LeaseCheck check,
                           LeaseCheck::Create(view, answer.welcome.lease));
  return std::unique_ptr<ShmLink>(
      new ShmLink(std::move(view), std::move(check)));
}

}  // namespace tessera
