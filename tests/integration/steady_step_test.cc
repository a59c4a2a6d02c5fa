// A steady step takes no memory of the size of its payloads, and touches no
// page that it had not touched before: counted, not read off the code. A real
// server and a real client, over the loopback interface, in this process.
//
// gRPC itself must allocate what it receives. It does so in pieces, as the
// socket gives them: see kLargestReceived.

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/allocator.h"
#include "common/shm/shared_region.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "worker/client/parameter_client.h"

namespace {

constexpr size_t kPayloadBytes = 256 << 10;

// Of gRPC's buffers for what arrives, and of everything else. Measured with
// version 1.51: 64 KiB + 40, and 8 KiB + 40.
constexpr size_t kLargestReceived = 66 << 10;
constexpr size_t kLargestOther = 9 << 10;

// Allocations of at least half a payload, and the largest there was.
std::atomic<int64_t> large_allocations = 0;
std::atomic<size_t> largest = 0;

void Count(size_t bytes) {
  if (bytes >= kPayloadBytes / 2) ++large_allocations;
  size_t seen = largest;
  while (bytes > seen && !largest.compare_exchange_weak(seen, bytes)) {
  }
}

}  // namespace

// The C library's own allocator, under the names that it keeps for wrappers
// like these: https://www.gnu.org/software/libc/manual/html_node/Replacing-
// malloc.html. Everything comes by here: new, gpr_malloc, what libraries do.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* old, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  Count(bytes);
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  Count(count * bytes);
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, size_t bytes) {
  Count(bytes);
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  Count(bytes);
  return __libc_memalign(alignment, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  Count(bytes);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** to, size_t alignment, size_t bytes) {
  Count(bytes);
  *to = __libc_memalign(alignment, bytes);
  return *to == nullptr ? 12 : 0;
}
}  // extern "C"

namespace tessera {
namespace {

int64_t MinorFaults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// One worker that does whole steps by itself.
class Loop {
 public:
  Loop(Transport transport, const std::string& wire)
      : cluster_({.parameters = kPayloadBytes / sizeof(float),
                  .microbatches = 1,
                  .block_bytes = kPayloadBytes,
                  .wire = wire},
                 1),
        region_(SharedRegion::Create(64 << 20).value()),
        gradient_(static_cast<float*>(region_->Allocate(kPayloadBytes).value()),
                  kPayloadBytes / sizeof(float)),
        to_(gradient_.size()) {
    std::fill(gradient_.begin(), gradient_.end(), 0.5F);
    ParameterClientOptions options = cluster_.ClientOptions();
    options.transport = transport;
    options.region = region_;
    client_ = cluster_.MakeClient(std::move(options));
    if (transport == Transport::kSharedMemory) {
      REQUIRE_OK(client_->AwaitSharedMemory(absl::Minutes(1)));
    }
  }

  void Steps(int count) {
    for (int i = 0; i < count; ++i) Step();
  }

 private:
  void Step() {
    Mutex mutex;
    absl::optional<absl::Status> result;
    client_->PushPull(
        {.block = 0, .step = step_++, .range = {0, 1}, .values = gradient_},
        absl::MakeSpan(to_), [&](absl::Status status) {
          MutexLock lock(&mutex);
          result = std::move(status);
        });
    MutexLock lock(&mutex);
    mutex.Await([&] { return result.has_value(); });
    if (!result->ok()) REQUIRE_OK(*result);
  }

  TestCluster cluster_;
  std::shared_ptr<SharedRegion> region_;
  absl::Span<float> gradient_;
  std::vector<float> to_;
  std::unique_ptr<ParameterClient> client_;
  int64_t step_ = 0;
};

TEST_CASE("a steady step allocates nothing large and faults on no page") {
  KeepFreedMemory();
  const Transport transport =
      GENERATE(Transport::kTcp, Transport::kSharedMemory);
  const std::string wire =
      GENERATE("", "push: ENCODING_BFLOAT16 pull: ENCODING_BFLOAT16");
  CAPTURE(static_cast<int>(transport), wire);
  Loop loop(transport, wire);
  constexpr int kSteps = 200;
  loop.Steps(2 * kSteps);
  int64_t fewest_faults = std::numeric_limits<int64_t>::max();
  large_allocations = 0;
  largest = 0;
  // Until one round is without: libraries may start a thread at any time, and
  // on a busy machine more buffers than ever before may be full at one moment.
  // A fault that steps have of themselves is in every round.
  constexpr int kRounds = 50;
  for (int round = 0; round < kRounds && fewest_faults > 0; ++round) {
    const int64_t before = MinorFaults();
    loop.Steps(kSteps);
    fewest_faults = std::min(fewest_faults, MinorFaults() - before);
  }
  REQUIRE(large_allocations == 0);
  REQUIRE(fewest_faults == 0);
  REQUIRE(largest <=
          (transport == Transport::kTcp ? kLargestReceived : kLargestOther));
}

}  // namespace
}  // namespace tessera
