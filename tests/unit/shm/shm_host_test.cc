// The handshake, both sides in this process, and peers that do not keep to it.

#include "common/shm/shm_host.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/shm/handshake.h"
#include "common/shm/shm_link.h"
#include "common/shm/shm_offer.h"
#include "tests/support/status.h"
#include "tests/unit/shm/open_descriptors.h"

namespace tessera {
namespace {

constexpr uint64_t kMiB = 1 << 20;
// What no test is meant to reach.
constexpr absl::Duration kLong = absl::Seconds(60);
constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;

std::shared_ptr<SharedRegion> MakeRegion(uint64_t bytes = kMiB) {
  auto region = SharedRegion::Create(bytes);
  REQUIRE_OK(region);
  return *std::move(region);
}

struct Server {
  explicit Server(ShmHost::Options options = {.handshake_timeout = kLong})
      : region(MakeRegion()) {
    auto made = ShmHost::Create(region, options);
    REQUIRE_OK(made);
    host = *std::move(made);
  }

  std::shared_ptr<ShmSession> Expect() {
    auto session = host->Expect();
    REQUIRE_OK(session);
    return *session;
  }

  std::shared_ptr<SharedRegion> region;
  std::unique_ptr<ShmHost> host;
};

ShmOffer OfferOf(const ShmSession& session) {
  const auto offer = ParseShmOffer(session.offer());
  REQUIRE_OK(offer);
  return *offer;
}

absl::StatusOr<std::unique_ptr<ShmLink>> Connect(
    const ShmSession& session, const SharedRegion* own = nullptr) {
  return ShmLink::Connect(OfferOf(session), own, kLong);
}

// A peer that says what it likes.
struct Raw {
  explicit Raw(const ShmSession& session) : offer(OfferOf(session)) {
    auto connected = ConnectToPeer(offer.socket, kLong);
    REQUIRE_OK(connected);
    socket = *std::move(connected);
  }

  void Send(const void* message, size_t bytes, std::vector<int> fds = {}) {
    iovec data = {.iov_base = const_cast<void*>(message), .iov_len = bytes};
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    msghdr header = {};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* const part = CMSG_FIRSTHDR(&header);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    }
    REQUIRE(sendmsg(socket.get(), &header, MSG_NOSIGNAL) >= 0);
  }

  // What comes back: a message, or the end of the connection.
  absl::Status Answer(ShmWelcome& welcome) {
    REQUIRE_OK(AwaitMessage(socket.get(), kLong));
    return ReceiveMessage(socket.get(), &welcome, sizeof(welcome)).status();
  }

  void RequireHungUp() {
    ShmWelcome welcome;
    REQUIRE_ERROR(Answer(welcome), absl::StatusCode::kUnavailable);
  }

  ShmOffer offer;
  UniqueFd socket;
};

TEST_CASE("each side reads the other's bytes") {
  Server server;
  const auto session = server.Expect();
  REQUIRE_FALSE(session->connected());
  REQUIRE(session->view() == nullptr);

  const auto own = MakeRegion(2 * kMiB);
  const auto link = Connect(*session, own.get());
  REQUIRE_OK(link);
  REQUIRE(session->connected());
  REQUIRE(session->view()->size() == 2 * kMiB);
  REQUIRE((*link)->view().size() == kMiB);
  REQUIRE((*link)->Valid());

  auto* const up = static_cast<float*>(*own->Allocate(4096));
  auto* const down = static_cast<float*>(*server.region->Allocate(4096));
  up[7] = 1.5;
  down[9] = 2.5;
  float seen;
  std::memcpy(&seen,
              session->view()->Bytes(*own->OffsetOf(up + 7, 4), 4)->data(), 4);
  REQUIRE(seen == 1.5);
  std::memcpy(
      &seen,
      (*link)->view().Bytes(*server.region->OffsetOf(down + 9, 4), 4)->data(),
      4);
  REQUIRE(seen == 2.5);
}

TEST_CASE("a worker without a region gets the server's") {
  Server server;
  const auto session = server.Expect();
  const auto link = Connect(*session);
  REQUIRE_OK(link);
  REQUIRE((*link)->Valid());
  REQUIRE(session->connected());
  REQUIRE(session->view() == nullptr);
}

TEST_CASE("the worker sees that its session is over") {
  Server server;
  auto session = server.Expect();
  const auto other = server.Expect();
  const auto link = Connect(*session);
  const auto other_link = Connect(*other);
  REQUIRE_OK(link);
  REQUIRE_OK(other_link);
  REQUIRE((*link)->Valid());
  SECTION("revoked") {
    session->Revoke();
    session->Revoke();
  }
  SECTION("dropped") { session.reset(); }
  SECTION("dropped after its host") {
    server.host.reset();
    REQUIRE((*link)->Valid());
    session.reset();
  }
  REQUIRE_FALSE((*link)->Valid());
  REQUIRE((*other_link)->Valid());
  const auto next = server.host == nullptr ? nullptr : server.Expect();
  REQUIRE_FALSE((*link)->Valid());
}

TEST_CASE("a token is good for one worker, and as long as its session") {
  Server server;
  auto session = server.Expect();
  const ShmOffer offer = OfferOf(*session);
  SECTION("used") { REQUIRE_OK(Connect(*session)); }
  SECTION("revoked") { session->Revoke(); }
  SECTION("dropped") { session.reset(); }
  REQUIRE_ERROR(ShmLink::Connect(offer, nullptr, kLong), kRefused, "hung up");
}

TEST_CASE("a wrong token opens nothing, and costs nobody theirs") {
  Server server;
  const auto session = server.Expect();
  ShmOffer offer = OfferOf(*session);
  offer.token[15] ^= 1;
  REQUIRE_ERROR(ShmLink::Connect(offer, nullptr, kLong), kRefused);
  REQUIRE_OK(Connect(*session));
}

TEST_CASE("an offer of nobody is an error") {
  ShmOffer offer;
  {
    Server server;
    offer = OfferOf(*server.Expect());
  }
  REQUIRE_ERROR(ShmLink::Connect(offer, nullptr, kLong),
                absl::StatusCode::kUnavailable, "nobody");
}

TEST_CASE("a server that does not answer costs no more than the timeout") {
  ShmOffer offer = {.socket = {}, .token = {}};
  std::random_device random;  // A name that no other process uses.
  for (uint8_t& byte : offer.socket) byte = static_cast<uint8_t>(random());
  const auto silent = ListenForPeers(offer.socket);
  REQUIRE_OK(silent);
  REQUIRE_ERROR(ShmLink::Connect(offer, nullptr, absl::Milliseconds(5)),
                absl::StatusCode::kDeadlineExceeded, "in time");
}

TEST_CASE("a region above the server's limit is refused, with the reason") {
  Server server({.peer_region_bytes_max = kMiB, .handshake_timeout = kLong});
  const auto session = server.Expect();
  const auto own = MakeRegion(2 * kMiB);
  REQUIRE_ERROR(Connect(*session, own.get()), kRefused, "2097152", "1048576");
  REQUIRE_FALSE(session->connected());
}

TEST_CASE("a region above the worker's limit is refused") {
  Server server;
  const auto session = server.Expect();
  REQUIRE_ERROR(ShmLink::Connect(OfferOf(*session), nullptr, kLong, kMiB - 1),
                absl::StatusCode::kOutOfRange, "1048576");
}

TEST_CASE("what is no region is refused, with the reason") {
  Server server;
  const auto session = server.Expect();
  Raw peer(*session);
  const ShmHello hello = {.token = peer.offer.token};
  peer.Send(&hello, sizeof(hello), {STDERR_FILENO});
  ShmWelcome welcome;
  REQUIRE_OK(peer.Answer(welcome));
  REQUIRE(std::string(welcome.refusal.data()).find("sealed") !=
          std::string::npos);
  REQUIRE_FALSE(session->connected());
}

TEST_CASE("peers that say something wrong are dropped, and leak nothing") {
  Server server;
  const auto session = server.Expect();
  const auto region = MakeRegion();
  const int descriptors = OpenDescriptors();
  const int mappings = MappedRegions();
  {
    Raw peer(*session);
    ShmHello hello = {.token = peer.offer.token};
    char long_text[4096] = {};
    SECTION("nothing") { peer.Send(nullptr, 0); }
    SECTION("a message cut short") { peer.Send(&hello, sizeof(hello) - 1); }
    SECTION("a message too long") {
      std::memcpy(long_text, &hello, sizeof(hello));
      peer.Send(long_text, sizeof(hello) + 1, {region->fd()});
    }
    SECTION("rubbish") { peer.Send(long_text, sizeof(long_text)); }
    SECTION("another protocol") {
      ++hello.protocol;
      peer.Send(&hello, sizeof(hello), {region->fd()});
    }
    SECTION("two descriptors") {
      peer.Send(&hello, sizeof(hello), {region->fd(), region->fd()});
    }
    SECTION("very many descriptors") {
      peer.Send(&hello, sizeof(hello), std::vector<int>(200, region->fd()));
    }
    SECTION("descriptors with a message cut short") {
      peer.Send(&hello, 1, {region->fd(), region->fd()});
    }
    SECTION("good-bye") { shutdown(peer.socket.get(), SHUT_WR); }
    peer.RequireHungUp();
  }
  REQUIRE(OpenDescriptors() == descriptors);
  REQUIRE(MappedRegions() == mappings);
  REQUIRE_OK(Connect(*session));
}

TEST_CASE("a peer that says nothing holds up nobody") {
  Server server;
  const auto session = server.Expect();
  std::vector<Raw> silent;
  for (int i = 0; i < 100; ++i) silent.emplace_back(*session);
  REQUIRE_OK(Connect(*session));
  // The place of the first ones was needed.
  silent.front().RequireHungUp();
}

TEST_CASE("a peer that says nothing is dropped in the end") {
  Server server({.handshake_timeout = absl::Milliseconds(1)});
  Raw silent(*server.Expect());
  silent.RequireHungUp();
}

TEST_CASE("a host ends in the middle of handshakes") {
  Server server;
  const auto session = server.Expect();
  Raw silent(*session);
  server.host.reset();
  silent.RequireHungUp();
}

TEST_CASE("sessions leave nothing behind") {
  Server server;
  const auto own = MakeRegion();
  const int descriptors = OpenDescriptors();
  const int mappings = MappedRegions();
  for (int i = 0; i < 3; ++i) {
    const auto session = server.Expect();
    const auto link = Connect(*session, own.get());
    REQUIRE_OK(link);
    REQUIRE(MappedRegions() == mappings + 2);
  }
  // The host's thread lets go of a session after it has answered: once it has
  // served another peer, it has.
  Raw last(*server.Expect());
  last.Send("x", 1);
  last.RequireHungUp();
  last.socket = UniqueFd();
  REQUIRE(MappedRegions() == mappings);
  REQUIRE(OpenDescriptors() == descriptors);
}

TEST_CASE("there are as many sessions as leases") {
  Server server;
  std::vector<std::shared_ptr<ShmSession>> sessions;
  for (int i = 0; i < LeaseTable::kMaxLeases; ++i) {
    sessions.push_back(server.Expect());
  }
  REQUIRE_ERROR(server.host->Expect(), absl::StatusCode::kResourceExhausted);
  sessions.pop_back();
  REQUIRE_OK(server.host->Expect());
}

// While it lives, no further descriptor can be opened.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(UniqueFd(dup(0)).get());
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_;
};

TEST_CASE("a host that is out of descriptors goes on when it has some") {
  Server server;
  const auto session = server.Expect();
  const auto other = server.Expect();
  const ShmOffer offer = OfferOf(*session);
  const ShmHello hello = {.token = offer.token};
  // Accepted, as it has been looked at and dropped by then.
  Raw peer(*session);
  Raw before(*other);
  before.Send("x", 1);
  before.RequireHungUp();
  {
    NoDescriptors none;
    peer.Send(&hello, sizeof(hello), {server.region->fd()});
    peer.RequireHungUp();
    REQUIRE_FALSE(session->connected());
  }
  REQUIRE_OK(Connect(*session, server.region.get()));
  REQUIRE(session->view() != nullptr);
}

// Prepared beforehand, since this process is short of descriptors, too.
TEST_CASE("peers wait in the queue while a host cannot accept them") {
  Server server;
  const auto session = server.Expect();
  const ShmHello hello = {.token = OfferOf(*session).token};
  Raw first(*session);
  first.Send("x", 1);
  first.RequireHungUp();
  const UniqueFd peer(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_storage address;
  socklen_t bytes = sizeof(address);
  REQUIRE(getpeername(first.socket.get(), reinterpret_cast<sockaddr*>(&address),
                      &bytes) == 0);
  {
    NoDescriptors none;
    REQUIRE(connect(peer.get(), reinterpret_cast<sockaddr*>(&address), bytes) ==
            0);
    REQUIRE_OK(SendMessage(peer.get(), &hello, sizeof(hello), -1));
  }
  REQUIRE_OK(AwaitMessage(peer.get(), kLong));
  ShmWelcome welcome;
  REQUIRE_OK(ReceiveMessage(peer.get(), &welcome, sizeof(welcome)));
  REQUIRE(session->connected());
}

TEST_CASE("many workers join at once") {
  constexpr int kWorkers = 8;
  Server server;
  std::vector<std::shared_ptr<ShmSession>> sessions;
  for (int i = 0; i < kWorkers; ++i) sessions.push_back(server.Expect());
  std::vector<absl::Status> results(kWorkers);
  std::vector<std::thread> workers;
  for (size_t i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&, i] {
      const auto own = SharedRegion::Create(kMiB);
      const auto offer = ParseShmOffer(sessions[i]->offer());
      results[i] = ShmLink::Connect(*offer, own->get(), kLong).status();
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (size_t i = 0; i < kWorkers; ++i) {
    REQUIRE_OK(results[i]);
    REQUIRE(sessions[i]->view() != nullptr);
  }
}

TEST_CASE("sessions end while workers join") {
  constexpr int kRounds = 200;
  Server server;
  for (int i = 0; i < kRounds; ++i) {
    auto session = server.Expect();
    const ShmOffer offer = OfferOf(*session);
    absl::StatusOr<std::unique_ptr<ShmLink>> link =
        absl::UnknownError("not tried");
    std::thread worker([&] { link = ShmLink::Connect(offer, nullptr, kLong); });
    session.reset();
    worker.join();
    if (link.ok()) REQUIRE_FALSE((*link)->Valid());
    if (!link.ok()) REQUIRE(link.status().code() == kRefused);
  }
}

TEST_CASE("another user is refused, by either side") {
  if (geteuid() != 0) {
    WARN("only root can be somebody else: not tested");
    return;
  }
  Server server;
  const auto session = server.Expect();
  const ShmOffer offer = OfferOf(*session);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (seteuid(65534) != 0) _exit(2);
    const absl::Status status =
        ShmLink::Connect(offer, nullptr, kLong).status();
    if (!absl::IsPermissionDenied(status)) _exit(3);
    const auto socket = ConnectToPeer(offer.socket, kLong);
    if (!socket.ok() || !AwaitMessage(socket->get(), kLong).ok()) _exit(4);
    ShmWelcome welcome;
    const auto got = ReceiveMessage(socket->get(), &welcome, sizeof(welcome));
    _exit(absl::IsUnavailable(got.status()) ? 0 : 5);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  REQUIRE_OK(Connect(*session));
}

}  // namespace
}  // namespace tessera
