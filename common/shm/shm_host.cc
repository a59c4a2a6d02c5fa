#include "common/shm/shm_host.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/shm/handshake.h"
#include "common/shm/shm_sessions.h"
#include "common/shm/unique_fd.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

// How long new peers wait when the process is out of descriptors.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

// Whoever has connected and not said what it wants.
struct Peer {
  UniqueFd socket;
  Clock::time_point deadline;
};

class ShmHostImpl final : public ShmHost {
 public:
  ShmHostImpl(std::shared_ptr<ShmSessions> sessions, const Options& options,
              const std::array<uint8_t, 16>& name, UniqueFd listening,
              UniqueFd wake)
      : sessions_(std::move(sessions)),
        options_(options),
        name_(name),
        listening_(std::move(listening)),
        wake_(std::move(wake)),
        thread_([this] { Loop(); }) {}

  ~ShmHostImpl() override {
    TESSERA_CHECK(eventfd_write(wake_.get(), 1) == 0);
    thread_.join();
  }

  absl::StatusOr<std::shared_ptr<ShmSession>> Expect() override {
    return sessions_->Add(name_);
  }

 private:
  void Loop();
  std::vector<pollfd> WhatToWaitFor() const;
  timespec TimeLeft() const;
  void ServePeers(const std::vector<pollfd>& peers);
  void DropLatePeers();
  void AcceptOne();

  // Whether the peer is done with, well or not.
  bool Serve(int socket) const;
  absl::Status Admit(ShmSessionImpl& session, UniqueFd region) const;

  const std::shared_ptr<ShmSessions> sessions_;
  const Options options_;
  const std::array<uint8_t, 16> name_;
  const UniqueFd listening_;
  const UniqueFd wake_;  // Readable when the thread is to end.

  // The thread's own. Peers are in the order of their arrival.
  std::deque<Peer> peers_;
  Clock::time_point accept_from_ = {};

  std::thread thread_;  // Last, as it uses all the others.
};

void ShmHostImpl::Loop() {
  while (true) {
    std::vector<pollfd> waits = WhatToWaitFor();
    const timespec left = TimeLeft();
    if (ppoll(waits.data(), waits.size(), &left, nullptr) < 0) continue;
    if (waits[0].revents != 0) return;
    const bool peer_comes = waits[1].revents != 0;
    ServePeers({waits.begin() + 2, waits.end()});
    DropLatePeers();
    if (peer_comes) AcceptOne();
  }
}

std::vector<pollfd> ShmHostImpl::WhatToWaitFor() const {
  const bool accepts = Clock::now() >= accept_from_;
  // A negative descriptor is passed over.
  std::vector<pollfd> waits = {
      {.fd = wake_.get(), .events = POLLIN, .revents = 0},
      {.fd = accepts ? listening_.get() : -1, .events = POLLIN, .revents = 0}};
  for (const Peer& peer : peers_) {
    waits.push_back({.fd = peer.socket.get(), .events = POLLIN, .revents = 0});
  }
  return waits;
}

timespec ShmHostImpl::TimeLeft() const {
  const Clock::time_point now = Clock::now();
  Clock::time_point until = now + std::chrono::hours(1);
  if (now < accept_from_) until = std::min(until, accept_from_);
  if (!peers_.empty()) until = std::min(until, peers_.front().deadline);
  return absl::ToTimespec(
      absl::FromChrono(std::max(until - now, Clock::duration::zero())));
}

void ShmHostImpl::ServePeers(const std::vector<pollfd>& waits) {
  std::deque<Peer> waiting;
  for (size_t i = 0; i < waits.size(); ++i) {
    const bool done = waits[i].revents != 0 && Serve(waits[i].fd);
    if (!done) waiting.push_back(std::move(peers_[i]));
  }
  peers_ = std::move(waiting);
}

void ShmHostImpl::DropLatePeers() {
  const Clock::time_point now = Clock::now();
  while (!peers_.empty() && peers_.front().deadline <= now) {
    peers_.pop_front();
  }
}

void ShmHostImpl::AcceptOne() {
  UniqueFd socket(accept4(listening_.get(), nullptr, nullptr,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    // Such a peer stays in the queue, and would be reported again at once.
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      accept_from_ = Clock::now() + kAcceptPause;
    }
    return;
  }
  if (!CheckSameUser(socket.get()).ok()) return;
  if (peers_.size() >= static_cast<size_t>(options_.peers_max)) {
    peers_.pop_front();
  }
  peers_.push_back(
      {std::move(socket),
       Clock::now() + absl::ToChronoNanoseconds(options_.handshake_timeout)});
}

bool ShmHostImpl::Serve(int socket) const {
  ShmHello hello;
  absl::StatusOr<UniqueFd> region =
      ReceiveMessage(socket, &hello, sizeof(hello));
  if (absl::IsDeadlineExceeded(region.status())) return false;
  if (!region.ok() || hello.protocol != kShmProtocol) return true;
  const std::shared_ptr<ShmSessionImpl> session = sessions_->Claim(hello.token);
  if (session == nullptr) return true;
  const absl::Status admitted = Admit(*session, *std::move(region));
  ShmWelcome welcome;
  if (admitted.ok()) {
    welcome.lease = session->lease();
  } else {
    admitted.message().copy(welcome.refusal.data(), welcome.refusal.size());
  }
  const absl::Status sent =
      SendMessage(socket, &welcome, sizeof(welcome),
                  admitted.ok() ? sessions_->region().fd() : -1);
  if (!admitted.ok() || !sent.ok()) session->Revoke();
  return true;
}

absl::Status ShmHostImpl::Admit(ShmSessionImpl& session,
                                UniqueFd region) const {
  std::shared_ptr<const SharedView> view;
  if (region) {
    TESSERA_ASSIGN_OR_RETURN(
        view,
        SharedView::Map(std::move(region), options_.peer_region_bytes_max));
  }
  if (!session.Join(std::move(view))) {
    return absl::FailedPreconditionError("the offer was withdrawn");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShmHost>> ShmHost::Create(
    std::shared_ptr<SharedRegion> region, const Options& options) {
  TESSERA_CHECK(options.peers_max >= 1);
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<LeaseTable> leases,
                           LeaseTable::Create(region));
  TESSERA_ASSIGN_OR_RETURN(const auto name, RandomBytes());
  TESSERA_ASSIGN_OR_RETURN(UniqueFd listening, ListenForPeers(name));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC));
  if (!wake) return ErrnoStatus("no eventfd to share memory with others");
  return std::make_unique<ShmHostImpl>(
      std::make_shared<ShmSessions>(std::move(region), std::move(leases)),
      options, name, std::move(listening), std::move(wake));
}

}  // namespace tessera
