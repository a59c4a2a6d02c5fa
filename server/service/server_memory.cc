#include "server/service/server_memory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/shm/shm_offer.h"

namespace tessera {
namespace {

// Address space only. Versions of the shard at a time: those that are kept, and
// up to two lent to each worker on this machine. What does not fit lies in
// ordinary memory, and travels like anything else.
constexpr int64_t kVersions = 64;
// For the leases, and blocks that are not whole pages.
constexpr int64_t kRoomBytes = 64 << 20;

absl::StatusOr<ServerMemory> Make(int64_t parameter_bytes) {
  ServerMemory memory{.host_id = ShmHostId()};
  if (memory.host_id.empty()) {
    return absl::FailedPreconditionError(
        "this system does not say which machine it is");
  }
  TESSERA_ASSIGN_OR_RETURN(memory.region,
                           SharedRegion::Create(static_cast<uint64_t>(
                               kVersions * parameter_bytes + kRoomBytes)));
  TESSERA_ASSIGN_OR_RETURN(memory.host, ShmHost::Create(memory.region, {}));
  return memory;
}

}  // namespace

absl::StatusOr<ServerMemory> MakeServerMemory(ShmUse use,
                                              int64_t parameter_bytes) {
  if (use == ShmUse::kOff) {
    return ServerMemory{.why_not =
                            "the server was started with --shared_memory=off"};
  }
  absl::StatusOr<ServerMemory> memory = Make(parameter_bytes);
  if (memory.ok()) return memory;
  if (use == ShmUse::kAuto) {
    return ServerMemory{.why_not = "the server's system allows none"};
  }
  return absl::FailedPreconditionError(
      absl::StrCat("--shared_memory=on: ", memory.status().message(),
                   "; leave the flag out to go on without"));
}

}  // namespace tessera
