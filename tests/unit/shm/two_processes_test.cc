// A server and a worker that are processes of their own, and what is left when
// the worker is killed.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>

#include "common/shm/shm_host.h"
#include "common/shm/shm_link.h"
#include "common/shm/shm_offer.h"
#include "common/shm/unique_fd.h"
#include "tests/support/status.h"
#include "tests/unit/shm/open_descriptors.h"

namespace tessera {
namespace {

constexpr uint64_t kBytes = 1 << 20;
constexpr absl::Duration kLong = absl::Seconds(60);

// What the two say to each other in place of gRPC.
struct FromServer {
  char offer[67];
  uint64_t offset;
};
struct FromWorker {
  uint64_t offset = 0;
  int seen = 0;
  bool valid = false;
};

uint8_t Pattern(uint64_t i, int side) {
  return static_cast<uint8_t>(i * 7 + static_cast<uint64_t>(side));
}

bool HasPattern(absl::Span<const uint8_t> bytes, int side) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != Pattern(i, side)) return false;
  }
  return true;
}

void Fill(void* data, uint64_t bytes, int side) {
  for (uint64_t i = 0; i < bytes; ++i) {
    static_cast<uint8_t*>(data)[i] = Pattern(i, side);
  }
}

// The worker: shares a pattern, looks for the server's, tells, and looks at its
// lease once more each time it is asked. Never returns.
[[noreturn]] void RunWorker(int socket) {
  FromServer told;
  if (read(socket, &told, sizeof(told)) != sizeof(told)) _exit(1);
  const auto own = SharedRegion::Create(2 * kBytes);
  void* const data = (*own)->Allocate(kBytes).value();
  Fill(data, kBytes, 1);
  const auto offer =
      ParseShmOffer(absl::string_view(told.offer, sizeof(told.offer)));
  if (!offer.ok()) _exit(2);
  const auto link = ShmLink::Connect(*offer, own->get(), kLong);
  if (!link.ok()) _exit(3);
  FromWorker answer;
  answer.offset = *(*own)->OffsetOf(data, kBytes);
  const auto bytes = (*link)->view().Bytes(told.offset, kBytes);
  answer.seen = bytes.ok() && HasPattern(*bytes, 0);
  char question;
  do {
    answer.valid = (*link)->Valid();
    if (write(socket, &answer, sizeof(answer)) != sizeof(answer)) _exit(4);
  } while (read(socket, &question, 1) == 1);
  _exit(0);
}

struct Worker {
  Worker() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      close(ends[0]);
      RunWorker(ends[1]);
    }
    close(ends[1]);
    socket = UniqueFd(ends[0]);
  }
  ~Worker() {
    if (pid > 0) End(SIGKILL);
  }

  FromWorker Answer() {
    FromWorker answer;
    REQUIRE(read(socket.get(), &answer, sizeof(answer)) == sizeof(answer));
    return answer;
  }

  // How it ended, for waitpid's macros.
  int End(int signal) {
    if (signal != 0) kill(pid, signal);
    int status = 0;
    waitpid(std::exchange(pid, 0), &status, 0);
    return status;
  }

  pid_t pid;
  UniqueFd socket;
};

struct Server {
  Server() {
    region = SharedRegion::Create(4 * kBytes).value();
    lent = region->Allocate(kBytes).value();
    Fill(lent, kBytes, 0);
    host = ShmHost::Create(region, {}).value();
  }

  std::shared_ptr<ShmSession> Offer(Worker& worker) {
    auto session = host->Expect();
    REQUIRE_OK(session);
    FromServer told;
    REQUIRE((*session)->offer().size() == sizeof(told.offer));
    std::memcpy(told.offer, (*session)->offer().data(), sizeof(told.offer));
    told.offset = *region->OffsetOf(lent, kBytes);
    REQUIRE(write(worker.socket.get(), &told, sizeof(told)) == sizeof(told));
    return *session;
  }

  std::shared_ptr<SharedRegion> region;
  void* lent;
  std::unique_ptr<ShmHost> host;
};

TEST_CASE("two processes read each other's memory, until one takes it back") {
  Worker worker;  // Before there are threads, which a fork would not copy.
  Server server;
  const auto session = server.Offer(worker);
  const FromWorker first = worker.Answer();
  REQUIRE(first.seen);
  REQUIRE(first.valid);
  REQUIRE(session->connected());
  const auto bytes = session->view()->Bytes(first.offset, kBytes);
  REQUIRE_OK(bytes);
  REQUIRE(HasPattern(*bytes, 1));

  session->Revoke();
  REQUIRE(write(worker.socket.get(), "?", 1) == 1);
  REQUIRE_FALSE(worker.Answer().valid);
  worker.socket = UniqueFd();
  REQUIRE(worker.End(0) == 0);
}

TEST_CASE("a killed worker leaves nothing once its session is dropped") {
  Worker worker;
  const int descriptors = OpenDescriptors();
  const int mappings = MappedRegions();
  {
    Server server;
    auto session = server.Offer(worker);
    const FromWorker first = worker.Answer();
    REQUIRE(MappedRegions() == mappings + 2);
    // Stopped first, as a worker that can do nothing any more to clean up.
    kill(worker.pid, SIGSTOP);
    REQUIRE(WIFSIGNALED(worker.End(SIGKILL)));
    // What it shared stays readable, though nobody else has it now.
    REQUIRE(HasPattern(*session->view()->Bytes(first.offset, kBytes), 1));
    server.host.reset();  // Its thread may still be busy with the session.
    session.reset();
    REQUIRE(MappedRegions() == mappings + 1);
  }
  REQUIRE(MappedRegions() == mappings);
  REQUIRE(OpenDescriptors() == descriptors);
}

}  // namespace
}  // namespace tessera
